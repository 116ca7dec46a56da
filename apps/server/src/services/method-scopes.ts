import type {
  AccountServiceDefinition,
  ClusterServiceDefinition,
  KeyServiceDefinition,
  KvServiceDefinition,
  PipelineServiceDefinition,
  QueueServiceDefinition,
  ScheduleServiceDefinition,
  StateServiceDefinition,
  StreamServiceDefinition,
  TaskServiceDefinition,
  TokenServiceDefinition,
  WebhookServiceDefinition,
  WorkerServiceDefinition,
} from '@millrace/protocol'
import type { ApiScope } from '../domain/keys/api-scopes.ts'

/** What a method needs: a scope, or nothing but a valid key. */
export type RequiredScope = ApiScope | 'any key'

type Rows<D extends { readonly methods: object }> = Readonly<Record<keyof D['methods'], RequiredScope>>

const taskService: Rows<typeof TaskServiceDefinition> = {
  submitTask: 'tasks:write',
  submitTasks: 'tasks:write',
  getTask: 'tasks:read',
  getTasks: 'tasks:read',
  getTaskProof: 'tasks:read',
  listTasks: 'tasks:read',
  cancelTask: 'tasks:write',
  retryTask: 'tasks:write',
  watchTask: 'tasks:read',
  watchTasks: 'tasks:read',
  followTasks: 'tasks:read',
  followTaskSet: 'tasks:read',
  listTaskLogs: 'tasks:read',
  tailTaskLogs: 'tasks:read',
}

const queueService: Rows<typeof QueueServiceDefinition> = {
  enqueueJobs: 'queues:write',
  receiveJobs: 'queues:write',
  streamJobs: 'queues:write',
  completeJob: 'queues:write',
  failJob: 'queues:write',
  renewLease: 'queues:write',
  settleJobs: 'queues:write',
  getJob: 'queues:read',
  cancelJob: 'queues:write',
  getQueueStats: 'queues:read',
  watchQueueStats: 'queues:read',
  getQueue: 'queues:read',
  updateQueue: 'queues:write',
  listQueues: 'queues:read',
  pauseQueue: 'queues:write',
  resumeQueue: 'queues:write',
  listDeadLetters: 'queues:read',
  replayDeadLetters: 'queues:write',
  purgeDeadLetters: 'queues:write',
}

const pipelineService: Rows<typeof PipelineServiceDefinition> = {
  createPipeline: 'tasks:write',
  getPipeline: 'tasks:read',
  listPipelines: 'tasks:read',
  getStageResult: 'tasks:read',
  cancelPipeline: 'tasks:write',
  retryPipeline: 'tasks:write',
  watchPipeline: 'tasks:read',
}

const scheduleService: Rows<typeof ScheduleServiceDefinition> = {
  createSchedule: 'schedules:write',
  getSchedule: 'schedules:read',
  listSchedules: 'schedules:read',
  updateSchedule: 'schedules:write',
  deleteSchedule: 'schedules:write',
  pauseSchedule: 'schedules:write',
  resumeSchedule: 'schedules:write',
  triggerSchedule: 'schedules:write',
  listScheduleRuns: 'schedules:read',
}

const stateService: Rows<typeof StateServiceDefinition> = {
  getState: 'tasks:read',
  listStates: 'tasks:read',
  deleteState: 'tasks:write',
}

const workerService: Rows<typeof WorkerServiceDefinition> = { processJobs: 'workers' }

const clusterService: Rows<typeof ClusterServiceDefinition> = {
  getHealth: 'any key',
  watchHealth: 'any key',
  listWorkers: 'queues:read',
}

const accountService: Rows<typeof AccountServiceDefinition> = { getRateLimit: 'any key', getQuotas: 'any key' }

const keyService: Rows<typeof KeyServiceDefinition> = { createKey: 'admin', listKeys: 'admin', revokeKey: 'admin' }

const tokenService: Rows<typeof TokenServiceDefinition> = { createToken: 'any key' }
const kvService: Rows<typeof KvServiceDefinition> = {
  writeEntries: 'kv:write',
  readEntries: 'kv:read',
  setEntry: 'kv:write',
  getEntry: 'kv:read',
  deleteEntry: 'kv:write',
  incrementEntry: 'kv:write',
  listEntries: 'kv:read',
  listEntryHistory: 'kv:read',
  watchEntries: 'kv:read',
  getKvStore: 'kv:read',
  updateKvStore: 'kv:write',
  listKvStores: 'kv:read',
}

const streamService: Rows<typeof StreamServiceDefinition> = {
  writeMessages: 'streams:write',
  writeBatches: 'streams:write',
  readMessages: 'streams:read',
  subscribeMessages: 'streams:read',
  subscribeGroup: 'streams:write',
  commitOffsets: 'streams:write',
  getGroup: 'streams:read',
  putStream: 'streams:write',
  getStream: 'streams:read',
  listStreams: 'streams:read',
  deleteStream: 'streams:write',
}

const webhookService: Rows<typeof WebhookServiceDefinition> = {
  createWebhook: 'webhooks:write',
  getWebhook: 'webhooks:read',
  listWebhooks: 'webhooks:read',
  updateWebhook: 'webhooks:write',
  deleteWebhook: 'webhooks:write',
  rotateWebhookSecret: 'webhooks:write',
  testWebhook: 'webhooks:write',
  listWebhookDeliveries: 'webhooks:read',
  redeliverWebhook: 'webhooks:write',
}

/** The one table of what each method of each service needs. A method without a row cannot be served. */
export const methodScopes: Readonly<Record<string, Readonly<Record<string, RequiredScope>>>> = {
  'millrace.v1.TaskService': taskService,
  'millrace.v1.QueueService': queueService,
  'millrace.v1.PipelineService': pipelineService,
  'millrace.v1.ScheduleService': scheduleService,
  'millrace.v1.StateService': stateService,
  'millrace.v1.WorkerService': workerService,
  'millrace.v1.ClusterService': clusterService,
  'millrace.v1.AccountService': accountService,
  'millrace.v1.KeyService': keyService,
  'millrace.v1.TokenService': tokenService,
  'millrace.v1.KvService': kvService,
  'millrace.v1.StreamService': streamService,
  'millrace.v1.WebhookService': webhookService,
}
