import { expect, test } from 'vitest'
import {
  AbortError,
  AuthenticationError,
  InternalError,
  MillraceError,
  QuotaExceededError,
  RateLimitError,
  TimeoutError,
  UnavailableError,
  ValidationError,
} from '../errors/errors.ts'
import { compileOptions } from '../options.ts'
import { ManualClock, turn } from '../testing/manual-clock.ts'
import { MemoryTransport } from '../testing/memory-transport.ts'
import { json, setUp, wireTask } from '../testing/setup.ts'
import { Caller } from './caller.ts'

const down = () => new UnavailableError({ reason: 'UNAVAILABLE', message: 'The server is down.' })
const task = wireTask({ taskId: 'task_1', state: 5, result: json(1) })
const noJitter = { retry: { initialDelay: 100, multiplier: 2, maxDelay: 1000, jitter: 0 }, circuitBreaker: false } as const

/** Fails so many times, then answers. */
function failing(times: number, error: () => Error) {
  let calls = 0
  return () => {
    if (++calls <= times) throw error()
    return { task }
  }
}

test('a read is tried again after growing waits', async () => {
  const { clock, transport, mr } = setUp(noJitter)
  transport.on('TaskService/GetTask', failing(3, down))
  const answer = mr.tasks.get('task_1')
  const calls = () => transport.calls.length
  await turn()
  expect(calls()).toBe(1)
  await clock.advance(99)
  expect(calls()).toBe(1)
  await clock.advance(1)
  expect(calls()).toBe(2)
  await clock.advance(200)
  expect(calls()).toBe(3)
  await clock.advance(400)
  expect(await answer).toMatchObject({ taskId: 'task_1', result: 1 })
  expect(clock.pending).toBe(0)
})

test('nothing is tried again when the client is closed: what waits for it ends at once', async () => {
  const { transport, mr } = setUp(noJitter)
  transport.on('TaskService/GetTask', failing(1, down))
  const waiting = expect(mr.tasks.get('task_1')).rejects.toThrow('This client is closed.')
  await turn()
  await mr.close()
  await waiting
  await expect(mr.tasks.get('task_1')).rejects.toThrow(UnavailableError)
  await expect(mr.health()).rejects.toThrow('This client is closed.')
  expect(transport.calls).toHaveLength(1)
})

test('waits are spread by the jitter', async () => {
  const { clock, transport, mr } = setUp({ ...noJitter, retry: { ...noJitter.retry, jitter: 0.5 } })
  transport.on('TaskService/GetTask', failing(1, down))
  const answer = mr.tasks.get('task_1')
  await clock.advance(49)
  expect(transport.calls).toHaveLength(1)
  await clock.advance(101)
  await answer
  expect(transport.calls).toHaveLength(2)
})

test('it gives up after maxRetries, with the last error', async () => {
  const { clock, transport, mr } = setUp({ ...noJitter, retry: { ...noJitter.retry, maxRetries: 1 } })
  transport.on('TaskService/GetTask', failing(9, down))
  const answer = expect(mr.tasks.get('task_1')).rejects.toThrow(UnavailableError)
  await clock.advance(5000)
  await answer
  expect(transport.calls).toHaveLength(2)
})

test.each([
  [
    'a write that the server does not recognise when it comes again',
    down,
    (mr: ReturnType<typeof setUp>['mr']) => mr.tasks.cancel('task_1'),
  ],
  ['taking jobs', down, (mr: ReturnType<typeof setUp>['mr']) => mr.queue('q').receive()],
  [
    'what the caller did wrong',
    () => new ValidationError({ reason: 'VALIDATION', message: 'no' }),
    (mr: ReturnType<typeof setUp>['mr']) => mr.tasks.get('task_1'),
  ],
  [
    'a fault of the server',
    () => new InternalError({ reason: 'INTERNAL', message: 'no' }),
    (mr: ReturnType<typeof setUp>['mr']) => mr.tasks.get('task_1'),
  ],
])('not tried again: %s', async (_what, error, call) => {
  const { transport, mr } = setUp(noJitter)
  const fail = () => {
    throw error()
  }
  transport.on('TaskService/CancelTask', fail).on('QueueService/ReceiveJobs', fail).on('TaskService/GetTask', fail)
  await expect(call(mr)).rejects.toThrow(MillraceError)
  expect(transport.calls).toHaveLength(1)
})

test('retry: false turns it off, retryOn widens it', async () => {
  const off = setUp({ retry: false })
  off.transport.on('TaskService/GetTask', failing(1, down))
  await expect(off.mr.tasks.get('task_1')).rejects.toThrow(UnavailableError)

  const wide = setUp({ ...noJitter, retry: { ...noJitter.retry, retryOn: ['INTERNAL'] } })
  wide.transport.on(
    'TaskService/GetTask',
    failing(1, () => new InternalError({ reason: 'INTERNAL', message: 'no' })),
  )
  const answer = wide.mr.tasks.get('task_1')
  await wide.clock.advance(100)
  await answer
})

test('the deadline spans all tries', async () => {
  const { clock, transport, mr } = setUp(noJitter)
  transport.on('TaskService/GetTask', (_request, { timeoutMs }) => {
    if (transport.calls.length === 1) throw down()
    expect(timeoutMs).toBe(900)
    return new Promise(() => undefined)
  })
  const answer = expect(mr.tasks.get('task_1', { timeout: '1s' })).rejects.toThrow(TimeoutError)
  await clock.advance(1000)
  await answer
})

test('a wait that would end after the deadline is not begun', async () => {
  const { transport, mr } = setUp(noJitter)
  transport.on('TaskService/GetTask', failing(9, down))
  await expect(mr.tasks.get('task_1', { timeout: 100 })).rejects.toThrow(UnavailableError)
})

test('a rate limit says itself when to come again', async () => {
  const { clock, transport, mr } = setUp(noJitter)
  transport.on(
    'TaskService/GetTask',
    failing(1, () => new RateLimitError({ reason: 'RATE_LIMITED', message: 'slow', retryAfterMs: 700, quota: undefined })),
  )
  const answer = mr.tasks.get('task_1')
  await clock.advance(699)
  expect(transport.calls).toHaveLength(1)
  await clock.advance(1)
  await answer
})

test('a batch waits for room as long as its time allows, however often it is refused', async () => {
  const full = () => new QuotaExceededError({ reason: 'QUOTA_EXCEEDED', message: 'full', retryAfterMs: 1000, quota: undefined })
  const { clock, transport, mr } = setUp(noJitter)
  let refusals = 10
  transport.on('QueueService/EnqueueJobs', ({ jobs }) => {
    if (refusals-- > 0) throw full()
    return { results: jobs.map((_, i) => ({ jobId: `job_${i}`, seq: i, created: true, error: undefined })) }
  })
  const answer = mr.queue('q').enqueueBatch([{ payload: 1 }, { payload: 2 }], { timeout: '1m' })
  await clock.advance(10_000)
  expect(await answer).toHaveLength(2)
  const ids = new Set(transport.requests('QueueService/EnqueueJobs').map((request) => request.requestId))
  expect(ids.size).toBe(1)

  refusals = 10
  const late = expect(mr.queue('q').enqueueBatch([{ payload: 1 }], { timeout: '3s' })).rejects.toThrow(QuotaExceededError)
  await clock.advance(5000)
  await late
})

test('a wait for room that the time ends says that there was no room, also when the last try got no answer', async () => {
  const { clock, transport, mr } = setUp(noJitter)
  transport.on('QueueService/EnqueueJobs', () => {
    if (transport.calls.length > 2) throw new TimeoutError({ reason: 'DEADLINE_EXCEEDED', message: 'no answer in time' })
    throw new QuotaExceededError({ reason: 'QUOTA_EXCEEDED', message: 'full', retryAfterMs: 1000, quota: undefined })
  })
  const answer = expect(mr.queue('q').enqueueBatch([{ payload: 1 }], { timeout: '2500ms' })).rejects.toThrow(QuotaExceededError)
  await clock.advance(3000)
  await answer
})

test('a refused token is fetched again, once', async () => {
  let fetched = 0
  const options = compileOptions({ token: async () => `token-${++fetched}`, retry: false }, {})
  const clock = new ManualClock()
  const transport = new MemoryTransport(clock)
  const caller = new Caller(transport, options, clock)
  transport.on('TaskService/CancelTask', async () => {
    const token = await options.credentials.get()
    if (token !== 'token-2') throw new AuthenticationError({ reason: 'UNAUTHENTICATED', message: `${token} is not valid.` })
    return { task }
  })
  const cancel = () => caller.unary('TaskService/CancelTask', { taskId: 'task_1', reason: '' }, { safe: false })
  expect((await cancel()).task).toBe(task)
  expect(fetched).toBe(2)
  options.credentials.renew(options.credentials.version)
  await expect(cancel()).rejects.toThrow('token-4 is not valid.')
})

test('an aborted call rejects at once, before and during it, and while it waits', async () => {
  const { clock, transport, mr } = setUp(noJitter)
  transport.on('TaskService/GetTask', () => new Promise(() => undefined))
  await expect(mr.tasks.get('task_1', { signal: AbortSignal.abort('early') })).rejects.toMatchObject({ name: 'AbortError', cause: 'early' })
  expect(transport.calls).toHaveLength(0)

  const during = new AbortController()
  const answer = expect(mr.tasks.get('task_1', { signal: during.signal })).rejects.toThrow(AbortError)
  await turn()
  during.abort()
  await answer

  transport.on('TaskService/GetTask', failing(9, down))
  const waiting = new AbortController()
  const retried = expect(mr.tasks.get('task_1', { signal: waiting.signal })).rejects.toThrow(AbortError)
  await turn()
  waiting.abort()
  await retried
  await turn()
  expect(clock.pending).toBe(0)
})
