import { json } from '../raw/raw.ts'

/** Things of one tenant that another one tries to reach. */
export interface Loot {
  readonly queue: string
  /** A job that waits. */
  readonly jobId: string
  /** A job in hand. */
  readonly heldJobId: string
  readonly leaseToken: string
  /** A failed job. */
  readonly deadJobId: string
  /** A task that waits. */
  readonly taskId: string
  /** A pipeline that runs. */
  readonly pipelineId: string
  /** A state. */
  readonly stateKey: string
  /** A schedule. */
  readonly schedule: string
  readonly keyId: string
  /** A KV store with a key, and a stream with a message, of the same name. */
  readonly store: string
  /** A delivery of a webhook of the store's name. */
  readonly deliveryId: string
}

/** How to try one RPC on somebody else's things. */
export interface Attempt {
  /** The scope it needs; undefined: any valid key. */
  readonly scope?:
    | 'queues:read'
    | 'queues:write'
    | 'tasks:read'
    | 'tasks:write'
    | 'streams:read'
    | 'streams:write'
    | 'kv:read'
    | 'kv:write'
    | 'schedules:read'
    | 'schedules:write'
    | 'webhooks:read'
    | 'webhooks:write'
    | 'workers'
    | 'admin'
  /** The request; of a stream, the first message. */
  request(loot: Loot): object
  /**
   * What a stranger must get: the name of a status, or an answer that shows nothing. A stream of jobs must stay silent.
   */
  readonly stranger: 'NOT_FOUND' | 'silence' | Readonly<Record<string, unknown>>
}

const zeros = {
  pending: '0',
  scheduled: '0',
  blocked: '0',
  processing: '0',
  completed: '0',
  failed: '0',
  cancelled: '0',
  dead: '0',
  total: '0',
  oldestAgeMs: '0',
}
const queueOf = ({ queue }: Loot) => ({ queue })
const partitionOf = ({ store }: Loot) => ({ stream: store, partition: 0 })
const streamOf = ({ store }: Loot) => ({ stream: store })
const keyOf = ({ store }: Loot) => ({ store, key: store })
const webhookOf = ({ store: name }: Loot) => ({ name })
const taskOf = ({ taskId }: Loot) => ({ taskId })
const pipelineOf = ({ pipelineId }: Loot) => ({ pipelineId })
const scheduleOf = ({ schedule: name }: Loot) => ({ name })
const heldOf = ({ queue, heldJobId: jobId, leaseToken }: Loot) => ({ queue, jobId, leaseToken })

/** Every RPC of the contract. One that is missing here fails the tests. */
export const attempts: Readonly<Record<string, Attempt>> = {
  'QueueService/EnqueueJobs': {
    scope: 'queues:write',
    request: ({ queue }) => ({ queue, jobs: [{ payload: json('mine') }] }),
    stranger: {},
  },
  'QueueService/ReceiveJobs': { scope: 'queues:write', request: ({ queue }) => ({ queue, maxJobs: 100 }), stranger: { jobs: [] } },
  'QueueService/StreamJobs': { scope: 'queues:write', request: queueOf, stranger: 'silence' },
  'QueueService/CompleteJob': { scope: 'queues:write', request: heldOf, stranger: 'NOT_FOUND' },
  'QueueService/FailJob': { scope: 'queues:write', request: heldOf, stranger: 'NOT_FOUND' },
  'QueueService/RenewLease': { scope: 'queues:write', request: heldOf, stranger: 'NOT_FOUND' },
  'QueueService/SettleJobs': {
    scope: 'queues:write',
    request: ({ heldJobId: jobId, leaseToken }) => ({ settlements: [{ jobId, leaseToken, complete: {} }] }),
    stranger: { results: [{ error: { reason: 'NOT_FOUND' } }] },
  },
  'QueueService/GetJob': { scope: 'queues:read', request: ({ queue, jobId }) => ({ queue, jobId }), stranger: 'NOT_FOUND' },
  'QueueService/CancelJob': { scope: 'queues:write', request: ({ queue, jobId }) => ({ queue, jobId }), stranger: 'NOT_FOUND' },
  'QueueService/GetQueueStats': { scope: 'queues:read', request: queueOf, stranger: zeros },
  'QueueService/WatchQueueStats': { scope: 'queues:read', request: queueOf, stranger: { stats: zeros } },
  'QueueService/GetQueue': {
    scope: 'queues:read',
    request: queueOf,
    stranger: { queue: { paused: false, createdAt: null, retryPolicy: { maxAttempts: 3 } } },
  },
  'QueueService/UpdateQueue': {
    scope: 'queues:write',
    request: ({ queue }) => ({ queue, maxDepth: 1 }),
    stranger: { queue: { retryPolicy: { maxAttempts: 3 } } },
  },
  'QueueService/ListQueues': { scope: 'queues:read', request: () => ({}), stranger: { queues: [] } },
  'QueueService/PauseQueue': { scope: 'queues:write', request: queueOf, stranger: {} },
  'QueueService/ResumeQueue': { scope: 'queues:write', request: queueOf, stranger: {} },
  'QueueService/ListDeadLetters': { scope: 'queues:read', request: queueOf, stranger: { jobs: [], nextCursor: '' } },
  'QueueService/ReplayDeadLetters': { scope: 'queues:write', request: ({ queue }) => ({ queue, all: true }), stranger: { replayed: '0' } },
  'QueueService/PurgeDeadLetters': { scope: 'queues:write', request: ({ queue }) => ({ queue, confirm: true }), stranger: { purged: '0' } },
  'TaskService/SubmitTask': { scope: 'tasks:write', request: ({ queue }) => ({ task: { queue, function: 'mine' } }), stranger: {} },
  'TaskService/SubmitTasks': { scope: 'tasks:write', request: ({ queue }) => ({ tasks: [{ queue, function: 'mine' }] }), stranger: {} },
  'TaskService/GetTaskProof': { scope: 'tasks:read', request: taskOf, stranger: 'NOT_FOUND' },
  'TaskService/GetTask': { scope: 'tasks:read', request: taskOf, stranger: 'NOT_FOUND' },
  'TaskService/GetTasks': { scope: 'tasks:read', request: ({ taskId }) => ({ taskIds: [taskId] }), stranger: { tasks: [] } },
  'TaskService/ListTasks': { scope: 'tasks:read', request: () => ({}), stranger: { tasks: [], nextCursor: '' } },
  'TaskService/CancelTask': { scope: 'tasks:write', request: taskOf, stranger: 'NOT_FOUND' },
  'TaskService/RetryTask': { scope: 'tasks:write', request: taskOf, stranger: 'NOT_FOUND' },
  'TaskService/WatchTask': { scope: 'tasks:read', request: taskOf, stranger: 'NOT_FOUND' },
  'TaskService/WatchTasks': { scope: 'tasks:read', request: () => ({}), stranger: { tasks: [], more: false } },
  'TaskService/FollowTasks': { scope: 'tasks:read', request: ({ taskId }) => ({ add: [taskId] }), stranger: { updates: [] } },
  'TaskService/FollowTaskSet': { scope: 'tasks:read', request: ({ taskId }) => ({ taskIds: [taskId] }), stranger: { updates: [] } },
  'TaskService/ListTaskLogs': { scope: 'tasks:read', request: taskOf, stranger: 'NOT_FOUND' },
  'TaskService/TailTaskLogs': { scope: 'tasks:read', request: taskOf, stranger: 'NOT_FOUND' },
  'PipelineService/CreatePipeline': {
    scope: 'tasks:write',
    request: ({ queue }) => ({ name: 'mine', stages: [{ name: 'a', queue, function: 'mine' }] }),
    stranger: {},
  },
  'PipelineService/GetPipeline': { scope: 'tasks:read', request: pipelineOf, stranger: 'NOT_FOUND' },
  'PipelineService/ListPipelines': { scope: 'tasks:read', request: () => ({}), stranger: { nextCursor: '' } },
  'PipelineService/GetStageResult': {
    scope: 'tasks:read',
    request: (loot) => ({ ...pipelineOf(loot), stage: 'a' }),
    stranger: 'NOT_FOUND',
  },
  'PipelineService/CancelPipeline': { scope: 'tasks:write', request: pipelineOf, stranger: 'NOT_FOUND' },
  'PipelineService/RetryPipeline': { scope: 'tasks:write', request: pipelineOf, stranger: 'NOT_FOUND' },
  'PipelineService/WatchPipeline': { scope: 'tasks:read', request: pipelineOf, stranger: 'NOT_FOUND' },
  'ScheduleService/CreateSchedule': {
    scope: 'schedules:write',
    request: ({ queue, schedule: name }) => ({ schedule: { name, queue, everyMs: 3_600_000 } }),
    stranger: { schedule: { settings: { paused: false } } },
  },
  'ScheduleService/DeleteSchedule': { scope: 'schedules:write', request: scheduleOf, stranger: { deleted: false } },
  'ScheduleService/GetSchedule': { scope: 'schedules:read', request: scheduleOf, stranger: 'NOT_FOUND' },
  'ScheduleService/ListSchedules': { scope: 'schedules:read', request: () => ({}), stranger: { schedules: [], nextCursor: '' } },
  'ScheduleService/UpdateSchedule': {
    scope: 'schedules:write',
    request: (loot) => ({ ...scheduleOf(loot), jitterMs: 5 }),
    stranger: 'NOT_FOUND',
  },
  'ScheduleService/PauseSchedule': { scope: 'schedules:write', request: scheduleOf, stranger: 'NOT_FOUND' },
  'ScheduleService/ResumeSchedule': { scope: 'schedules:write', request: scheduleOf, stranger: 'NOT_FOUND' },
  'ScheduleService/TriggerSchedule': { scope: 'schedules:write', request: scheduleOf, stranger: 'NOT_FOUND' },
  'ScheduleService/ListScheduleRuns': { scope: 'schedules:read', request: scheduleOf, stranger: 'NOT_FOUND' },
  'StateService/GetState': { scope: 'tasks:read', request: ({ stateKey: key }) => ({ key }), stranger: 'NOT_FOUND' },
  'StateService/ListStates': { scope: 'tasks:read', request: () => ({}), stranger: { states: [], nextCursor: '' } },
  'StateService/DeleteState': { scope: 'tasks:write', request: ({ stateKey: key }) => ({ key }), stranger: { deleted: false } },
  'WorkerService/ProcessJobs': {
    scope: 'workers',
    request: ({ queue }) => ({ subscribe: { queue, functions: ['theirs'], maxInFlight: 10 } }),
    stranger: 'silence',
  },
  'KeyService/CreateKey': {
    scope: 'admin',
    request: () => ({ name: 'mine', scopes: ['tasks:read'] }),
    stranger: { key: { tenant: 'stranger' } },
  },
  'KeyService/ListKeys': { scope: 'admin', request: () => ({}), stranger: {} },
  'KeyService/RevokeKey': { scope: 'admin', request: ({ keyId }) => ({ keyId }), stranger: 'NOT_FOUND' },
  'AccountService/GetRateLimit': { request: () => ({}), stranger: { limit: 0, remaining: 0, resetAt: null } },
  'AccountService/GetQuotas': {
    request: () => ({}),
    stranger: { quotas: ['queues', 'streams', 'kv_stores'].map((type) => ({ type, current: '0', limit: '10000' })) },
  },
  'TokenService/CreateToken': { request: () => ({ scopes: ['tasks:read'] }), stranger: {} },
  'StreamService/WriteMessages': {
    scope: 'streams:write',
    request: ({ store }) => ({ stream: store, messages: [{ payload: json('mine') }] }),
    stranger: { offsets: ['0'] },
  },
  'StreamService/WriteBatches': {
    scope: 'streams:write',
    request: ({ store }) => ({ stream: store, batches: [{ messages: [{ payload: json('mine') }] }] }),
    stranger: { results: [{ offsets: ['0'] }] },
  },
  'StreamService/ReadMessages': { scope: 'streams:read', request: partitionOf, stranger: 'NOT_FOUND' },
  'StreamService/SubscribeMessages': { scope: 'streams:read', request: partitionOf, stranger: 'NOT_FOUND' },
  'StreamService/SubscribeGroup': {
    scope: 'streams:write',
    request: ({ store }) => ({ stream: store, group: 'g' }),
    stranger: 'NOT_FOUND',
  },
  'StreamService/CommitOffsets': {
    scope: 'streams:write',
    request: ({ store }) => ({ stream: store, commits: [{ group: 'g', partition: 0, offset: 0 }] }),
    stranger: 'NOT_FOUND',
  },
  'StreamService/GetGroup': { scope: 'streams:read', request: ({ store }) => ({ stream: store, group: 'g' }), stranger: 'NOT_FOUND' },
  'StreamService/PutStream': { scope: 'streams:write', request: streamOf, stranger: { stream: { partitions: [{ latestOffset: '-1' }] } } },
  'StreamService/GetStream': { scope: 'streams:read', request: streamOf, stranger: 'NOT_FOUND' },
  'StreamService/ListStreams': { scope: 'streams:read', request: () => ({}), stranger: { streams: [], nextCursor: '' } },
  'StreamService/DeleteStream': { scope: 'streams:write', request: streamOf, stranger: 'NOT_FOUND' },
  'KvService/WriteEntries': {
    scope: 'kv:write',
    request: ({ store }) => ({ store, writes: [{ key: store, delete: {} }] }),
    stranger: { results: [{ deleted: false, error: null }] },
  },
  'KvService/ReadEntries': {
    scope: 'kv:read',
    request: ({ store }) => ({ store, keys: [store] }),
    stranger: { results: [{ entry: null }] },
  },
  'KvService/SetEntry': {
    scope: 'kv:write',
    request: ({ store }) => ({ store, key: 'mine', value: json(1) }),
    stranger: { revision: '1' },
  },
  'KvService/GetEntry': { scope: 'kv:read', request: keyOf, stranger: 'NOT_FOUND' },
  'KvService/DeleteEntry': { scope: 'kv:write', request: keyOf, stranger: { deleted: false } },
  'KvService/IncrementEntry': { scope: 'kv:write', request: ({ store }) => ({ store, key: 'count' }), stranger: { number: '1' } },
  'KvService/ListEntries': { scope: 'kv:read', request: keyOf, stranger: { entries: [], nextCursor: '' } },
  'KvService/ListEntryHistory': { scope: 'kv:read', request: keyOf, stranger: { versions: [] } },
  'KvService/WatchEntries': { scope: 'kv:read', request: ({ store }) => ({ store, afterRevision: 0 }), stranger: { changes: [] } },
  'KvService/GetKvStore': { scope: 'kv:read', request: keyOf, stranger: { store: { history: 1, revision: '0' } } },
  'KvService/UpdateKvStore': { scope: 'kv:write', request: keyOf, stranger: { store: { history: 1 } } },
  'KvService/ListKvStores': { scope: 'kv:read', request: () => ({}), stranger: { stores: [], nextCursor: '' } },
  'WebhookService/CreateWebhook': {
    scope: 'webhooks:write',
    request: ({ store: name }) => ({ name, url: 'https://example.com/' }),
    stranger: { webhook: { url: 'https://example.com/' } },
  },
  'WebhookService/GetWebhook': { scope: 'webhooks:read', request: webhookOf, stranger: 'NOT_FOUND' },
  'WebhookService/ListWebhooks': { scope: 'webhooks:read', request: () => ({}), stranger: { webhooks: [], nextCursor: '' } },
  'WebhookService/UpdateWebhook': {
    scope: 'webhooks:write',
    request: ({ store: name }) => ({ name, enabled: true }),
    stranger: 'NOT_FOUND',
  },
  'WebhookService/DeleteWebhook': { scope: 'webhooks:write', request: webhookOf, stranger: { deleted: false } },
  'WebhookService/RotateWebhookSecret': { scope: 'webhooks:write', request: webhookOf, stranger: 'NOT_FOUND' },
  'WebhookService/TestWebhook': { scope: 'webhooks:write', request: webhookOf, stranger: 'NOT_FOUND' },
  'WebhookService/ListWebhookDeliveries': { scope: 'webhooks:read', request: webhookOf, stranger: 'NOT_FOUND' },
  'WebhookService/RedeliverWebhook': {
    scope: 'webhooks:write',
    request: ({ store: name, deliveryId }) => ({ name, deliveryId }),
    stranger: 'NOT_FOUND',
  },
  'ClusterService/GetHealth': { request: () => ({}), stranger: { healthy: true } },
  'ClusterService/WatchHealth': { request: () => ({}), stranger: { health: { healthy: true, queue: { depth: '0' } } } },
  'ClusterService/ListWorkers': { scope: 'queues:read', request: () => ({}), stranger: { workers: [] } },
}
