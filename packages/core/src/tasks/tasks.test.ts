import { TeePlatform } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import {
  AuthenticationError,
  ConflictError,
  InternalError,
  MillraceError,
  TaskNotFoundError,
  UnavailableError,
  ValidationError,
} from '../errors/errors.ts'
import { decodePayload } from '../payload.ts'
import { collect, json, setUp, wireTask } from '../testing/setup.ts'
import type { SubmitTaskOptions } from './types.ts'

const empty = new Uint8Array()

/** A server that takes tasks. */
function setUpTasks() {
  const { clock, transport, mr } = setUp({ circuitBreaker: false })
  let count = 0
  transport.on('TaskService/SubmitTasks', ({ tasks, batch }) => ({
    results: tasks.map(() => ({ taskId: `task_${++count}`, created: true, error: undefined })),
    batchId: batch ? 'batch_1' : '',
  }))
  const submitted = () => transport.requests('TaskService/SubmitTasks').flatMap((request) => request.tasks)
  return { clock, transport, tasks: mr.tasks, submitted }
}

describe('submit', () => {
  test('concurrent calls share a request', async () => {
    const { transport, tasks } = setUpTasks()
    const handles = await Promise.all([1, 2, 3].map((n) => tasks.submit({ payload: n })))
    expect(handles.map((handle) => [handle.taskId, handle.created])).toEqual([
      ['task_1', true],
      ['task_2', true],
      ['task_3', true],
    ])
    expect(transport.requests('TaskService/SubmitTasks')).toHaveLength(1)
    expect(transport.requests('TaskService/SubmitTasks')[0]).toMatchObject({ allowPartial: true, batch: false })
  })

  test('sends every option', async () => {
    const { tasks, submitted } = setUpTasks()
    const runAt = new Date('2031-01-01')
    await tasks.submit({
      function: 'resize',
      payload: { a: 1 },
      type: 'stateful',
      stateKey: 'session',
      initialState: { n: 0 },
      stateTtl: '1h',
      priority: 'high',
      timeout: '5m',
      idempotencyKey: 'once',
      labels: { env: 'test' },
      headers: { trace: '7' },
      delay: '1s',
      runAt,
      retry: { maxAttempts: 5, strategy: 'linear' },
      queue: 'media',
      concurrency: { key: 'c', limit: 2 },
      rateLimit: { key: 'r', limit: 3, per: '1m' },
      fairKey: 'f',
      debounce: { key: 'd', delay: '2s', maxDelay: '10s' },
      deduplicate: { key: 'u', window: '3s' },
      expiresIn: '1d',
    })
    expect(submitted()).toEqual([
      {
        function: 'resize',
        payload: json({ a: 1 }),
        contentType: '',
        priority: 10,
        timeoutMs: 300_000,
        idempotencyKey: 'once',
        labels: { env: 'test' },
        headers: { trace: '7' },
        delayMs: 1000,
        runAt,
        retry: { maxAttempts: 5, initialBackoffMs: 1000, maxBackoffMs: 300_000, multiplier: 2, strategy: 2, jitter: 0.2 },
        queue: 'media',
        stateKey: 'session',
        initialState: { data: json({ n: 0 }), contentType: '' },
        stateTtlMs: 3_600_000,
        teeRequired: false,
        concurrency: { key: 'c', limit: 2 },
        rateLimit: { key: 'r', limit: 3, perMs: 60_000 },
        fairKey: 'f',
        debounce: { key: 'd', delayMs: 2000, maxDelayMs: 10_000 },
        deduplicate: { key: 'u', windowMs: 3000 },
        expiresInMs: 86_400_000,
      },
    ])
  })

  test('takes what is not wanted as not said', async () => {
    const { tasks, submitted } = setUpTasks()
    const [no, none] = [false, null] as unknown as undefined[]
    await tasks.submit({ concurrency: none, rateLimit: none, debounce: none, deduplicate: none, retry: none })
    await tasks.submit({ concurrency: no, rateLimit: no, debounce: no, deduplicate: no })
    const nothing = { concurrency: undefined, rateLimit: undefined, debounce: undefined, deduplicate: undefined, retry: undefined }
    expect(submitted()).toMatchObject([nothing, nothing])
    // It could mean a single attempt.
    await expect(tasks.submit({ retry: no })).rejects.toMatchObject({ name: 'ValidationError', fields: [{ path: 'retry' }] })
  })

  test.each<[SubmitTaskOptions, string]>([
    [{ function: 'given', payload: { function: 'inside' } }, 'given'],
    [{ payload: { function: 'inside' } }, 'inside'],
    [{ payload: { function: 7 } }, 'default'],
    [{ payload: 'text' }, 'default'],
    [{ payload: null }, 'default'],
    [{}, 'default'],
  ])('%j is handled by %s', async (options, name) => {
    const { tasks, submitted } = setUpTasks()
    await tasks.submit(options)
    expect(submitted()[0]?.function).toBe(name)
  })

  test.each([
    ['low', -10],
    ['normal', 0],
    ['high', 10],
    ['critical', 100],
    [42, 42],
    [undefined, 0],
  ] as const)('priority %s is %d', async (priority, number) => {
    const { tasks, submitted } = setUpTasks()
    await tasks.submit({ priority })
    expect(submitted()[0]?.priority).toBe(number)
  })

  test.each<[string, SubmitTaskOptions]>([
    ['type', { type: 'eternal' as 'stateless' }],
    ['stateKey', { type: 'stateful' }],
    ['stateKey', { type: 'stateless', stateKey: 'x' }],
    ['stateTtl', { stateKey: 'x', stateTtl: -1 }],
    ['initialState', { stateKey: 'x', initialState: 1n }],
    ['priority', { priority: 'urgent' as 'high' }],
    ['payload', { payload: 1n }],
    ['function', { function: 7 as unknown as string }],
    ['timeout', { timeout: -1 }],
    ['labels.a', { labels: { a: 1 as unknown as string } }],
    ['retry.strategy', { retry: { strategy: 'magic' as 'fixed' } }],
    ['retry.maxAttempts', { retry: { maxAttempts: 1.5 } }],
  ])('%s is checked before it travels', async (path, options) => {
    const { transport, tasks } = setUpTasks()
    await expect(tasks.submit(options)).rejects.toThrow(ValidationError)
    await expect(tasks.submit(options)).rejects.toMatchObject({ fields: [{ path }] })
    expect(transport.calls).toHaveLength(0)
  })

  test('the handle cancels its task', async () => {
    const { transport, tasks } = setUpTasks()
    transport.on('TaskService/CancelTask', ({ taskId, reason }) => ({ task: wireTask({ taskId, state: 7, message: reason }) }))
    const handle = await tasks.submit({})
    expect(await handle.cancel({ reason: 'not needed' })).toMatchObject({ taskId: 'task_1', status: 'cancelled', message: 'not needed' })
  })
})

describe('submitBatch', () => {
  test('is all or none, with defaults for every task', async () => {
    const { transport, tasks } = setUpTasks()
    const result = await tasks.submitBatch({
      tasks: [{ payload: 1 }, { payload: 2, priority: 'low', labels: { own: 'x' } }],
      priority: 'critical',
      labels: { all: 'y' },
      function: 'f',
    })
    expect(result).toEqual({ batchId: 'batch_1', taskIds: ['task_1', 'task_2'] })
    const [request] = transport.requests('TaskService/SubmitTasks')
    expect(request).toMatchObject({ allowPartial: false, batch: true })
    expect(request?.tasks.map((task) => [decodePayload('', task.payload, ''), task.function, task.priority, task.labels])).toEqual([
      [1, 'f', 100, { all: 'y' }],
      [2, 'f', -10, { own: 'x' }],
    ])
  })

  test('a refusal is the error of the whole', async () => {
    const { transport, tasks } = setUpTasks()
    transport.on('TaskService/SubmitTasks', () => {
      throw new ConflictError({ reason: 'ALREADY_EXISTS', message: 'used' })
    })
    await expect(tasks.submitBatch({ tasks: [{}] })).rejects.toThrow(ConflictError)
    await expect(tasks.submitBatch({ tasks: {} as never })).rejects.toThrow(ValidationError)
  })
})

describe('reading', () => {
  test('status and get show what the server knows', async () => {
    const { transport, tasks } = setUpTasks()
    const task = wireTask({
      taskId: 'task_1',
      state: 5,
      progress: 100,
      result: json({ ok: true }),
      payload: json([1]),
      startedAt: new Date(1000),
      finishedAt: new Date(1250),
      workerId: 'worker-1',
      batchId: 'batch_1',
      labels: { a: 'b' },
    })
    transport.on('TaskService/GetTasks', () => ({ tasks: [task] })).on('TaskService/GetTask', () => ({ task }))
    const status = { taskId: 'task_1', status: 'completed', progress: 100, message: '', result: { ok: true } }
    expect(await tasks.status('task_1')).toEqual(status)
    expect(await tasks.get('task_1')).toEqual({
      ...status,
      function: 'f',
      type: 'stateless',
      teeRequired: false,
      queue: 'default',
      priority: 0,
      payload: [1],
      labels: { a: 'b' },
      batchId: 'batch_1',
      attempts: 1,
      maxAttempts: 3,
      createdAt: new Date(0),
      startedAt: new Date(1000),
      finishedAt: new Date(1250),
      executedOn: 'worker-1',
      durationMs: 250,
    })
  })

  test('a task that does not exist, and an answer that lacks it', async () => {
    const { transport, tasks } = setUpTasks()
    transport.on('TaskService/GetTasks', () => ({ tasks: [] })).on('TaskService/GetTask', () => ({ task: undefined }))
    await expect(tasks.status('task_1')).rejects.toThrow(TaskNotFoundError)
    await expect(tasks.status('task_1')).rejects.toMatchObject({ resource: 'task', id: 'task_1' })
    await expect(tasks.get('task_1')).rejects.toThrow(InternalError)
  })

  test('statusBatch asks in pieces and leaves out what does not exist', async () => {
    const { transport, tasks } = setUpTasks()
    transport.on('TaskService/GetTasks', ({ taskIds }) => ({
      tasks: taskIds.filter((taskId) => taskId !== 'task_7').map((taskId) => wireTask({ taskId, state: 2 })),
    }))
    const statuses = await tasks.statusBatch(Array.from({ length: 1500 }, (_, i) => `task_${i}`))
    expect(Object.keys(statuses)).toHaveLength(1499)
    expect(statuses.task_8).toMatchObject({ status: 'pending' })
    expect(transport.requests('TaskService/GetTasks').map((request) => request.taskIds.length)).toEqual([1000, 500])
  })

  test('list filters and walks pages', async () => {
    const { transport, tasks } = setUpTasks()
    transport.on('TaskService/ListTasks', ({ cursor }) => ({
      tasks: [wireTask({ taskId: `task_${cursor}`, state: 5, result: json(1) })],
      nextCursor: cursor === '' ? 'next' : '',
    }))
    const options = { labels: { a: 'b' }, status: 'completed', function: 'f', queue: 'q', batchId: 'batch_1', limit: 1 } as const
    expect((await tasks.list(options)).nextCursor).toBe('next')
    expect((await collect(tasks.list(options))).map((task) => task.taskId)).toEqual(['task_', 'task_next'])
    expect(transport.requests('TaskService/ListTasks')[0]).toEqual({
      labels: { a: 'b' },
      states: [5],
      function: 'f',
      queue: 'q',
      batchId: 'batch_1',
      limit: 1,
      cursor: '',
    })
    await tasks.list({ status: ['failed', 'cancelled'] })
    expect(transport.requests('TaskService/ListTasks').at(-1)?.states).toEqual([6, 7])
    await expect(tasks.list({ status: 'done' as 'failed' })).rejects.toThrow(/'done' is not one of scheduled/)
  })

  test('retry runs it again', async () => {
    const { transport, tasks } = setUpTasks()
    transport.on('TaskService/RetryTask', ({ taskId }) => ({ task: wireTask({ taskId, state: 2 }) }))
    expect(await tasks.retry('task_1')).toMatchObject({ taskId: 'task_1', status: 'pending' })
  })
})

describe('logs', () => {
  const line = (sequence: number, level: 0 | 1 | 2 | 3 | 4 = 2) => ({
    timestamp: new Date(sequence),
    level,
    message: `line ${sequence}`,
    fieldsJson: sequence === 1 ? '{"a":1}' : '',
    sequence,
  })

  test('are a list', async () => {
    const { transport, tasks } = setUpTasks()
    transport.on('TaskService/ListTaskLogs', ({ afterSequence }) => ({
      entries: afterSequence === 0 ? [line(1, 1), line(2, 3)] : [line(3, 4)],
      more: afterSequence === 0,
    }))
    const page = await tasks.logs('task_1', { limit: 2 })
    expect(page.nextCursor).toBe('2')
    expect(page.items).toEqual([
      { timestamp: new Date(1), level: 'debug', message: 'line 1', fields: { a: 1 } },
      { timestamp: new Date(2), level: 'warn', message: 'line 2' },
    ])
    expect((await collect(tasks.logs('task_1'))).map((entry) => entry.level)).toEqual(['debug', 'warn', 'error'])
    await expect(tasks.logs('task_1', { cursor: 'x' })).rejects.toThrow(ValidationError)
  })

  test('followed, go on with the next line after a break, and end with the task', async () => {
    const { clock, transport, tasks } = setUpTasks()
    transport.onStream('TaskService/TailTaskLogs', async function* ({ afterSequence }) {
      yield { entries: [line(afterSequence + 1), line(afterSequence + 2)] }
      if (afterSequence < 4) throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'down' })
    })
    const all = collect(tasks.logs('task_1', { follow: true }))
    await clock.advance(10_000)
    expect((await all).map((entry) => entry.message)).toEqual(['line 1', 'line 2', 'line 3', 'line 4', 'line 5', 'line 6'])
  })

  test('show fields that are no JSON object as text', async () => {
    const { transport, tasks } = setUpTasks()
    transport.on('TaskService/ListTaskLogs', () => ({
      entries: ['{"a":1}', '[1]', '{broken'].map((fieldsJson) => ({ ...line(1), fieldsJson })),
      more: false,
    }))
    expect((await tasks.logs('task_1')).items.map((entry) => entry.fields)).toEqual([{ a: 1 }, { text: '[1]' }, { text: '{broken' }])
  })

  test('followed, fetch another token when theirs is refused', async () => {
    const { clock, transport, mr } = setUp({ token: async () => 'token' })
    let opened = 0
    transport.onStream('TaskService/TailTaskLogs', async function* () {
      if (++opened === 1) throw new AuthenticationError({ reason: 'UNAUTHENTICATED', message: 'expired' })
      yield { entries: [line(1)] }
    })
    const all = collect(mr.tasks.logs('task_1', { follow: true }))
    await clock.advance(1000)
    expect(await all).toHaveLength(1)
  })

  test('followed, end with what does not mend', async () => {
    const { transport, tasks } = setUpTasks()
    // biome-ignore lint/correctness/useYield: it fails before the first one.
    transport.onStream('TaskService/TailTaskLogs', async function* () {
      throw new TaskNotFoundError({ reason: 'NOT_FOUND', message: 'no' })
    })
    await expect(collect(tasks.logs('task_1', { follow: true }))).rejects.toThrow(MillraceError)
  })
})

describe('proof', () => {
  test('is of the task that was asked for, whatever the server answers', async () => {
    const { transport, tasks } = setUpTasks()
    transport.on('TaskService/GetTaskProof', () => ({
      taskId: 'task_other',
      function: 'score',
      proof: {
        attestation: { platform: TeePlatform.SIMULATED, quote: empty, endorsements: empty, publicKey: empty },
        payloadSha256: '',
        resultSha256: '',
        signature: empty,
        workerId: 'w',
        verdict: { measurement: '', signer: '', tcbStatus: 'UpToDate', advisories: [], verifiedAt: new Date(0) },
      },
    }))
    const { signed } = await tasks.proof('task_mine')
    expect(signed.statement).toMatchObject({ taskId: 'task_mine', function: 'score' })
  })
})
