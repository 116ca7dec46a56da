import type { Job, Settlement } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { AbortError, ConflictError, PermissionDeniedError, UnavailableError, ValidationError } from '../errors/errors.ts'
import { turn } from '../testing/manual-clock.ts'
import { collect, json, setUp } from '../testing/setup.ts'
import type { ReceivedJob } from './received-job.ts'

function wireJob(n: number): Job {
  return {
    jobId: `job_${n}`,
    queue: 'emails',
    function: '',
    payload: json({ n }),
    contentType: '',
    headers: { trace: 'x' },
    labels: {},
    priority: 3,
    attempt: 1,
    maxAttempts: 5,
    createdAt: new Date(0),
    leaseToken: `token_${n}`,
    leaseExpiresAt: new Date(30_000),
    deadline: undefined,
    stateKey: '',
    state: undefined,
    inputs: [],
    pipelineId: '',
    stage: '',
    teeRequired: false,
    schema: undefined,
  }
}

const info = {
  jobId: 'job_1',
  queue: 'emails',
  state: 5 as const,
  priority: 3,
  attempts: 2,
  maxAttempts: 5,
  payload: json({ n: 1 }),
  contentType: '',
  headers: {},
  result: json('sent'),
  resultContentType: '',
  error: { message: 'first try', code: 'Error', stack: 'at x' },
  createdAt: new Date(0),
  startedAt: new Date(1),
  finishedAt: new Date(2),
  runAt: undefined,
  workerId: 'w',
  message: 'half way',
  seq: 1,
  schema: undefined,
}

const retryPolicy = { maxAttempts: 3, initialBackoffMs: 1000, maxBackoffMs: 300_000, multiplier: 2, strategy: 3 as const, jitter: 0.2 }
const settings = { name: 'emails', retryPolicy, maxDepth: 10, paused: false, createdAt: undefined }

/** A queue whose jobs can be received and settled. */
function setUpQueue() {
  const { clock, transport, mr } = setUp({ retry: false, circuitBreaker: false })
  transport
    .on('QueueService/ReceiveJobs', ({ maxJobs }) => ({ jobs: Array.from({ length: maxJobs }, (_, i) => wireJob(i + 1)) }))
    .on('QueueService/SettleJobs', ({ settlements }) => ({
      results: settlements.map(({ jobId, leaseToken, action }) => ({
        jobId,
        error:
          leaseToken === 'token_9'
            ? {
                reason: 'CONFLICT',
                message: 'The lease is not current.',
                fields: [],
                retryAfterMs: 0,
                quota: undefined,
                resource: '',
                id: '',
              }
            : undefined,
        leaseExpiresAt: action?.$case === 'renew' ? new Date(60_000) : undefined,
      })),
    }))
  const settled = (): Settlement[] => transport.requests('QueueService/SettleJobs').flatMap((request) => request.settlements)
  return { clock, transport, queue: mr.queue<{ n: number }>('emails'), settled }
}

describe('receive', () => {
  test('asks for what was said and gives jobs', async () => {
    const { transport, queue } = setUpQueue()
    const [job] = await queue.receive({ max: 2, lease: '5m', wait: '5s', workerId: 'w-1' })
    const [call] = transport.calls
    expect(call?.request).toEqual({ queue: 'emails', maxJobs: 2, leaseMs: 300_000, waitMs: 5000, workerId: 'w-1' })
    expect(call?.call.timeoutMs).toBe(35_000)
    expect(pick(job!)).toEqual({
      id: 'job_1',
      queue: 'emails',
      payload: { n: 1 },
      headers: { trace: 'x' },
      priority: 3,
      attempt: 1,
      maxAttempts: 5,
      createdAt: new Date(0),
      leaseToken: 'token_1',
      leaseExpiresAt: new Date(30_000),
    })
  })

  function pick(job: ReceivedJob<{ n: number }>) {
    const { id, queue, payload, headers, priority, attempt, maxAttempts, createdAt, leaseToken, leaseExpiresAt } = job
    return { id, queue, payload, headers, priority, attempt, maxAttempts, createdAt, leaseToken, leaseExpiresAt }
  }

  test('reserve gives one, or undefined', async () => {
    const { transport, queue } = setUpQueue()
    expect((await queue.reserve())?.id).toBe('job_1')
    transport.on('QueueService/ReceiveJobs', () => ({ jobs: [] }))
    expect(await queue.reserve({ lease: '30s' })).toBeUndefined()
  })

  test('a payload of a foreign client that is no JSON is an error of that job alone', async () => {
    const { transport, queue } = setUpQueue()
    transport.on('QueueService/ReceiveJobs', () => ({ jobs: [{ ...wireJob(1), payload: new Uint8Array([1]) }, wireJob(2)] }))
    const [broken, good] = await queue.receive({ max: 2 })
    expect(() => broken!.payload).toThrow(ValidationError)
    expect(good!.payload).toEqual({ n: 2 })
  })
})

describe('settling', () => {
  test('calls made together share a request; each keeps its own outcome', async () => {
    const { transport, queue, settled } = setUpQueue()
    const jobs = await queue.receive({ max: 9 })
    const outcomes = await Promise.allSettled([
      jobs[0]!.complete({ sent: true }),
      jobs[1]!.complete(),
      jobs[2]!.fail(new TypeError('no address'), { retry: false }),
      jobs[3]!.fail('busy', { delay: '1m' }),
      jobs[4]!.renew('1m'),
      jobs[8]!.complete(),
    ])
    expect(transport.requests('QueueService/SettleJobs')).toHaveLength(1)
    expect(settled().map((settlement) => settlement.action)).toMatchObject([
      { $case: 'complete', value: { result: json({ sent: true }), contentType: '' } },
      { $case: 'complete', value: { result: new Uint8Array(0) } },
      { $case: 'fail', value: { error: { message: 'no address', code: 'TypeError' }, noRetry: true, delayMs: undefined } },
      { $case: 'fail', value: { error: { message: 'busy', code: 'Error', stack: '' }, noRetry: false, delayMs: 60_000 } },
      { $case: 'renew', value: { leaseMs: 60_000 } },
      { $case: 'complete' },
    ])
    expect(outcomes.map((outcome) => outcome.status)).toEqual([...Array(5).fill('fulfilled'), 'rejected'])
    expect((outcomes[5] as PromiseRejectedResult).reason).toBeInstanceOf(ConflictError)
    expect(jobs[4]!.leaseExpiresAt).toEqual(new Date(60_000))
  })

  test('a result that cannot be sent is refused before it travels', async () => {
    const { queue, settled } = setUpQueue()
    const job = await queue.reserve()
    await expect(job!.complete(1n)).rejects.toThrow(ValidationError)
    expect(settled()).toEqual([])
  })
})

describe('deliveries', () => {
  test('give jobs as they come, over breaks', async () => {
    const { clock, transport, queue } = setUpQueue()
    let opened = 0
    transport.onStream('QueueService/StreamJobs', async function* () {
      opened++
      yield { jobs: [wireJob(opened * 2 - 1), wireJob(opened * 2)] }
      if (opened === 1) throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'down' })
    })
    const seen: string[] = []
    const done = (async () => {
      for await (const job of queue.deliveries({ lease: '1m', concurrency: 8, workerId: 'w' })) {
        seen.push(job.id)
        if (seen.length === 6) break
      }
    })()
    await clock.advance(10_000)
    await done
    expect(seen).toEqual(['job_1', 'job_2', 'job_3', 'job_4', 'job_5', 'job_6'])
    expect(transport.requests('QueueService/StreamJobs')[0]).toEqual({ queue: 'emails', leaseMs: 60_000, maxInFlight: 8, workerId: 'w' })
  })

  test('end with an AbortError, also while they wait', async () => {
    const { transport, queue } = setUpQueue()
    const closed: boolean[] = []
    transport.onStream('QueueService/StreamJobs', async function* (_request, { signal }) {
      try {
        yield { jobs: [wireJob(1)] }
        await new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new AbortError())))
      } finally {
        closed.push(true)
      }
    })
    const controller = new AbortController()
    const all = expect(collect(queue.deliveries({ signal: controller.signal }))).rejects.toThrow(AbortError)
    await turn()
    controller.abort()
    await all
    expect(closed).toEqual([true])
    await expect(collect(queue.deliveries({ signal: AbortSignal.abort() }))).rejects.toThrow(AbortError)
  })

  test('a broken-off iteration ends the stream and gives back what it did not look at', async () => {
    const { clock, transport, queue, settled } = setUpQueue()
    let signal: AbortSignal | undefined
    transport.onStream('QueueService/StreamJobs', async function* (_request, call) {
      signal = call.signal
      yield { jobs: [wireJob(1), wireJob(2)] }
    })
    const left = (async () => {
      for await (const _job of queue.deliveries()) break
    })()
    await clock.advance(50)
    await left
    expect(signal?.aborted).toBe(true)
    await turn()
    expect(settled().map(({ jobId, action }) => [jobId, action?.$case])).toEqual([['job_2', 'release']])
  })

  test('left while jobs are on their way give those back too, when all have come that may', async () => {
    const { clock, transport, queue, settled } = setUpQueue()
    let signal: AbortSignal | undefined
    let send!: (...jobs: ReturnType<typeof wireJob>[]) => void
    transport.onStream('QueueService/StreamJobs', async function* (_request, call) {
      signal = call.signal
      yield { jobs: [wireJob(1)] }
      for (;;) yield { jobs: await new Promise<ReturnType<typeof wireJob>[]>((resolve) => (send = (...jobs) => resolve(jobs))) }
    })
    const released = () => settled().filter(({ action }) => action?.$case === 'release')
    const leave = async (concurrency: number) => {
      for await (const job of queue.deliveries({ concurrency })) {
        await job.complete()
        break
      }
    }
    const left = leave(2)
    await turn()
    await turn()
    send(wireJob(2))
    await turn()
    expect([signal?.aborted, released().length]).toEqual([false, 0])
    send(wireJob(3))
    await clock.advance(50)
    await left
    expect(signal?.aborted).toBe(true)
    await turn()
    expect(released().map(({ jobId }) => jobId)).toEqual(['job_2', 'job_3'])

    const again = leave(1)
    await turn()
    await clock.advance(400)
    await again
    expect(signal?.aborted).toBe(true)
  })

  test('end with what does not mend, and after an outage that lasts', async () => {
    const { clock, transport, queue } = setUpQueue()
    // biome-ignore lint/correctness/useYield: it fails before the first one.
    transport.onStream('QueueService/StreamJobs', async function* () {
      throw new PermissionDeniedError({ reason: 'PERMISSION_DENIED', message: 'no' })
    })
    await expect(collect(queue.deliveries())).rejects.toThrow(PermissionDeniedError)
    // biome-ignore lint/correctness/useYield: it fails before the first one.
    transport.onStream('QueueService/StreamJobs', async function* () {
      throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'down' })
    })
    const all = expect(collect(queue.deliveries())).rejects.toThrow(UnavailableError)
    await clock.advance(60_000)
    await all
  })
})

describe('administration', () => {
  test('stats, get, cancel', async () => {
    const { transport, queue } = setUpQueue()
    const counts = {
      pending: 1,
      scheduled: 2,
      blocked: 0,
      processing: 3,
      completed: 4,
      failed: 5,
      cancelled: 6,
      dead: 7,
      total: 8,
      oldestAgeMs: 9,
    }
    transport
      .on('QueueService/GetQueueStats', ({ queue: name }) => ({ queue: name, ...counts }))
      .on('QueueService/GetJob', () => ({ job: info }))
      .on('QueueService/CancelJob', () => ({ job: { ...info, state: 7 as const } }))
    expect(await queue.stats()).toEqual(counts)
    expect(await queue.get('job_1')).toEqual({
      id: 'job_1',
      queue: 'emails',
      status: 'completed',
      payload: { n: 1 },
      headers: {},
      priority: 3,
      attempts: 2,
      maxAttempts: 5,
      result: 'sent',
      error: { message: 'first try', code: 'Error', stack: 'at x' },
      createdAt: new Date(0),
      startedAt: new Date(1),
      finishedAt: new Date(2),
      workerId: 'w',
      message: 'half way',
      seq: 1,
    })
    expect(await queue.cancel('job_1', { reason: 'no' })).toMatchObject({ status: 'cancelled' })
    expect(transport.requests('QueueService/CancelJob')).toEqual([{ queue: 'emails', jobId: 'job_1', reason: 'no' }])
  })

  test('settings: what is left out of a policy takes its default', async () => {
    const { transport, queue } = setUpQueue()
    transport
      .on('QueueService/GetQueue', () => ({ queue: settings }))
      .on('QueueService/UpdateQueue', (change) => ({ queue: { ...settings, retryPolicy: change.retryPolicy ?? retryPolicy } }))
    expect(await queue.getRetryPolicy()).toEqual({
      maxAttempts: 3,
      initialBackoff: 1000,
      maxBackoff: 300_000,
      multiplier: 2,
      strategy: 'exponential',
      jitter: 0.2,
    })
    expect(await queue.setRetryPolicy({ maxAttempts: 7, strategy: 'fixed', maxBackoff: '1h' })).toEqual({
      maxAttempts: 7,
      initialBackoff: 1000,
      maxBackoff: 3_600_000,
      multiplier: 2,
      strategy: 'fixed',
      jitter: 0.2,
    })
    await queue.update({ maxDepth: 5 })
    expect(transport.requests('QueueService/UpdateQueue').map(({ maxDepth, retryPolicy: policy }) => [maxDepth, policy?.strategy])).toEqual(
      [
        [undefined, 1],
        [5, undefined],
      ],
    )
    expect(await queue.info()).toMatchObject({ name: 'emails', maxDepth: 10, paused: false })
  })

  test('dead letters', async () => {
    const { transport, queue } = setUpQueue()
    transport
      .on('QueueService/ListDeadLetters', ({ cursor }) => ({
        jobs: [{ ...info, state: 6 as const }],
        nextCursor: cursor === '' ? 'b' : '',
      }))
      .on('QueueService/ReplayDeadLetters', ({ all }) => ({ replayed: all ? 12 : 1 }))
      .on('QueueService/PurgeDeadLetters', ({ confirm }) => ({ purged: confirm ? 3 : 0 }))
    expect((await collect(queue.deadLetters.list({ limit: 1 }))).map((job) => job.status)).toEqual(['failed', 'failed'])
    expect(await queue.deadLetters.replay('job_1')).toBe(1)
    expect(await queue.deadLetters.replay({ all: true })).toBe(12)
    await expect(queue.deadLetters.replay({} as { all: true })).rejects.toThrow(ValidationError)
    expect(await queue.deadLetters.purge({ confirm: true })).toBe(3)
    expect(transport.requests('QueueService/ReplayDeadLetters')).toEqual([
      { queue: 'emails', jobId: 'job_1', all: false },
      { queue: 'emails', jobId: '', all: true },
    ])
  })

  test('pause and resume', async () => {
    const { transport, queue } = setUpQueue()
    transport.on('QueueService/PauseQueue', () => ({})).on('QueueService/ResumeQueue', () => ({}))
    await queue.pause()
    await queue.resume()
    expect(transport.calls.map((call) => call.method)).toEqual(['QueueService/PauseQueue', 'QueueService/ResumeQueue'])
  })

  test('an empty batch makes no call; a batch keeps its order', async () => {
    const { transport, queue } = setUpQueue()
    transport.on('QueueService/EnqueueJobs', ({ jobs }) => ({
      results: jobs.map((job, i) => ({ jobId: `job_${job.priority}`, seq: i, created: true, error: undefined })),
    }))
    expect(await queue.enqueueBatch([])).toEqual([])
    expect(transport.calls).toHaveLength(0)
    const results = await queue.enqueueBatch([
      { payload: { n: 1 }, priority: 5 },
      { payload: { n: 2 }, priority: 9 },
    ])
    expect(results.map((result) => result.jobId)).toEqual(['job_5', 'job_9'])
    expect(transport.requests('QueueService/EnqueueJobs')[0]).toMatchObject({ queue: 'emails', allowPartial: false })
  })
})
