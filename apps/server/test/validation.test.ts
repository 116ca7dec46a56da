import { BackoffStrategy, type JobState, type NewJob, type NewTask, type RetryPolicy, type Settlement } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { type Clients, failureOf, newJob, newTask, startTestServer } from './harness.ts'

const policy: RetryPolicy = {
  maxAttempts: 3,
  initialBackoffMs: 0,
  maxBackoffMs: 0,
  multiplier: 0,
  strategy: BackoffStrategy.UNSPECIFIED,
  jitter: 0,
}
const tooMany = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']))
const week = 7 * 24 * 3_600_000

/** One wrong task each, and the path of its wrong field. */
const wrongTasks: [string, Partial<NewTask>, string][] = [
  ['a function with a blank', { function: 'a b' }, 'function'],
  ['a function of 256 characters', { function: 'x'.repeat(256) }, 'function'],
  ['a function of another script', { function: 'работа' }, 'function'],
  ['a queue with a newline', { queue: 'a\n' }, 'queue'],
  ['a payload above the limit', { payload: Buffer.alloc(2049) }, 'payload'],
  ['a content type of 256 characters', { contentType: 'x'.repeat(256) }, 'contentType'],
  ['priority 101', { priority: 101 }, 'priority'],
  ['priority -101', { priority: -101 }, 'priority'],
  ['a negative timeout', { timeoutMs: -1 }, 'timeoutMs'],
  ['a timeout of eight days', { timeoutMs: week + 1 }, 'timeoutMs'],
  ['a negative delay', { delayMs: -1 }, 'delayMs'],
  ['a delay of two years', { delayMs: 2 * 366 * 24 * 3_600_000 }, 'delayMs'],
  ['both delay and time', { delayMs: 1, runAt: new Date() }, 'delayMs'],
  ['a time before 1970', { runAt: new Date(-1000) }, 'runAt'],
  ['an idempotency key of 256 characters', { idempotencyKey: 'x'.repeat(256) }, 'idempotencyKey'],
  ['33 labels', { labels: tooMany(33) }, 'labels'],
  ['a label without a name', { labels: { '': 'v' } }, 'labels'],
  ['a label of 256 characters', { labels: { a: 'x'.repeat(256) } }, 'labels'],
  ['65 headers', { headers: tooMany(65) }, 'headers'],
  ['a header with a bad name', { headers: { 'a b': 'v' } }, 'headers'],
  ['a header of more than 4 KiB', { headers: { a: 'ü'.repeat(2049) } }, 'headers'],
  ['1001 attempts', { retry: { ...policy, maxAttempts: 1001 } }, 'retry.maxAttempts'],
  ['negative attempts', { retry: { ...policy, maxAttempts: -1 } }, 'retry.maxAttempts'],
  ['a negative backoff', { retry: { ...policy, initialBackoffMs: -1 } }, 'retry.initialBackoffMs'],
  ['a backoff of eight days', { retry: { ...policy, maxBackoffMs: week + 1 } }, 'retry.maxBackoffMs'],
  ['a multiplier that is not a number', { retry: { ...policy, multiplier: Number.NaN } }, 'retry.multiplier'],
  ['a multiplier below one', { retry: { ...policy, multiplier: 0.5 } }, 'retry.multiplier'],
  ['an infinite multiplier', { retry: { ...policy, multiplier: Number.POSITIVE_INFINITY } }, 'retry.multiplier'],
  ['a jitter that is not a number', { retry: { ...policy, jitter: Number.NaN } }, 'retry.jitter'],
  ['a jitter above one', { retry: { ...policy, jitter: 1.1 } }, 'retry.jitter'],
  ['an unknown strategy', { retry: { ...policy, strategy: 9 as BackoffStrategy } }, 'retry.strategy'],
]

const settings = { payloadLimit: 2048 }

describe('submitting', () => {
  it.each(wrongTasks)('refuses %s, and says where', async (_, task, path) => {
    const { admin } = await startTestServer(settings)
    const single = await failureOf(admin.tasks.submitTask({ task: newTask(task), requestId: '' }))
    expect(single.code).toBe(3)
    expect(single.details).toMatchObject({ reason: 'VALIDATION', fields: [{ path: `task.${path}` }] })
    expect(single.details.message).toContain(`task.${path}: ${single.details.fields![0]!.message}`)
    const batch = { tasks: [newTask(), newTask(task)], requestId: '', batch: false }
    const all = await failureOf(admin.tasks.submitTasks({ ...batch, allowPartial: false }))
    expect(all.details).toMatchObject({ reason: 'VALIDATION', fields: [{ path: `tasks[1].${path}` }] })
    const { results } = await admin.tasks.submitTasks({ ...batch, allowPartial: true })
    expect(results[0]).toMatchObject({ created: true, error: undefined })
    expect(results[1]).toMatchObject({
      taskId: '',
      created: false,
      error: { reason: 'VALIDATION', fields: [{ path: `tasks[1].${path}` }] },
    })
    expect((await admin.tasks.listTasks(listAll)).tasks).toHaveLength(1)
  })

  it('takes everything at its limit', async () => {
    const { admin } = await startTestServer(settings)
    const task = newTask({
      function: 'x'.repeat(255),
      queue: 'aZ09._:/-',
      payload: Buffer.alloc(2048),
      priority: -100,
      timeoutMs: week,
      delayMs: 366 * 24 * 3_600_000,
      idempotencyKey: 'ü'.repeat(255),
      labels: { ...tooMany(31), a: '漢'.repeat(255) },
      headers: { ...tooMany(63), a: 'x'.repeat(4096) },
      retry: {
        maxAttempts: 1000,
        initialBackoffMs: week,
        maxBackoffMs: week,
        multiplier: 100,
        strategy: BackoffStrategy.LINEAR,
        jitter: 1,
      },
    })
    const { taskId } = await admin.tasks.submitTask({ task, requestId: 'r'.repeat(64) })
    const stored = (await admin.tasks.getTask({ taskId })).task!
    expect(stored).toMatchObject({ function: task.function, queue: task.queue, priority: -100, labels: task.labels, maxAttempts: 1000 })
    expect(stored.payload).toEqual(task.payload)
  })

  it('tells of every wrong field at once, but of no more than 10', async () => {
    const { admin } = await startTestServer(settings)
    const two = await failureOf(admin.tasks.submitTask({ task: newTask({ priority: 500, queue: '?' }), requestId: '' }))
    expect(two.details.fields!.map(({ path }) => path)).toEqual(['task.priority', 'task.queue'])
    const tasks = Array.from({ length: 1000 }, () => newTask({ priority: 500 }))
    const many = await failureOf(admin.tasks.submitTasks({ tasks, requestId: '', allowPartial: false, batch: false }))
    expect(many.details.fields).toHaveLength(10)
    expect(many.details.message).toContain('and 999 more wrong fields')
  })

  it('refuses an empty batch, a missing task and an overlong request id', async () => {
    const { admin } = await startTestServer(settings)
    expect(await pathsOf(admin.tasks.submitTask({ task: undefined, requestId: '' }))).toEqual(['task'])
    expect(await pathsOf(admin.tasks.submitTasks({ tasks: [], requestId: '', allowPartial: true, batch: true }))).toEqual(['tasks'])
    const job: NewJob = newJob()
    const request = { queue: 'q', jobs: [job], allowPartial: false }
    expect(await pathsOf(admin.queues.enqueueJobs({ ...request, requestId: 'x'.repeat(65) }))).toEqual(['requestId'])
    expect(await pathsOf(admin.queues.enqueueJobs({ ...request, queue: '', requestId: '' }))).toEqual(['queue'])
    const attempts = { ...request, jobs: [newJob({ maxAttempts: -1 })], requestId: '' }
    expect(await pathsOf(admin.queues.enqueueJobs(attempts))).toEqual(['jobs[0].maxAttempts'])
  })
})

describe('a request id of another request', () => {
  const batch = {
    messages: [{ payload: Buffer.from('1'), contentType: '', headers: {}, key: '', partition: undefined }],
    producer: undefined,
  }
  const value = { value: Buffer.from('1'), contentType: '', ttlMs: 0, ifRevision: undefined, ifAbsent: false }
  const entry = { key: 'a', action: { $case: 'set', value } } as const

  it.each<[string, (client: Clients, items: number) => Promise<unknown>]>([
    ['jobs', ({ queues }, n) => queues.enqueueJobs({ queue: 'q', jobs: Array(n).fill(newJob()), allowPartial: false, requestId: 'r' })],
    ['keys', ({ kv }, n) => kv.writeEntries({ store: 's', writes: Array(n).fill(entry), allowPartial: false, requestId: 'r' })],
    ['messages', ({ streams }, n) => streams.writeBatches({ stream: 's', batches: Array(n).fill(batch), requestId: 'r' })],
  ])('is refused, and a repeat is not: %s', async (_, write) => {
    const { admin } = await startTestServer(settings)
    const first = await write(admin, 2)
    expect(await write(admin, 2)).toEqual(first)
    for (const items of [1, 3]) {
      const { details } = await failureOf(write(admin, items))
      expect(details).toMatchObject({ reason: 'CONFLICT', message: expect.stringContaining(`(2, and here are ${items})`) })
    }
  })
})

describe('other requests', () => {
  it.each<[string, (client: Clients) => Promise<unknown>, string]>([
    [
      'a receive of 1001',
      ({ queues }) => queues.receiveJobs({ queue: 'q', maxJobs: 1001, leaseMs: 0, waitMs: 0, workerId: '' }),
      'maxJobs',
    ],
    ['a receive of -1', ({ queues }) => queues.receiveJobs({ queue: 'q', maxJobs: -1, leaseMs: 0, waitMs: 0, workerId: '' }), 'maxJobs'],
    ['a lease of 999 ms', ({ queues }) => queues.receiveJobs({ queue: 'q', maxJobs: 1, leaseMs: 999, waitMs: 0, workerId: '' }), 'leaseMs'],
    [
      'a lease of 13 h',
      ({ queues }) => queues.receiveJobs({ queue: 'q', maxJobs: 1, leaseMs: 46_800_000, waitMs: 0, workerId: '' }),
      'leaseMs',
    ],
    ['a wait of 61 s', ({ queues }) => queues.receiveJobs({ queue: 'q', maxJobs: 1, leaseMs: 0, waitMs: 61_000, workerId: '' }), 'waitMs'],
    [
      'a worker with a blank',
      ({ queues }) => queues.receiveJobs({ queue: 'q', maxJobs: 1, leaseMs: 0, waitMs: 0, workerId: 'a b' }),
      'workerId',
    ],
    ['a page of 1001', ({ tasks }) => tasks.listTasks({ ...listAll, limit: 1001 }), 'limit'],
    ['a page of -1', ({ queues }) => queues.listQueues({ limit: -1, cursor: '' }), 'limit'],
    ['a cursor that is none', ({ tasks }) => tasks.listTasks({ ...listAll, cursor: 'nonsense' }), 'cursor'],
    ['a batch that is none', ({ tasks }) => tasks.listTasks({ ...listAll, batchId: 'nonsense' }), 'batchId'],
    ['a state that is none', ({ tasks }) => tasks.listTasks({ ...listAll, states: [99 as JobState] }), 'states'],
    ['no id of a task', ({ tasks }) => tasks.getTask({ taskId: '' }), 'taskId'],
    ['1001 ids', ({ tasks }) => tasks.getTasks({ taskIds: Array.from({ length: 1001 }, () => 'x') }), 'taskIds'],
    ['a reason of 1025 characters', ({ tasks }) => tasks.cancelTask({ taskId: 'task_1', reason: 'x'.repeat(1025) }), 'reason'],
    ['a negative depth', ({ queues }) => queues.updateQueue({ queue: 'q', retryPolicy: undefined, maxDepth: -1 }), 'maxDepth'],
    ['a replay of nothing', ({ queues }) => queues.replayDeadLetters({ queue: 'q', jobId: '', all: false }), 'jobId'],
    ['a replay of one and all', ({ queues }) => queues.replayDeadLetters({ queue: 'q', jobId: 'job_1', all: true }), 'jobId'],
    ['a purge without confirm', ({ queues }) => queues.purgeDeadLetters({ queue: 'q', confirm: false }), 'confirm'],
    [
      'a key without a name',
      ({ keys }) => keys.createKey({ name: ' ', tenant: '', scopes: [], namespaces: [], rateLimit: 0, expiresAt: undefined }),
      'name',
    ],
    [
      'an unknown scope',
      ({ keys }) => keys.createKey({ name: 'k', tenant: '', scopes: ['x'], namespaces: [], rateLimit: 0, expiresAt: undefined }),
      'scopes[0]',
    ],
    [
      'a bad namespace',
      ({ keys }) => keys.createKey({ name: 'k', tenant: '', scopes: [], namespaces: ['?'], rateLimit: 0, expiresAt: undefined }),
      'namespaces[0]',
    ],
    [
      'a key of the past',
      ({ keys }) => keys.createKey({ name: 'k', tenant: '', scopes: [], namespaces: [], rateLimit: 0, expiresAt: new Date(1) }),
      'expiresAt',
    ],
    [
      'a limit of a million and one',
      ({ keys }) => keys.createKey({ name: 'k', tenant: '', scopes: [], namespaces: [], rateLimit: 1_000_001, expiresAt: undefined }),
      'rateLimit',
    ],
  ])('refuse %s', async (_, call, path) => {
    const { admin } = await startTestServer()
    expect(await pathsOf(call(admin))).toEqual([path])
  })

  it('find nothing under an id that is none, or another kind’s', async () => {
    const { admin } = await startTestServer()
    const { results } = await admin.queues.enqueueJobs({ queue: 'q', jobs: [newJob()], requestId: '', allowPartial: false })
    const { jobId } = results[0]!
    const { taskId } = await admin.tasks.submitTask({ task: newTask(), requestId: '' })
    const asTask = jobId.replace('job_', 'task_')
    for (const id of ['nonsense', 'task_', jobId, asTask, taskId.toUpperCase(), `${taskId}0`]) {
      for (const call of [
        admin.tasks.getTask({ taskId: id }),
        admin.tasks.cancelTask({ taskId: id, reason: '' }),
        admin.tasks.retryTask({ taskId: id }),
        admin.tasks.listTaskLogs({ taskId: id, afterSequence: 0, limit: 0 }),
      ]) {
        expect((await failureOf(call)).details).toMatchObject({ reason: 'NOT_FOUND', resource: 'task', id })
      }
    }
    const { tasks } = await admin.tasks.getTasks({ taskIds: ['nonsense', jobId, asTask, taskId, taskId] })
    expect(tasks.map((task) => task.taskId)).toEqual([taskId, taskId])
    const elsewhere = await failureOf(admin.queues.getJob({ queue: 'other', jobId }))
    expect(elsewhere.details).toMatchObject({ reason: 'NOT_FOUND', resource: 'job', id: jobId })
    expect((await failureOf(admin.keys.revokeKey({ keyId: jobId, tenant: '' }))).details).toMatchObject({
      reason: 'NOT_FOUND',
      resource: 'key',
    })
  })
})

describe('settling', () => {
  it('refuses wrong settlements in their places and carries out the others', async () => {
    const { admin } = await startTestServer(settings)
    await admin.queues.enqueueJobs({ queue: 'q', jobs: [newJob(), newJob()], requestId: '', allowPartial: false })
    const { jobs } = await admin.queues.receiveJobs({ queue: 'q', maxJobs: 2, leaseMs: 0, waitMs: 0, workerId: '' })
    const [first, second] = jobs
    const complete: Settlement['action'] = {
      $case: 'complete',
      value: { result: Buffer.from('1'), contentType: '', state: undefined, deleteState: false, proof: undefined },
    }
    const of = (job: { jobId: string; leaseToken: string }, action: Settlement['action']) => ({ ...job, action })
    const { results } = await admin.queues.settleJobs({
      settlements: [
        of(first!, {
          $case: 'complete',
          value: { result: Buffer.alloc(2049), contentType: '', state: undefined, deleteState: false, proof: undefined },
        }),
        of(first!, { $case: 'progress', value: { percent: Number.NaN, message: '' } }),
        of(first!, { $case: 'renew', value: { leaseMs: 5 } }),
        of(first!, { $case: 'fail', value: { error: undefined, noRetry: false, delayMs: -1 } }),
        of(first!, { $case: 'log', value: { entries: [{ timestamp: undefined, level: 0, message: '', fieldsJson: '[1]', sequence: 0 }] } }),
        of(first!, undefined),
        of({ ...first!, leaseToken: '' }, complete),
        of({ ...first!, leaseToken: 'nonsense' }, complete),
        of({ ...first!, leaseToken: '12345' }, complete),
        of({ ...first!, jobId: 'nonsense' }, complete),
        of(first!, complete),
        of(second!, { $case: 'renew', value: { leaseMs: 60_000 } }),
      ],
    })
    expect(results.map(({ error }) => error && [error.reason, error.fields[0]?.path])).toEqual([
      ['VALIDATION', 'settlements[0].complete.result'],
      ['VALIDATION', 'settlements[1].progress.percent'],
      ['VALIDATION', 'settlements[2].renew.leaseMs'],
      ['VALIDATION', 'settlements[3].fail.delayMs'],
      ['VALIDATION', 'settlements[4].log.entries'],
      ['VALIDATION', 'settlements[5].action'],
      ['VALIDATION', 'settlements[6].leaseToken'],
      ['CONFLICT', undefined],
      ['CONFLICT', undefined],
      ['NOT_FOUND', undefined],
      undefined,
      undefined,
    ])
    expect(results[11]!.leaseExpiresAt!.getTime()).toBeGreaterThan(second!.leaseExpiresAt!.getTime())
    const stale = await failureOf(
      admin.queues.completeJob({ queue: 'q', jobId: second!.jobId, leaseToken: '1', result: Buffer.alloc(0), contentType: '' }),
    )
    expect(stale).toMatchObject({ code: 10, details: { reason: 'CONFLICT' } })
  })

  it('keeps no more of long texts than it says', async () => {
    const { admin } = await startTestServer()
    await admin.queues.enqueueJobs({ queue: 'q', jobs: [newJob()], requestId: '', allowPartial: false })
    const { jobs } = await admin.queues.receiveJobs({ queue: 'q', maxJobs: 1, leaseMs: 0, waitMs: 0, workerId: '' })
    const { jobId, leaseToken } = jobs[0]!
    const error = { message: '漢'.repeat(10_000), code: 'c'.repeat(1000), stack: 's'.repeat(100_000) }
    await admin.queues.failJob({ queue: 'q', jobId, leaseToken, error, noRetry: true, delayMs: undefined })
    const { job } = await admin.queues.getJob({ queue: 'q', jobId })
    expect(job!.error!.message).toBe('漢'.repeat(5461))
    expect(job!.error!.code).toHaveLength(255)
    expect(job!.error!.stack).toHaveLength(16_384)
  })
})

const listAll = { labels: {}, states: [], function: '', queue: '', batchId: '', limit: 0, cursor: '' }

async function pathsOf(call: Promise<unknown>): Promise<string[]> {
  const { code, details } = await failureOf(call)
  expect(code).toBe(3)
  return details.fields!.map(({ path }) => path)
}
