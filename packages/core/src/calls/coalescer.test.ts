import type { EnqueueJobsRequest, EnqueueJobsResponse, ItemError } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { AbortError, ConflictError, QuotaExceededError, TimeoutError, UnavailableError, ValidationError } from '../errors/errors.ts'
import { decodePayload } from '../payload.ts'
import { turn } from '../testing/manual-clock.ts'
import { setUp } from '../testing/setup.ts'

const options = { retry: false, circuitBreaker: false } as const
const full: ItemError = {
  reason: 'QUOTA_EXCEEDED',
  message: 'The queue is full.',
  fields: [],
  retryAfterMs: 1000,
  quota: undefined,
  resource: '',
  id: '',
}

function payloads(request: EnqueueJobsRequest): unknown[] {
  return request.jobs.map((job) => decodePayload('payload', job.payload, job.contentType))
}

/** A server that numbers jobs, and refuses those that `refuse` names. */
function setUpQueue(refuse: (payload: unknown) => ItemError | undefined = () => undefined) {
  const { clock, transport, mr } = setUp(options)
  let seq = 0
  const answer = (request: EnqueueJobsRequest): EnqueueJobsResponse => ({
    results: payloads(request).map((payload) => {
      const error = refuse(payload)
      return error ? { jobId: '', seq: 0, created: false, error } : { jobId: `job_${++seq}`, seq, created: true, error: undefined }
    }),
  })
  transport.on('QueueService/EnqueueJobs', answer)
  const requests = () => transport.requests('QueueService/EnqueueJobs')
  /** From now on, requests wait until they are let go. */
  const hold = () => {
    const gates: (() => void)[] = []
    transport.on('QueueService/EnqueueJobs', async (request) => {
      await new Promise<void>((resolve) => gates.push(resolve))
      return answer(request)
    })
    return gates
  }
  return { clock, transport, mr, requests, hold, queue: mr.queue<unknown>('q') }
}

test('concurrent calls share a request, and each gets its own answer', async () => {
  const { queue, requests } = setUpQueue()
  const results = await Promise.all(Array.from({ length: 50 }, (_, i) => queue.enqueue(i)))
  expect(results.map((result) => result.jobId)).toEqual(Array.from({ length: 50 }, (_, i) => `job_${i + 1}`))
  expect(requests()).toHaveLength(1)
  expect(requests()[0]).toMatchObject({ queue: 'q', allowPartial: true, requestId: expect.stringMatching(/^[0-9a-z]{26}$/) })
})

test('calls for different queues do not', async () => {
  const { mr, requests } = setUpQueue()
  await Promise.all([mr.queue('a').enqueue(1), mr.queue('b').enqueue(2), mr.queue('a').enqueue(3)])
  expect(requests().map((request) => [request.queue, payloads(request)])).toEqual([
    ['a', [1, 3]],
    ['b', [2]],
  ])
})

test('while requests are under way, further calls gather', async () => {
  const { queue, requests, hold } = setUpQueue()
  const gates = hold()
  const answers: Promise<unknown>[] = []
  for (let i = 0; i < 100; i++) {
    answers.push(queue.enqueue(i))
    await turn()
  }
  expect(requests()).toHaveLength(4)
  gates[0]!()
  await turn()
  await turn()
  expect(requests()).toHaveLength(5)
  expect(payloads(requests()[4]!)).toEqual(Array.from({ length: 96 }, (_, i) => i + 4))
  for (let i = 1; i < 5; i++) gates[i]!()
  await Promise.all(answers)
})

test('large payloads are spread over several requests', async () => {
  const { queue, requests } = setUpQueue()
  const large = 'x'.repeat(1_500_000)
  await Promise.all(Array.from({ length: 6 }, () => queue.enqueue(large)))
  expect(requests().map((request) => request.jobs.length)).toEqual([2, 2, 2])
})

test('what cannot be encoded fails alone, before it travels', async () => {
  const { queue, requests } = setUpQueue()
  const outcomes = await Promise.allSettled([
    queue.enqueue(1),
    queue.enqueue(1n),
    queue.enqueue(2, { priority: Number.NaN }),
    queue.enqueue(2, { runAt: new Date(Number.NaN) }),
    queue.enqueue(2, { headers: { a: 1 as unknown as string } }),
    queue.enqueue(2, { delay: '5 minutes' as '5m' }),
    queue.enqueue(3),
  ])
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', ...Array(5).fill('rejected'), 'fulfilled'])
  for (const outcome of outcomes.slice(1, -1)) expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(ValidationError)
  expect(payloads(requests()[0]!)).toEqual([1, 3])
})

test('a refused item fails its caller alone', async () => {
  const conflict: ItemError = {
    reason: 'ALREADY_EXISTS',
    message: 'Other payload.',
    fields: [],
    retryAfterMs: 0,
    quota: undefined,
    resource: '',
    id: '',
  }
  const { queue } = setUpQueue((payload) => (payload === 2 ? conflict : undefined))
  const outcomes = await Promise.allSettled([queue.enqueue(1), queue.enqueue(2), queue.enqueue(3)])
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect((outcomes[1] as PromiseRejectedResult).reason).toBeInstanceOf(ConflictError)
})

test('a failed request fails all of its callers; a later one is not touched', async () => {
  const { transport, queue, hold } = setUpQueue()
  transport.on('QueueService/EnqueueJobs', () => {
    throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'down' })
  })
  const outcomes = await Promise.allSettled([queue.enqueue(1), queue.enqueue(2)])
  for (const outcome of outcomes) expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(UnavailableError)
  const gates = hold()
  const later = queue.enqueue(3)
  await turn()
  gates[0]!()
  expect(await later).toMatchObject({ created: true })
})

test('an answer that lacks results is an error, not a hang', async () => {
  const { transport, queue } = setUpQueue()
  transport.on('QueueService/EnqueueJobs', () => ({ results: [] }))
  await expect(queue.enqueue(1)).rejects.toThrow(/lacks a result for each item/)
})

test('a request that is tried again keeps its name', async () => {
  const { clock, transport, mr } = setUp({ retry: { initialDelay: 100, jitter: 0 } })
  transport.on('QueueService/EnqueueJobs', ({ jobs }) => {
    if (transport.calls.length === 1) throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'down' })
    return { results: jobs.map((_, i) => ({ jobId: `job_${i}`, seq: i, created: true, error: undefined })) }
  })
  const answer = mr.queue('q').enqueue(1)
  await clock.advance(100)
  await answer
  const [first, second] = transport.requests('QueueService/EnqueueJobs')
  expect(second).toEqual(first)
})

describe('time', () => {
  test('a call that is not answered in time fails, and its timer goes', async () => {
    const { clock, queue, hold } = setUpQueue()
    hold()
    const outcome = expect(queue.enqueue(1, {}, { timeout: '5s' })).rejects.toThrow(TimeoutError)
    await clock.advance(5000)
    await outcome
    await clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })

  test('a call that still waits when its time is over fails too; younger ones go on', async () => {
    const { clock, queue, requests, hold } = setUpQueue()
    const gates = hold()
    for (let i = 0; i < 4; i++) {
      void queue.enqueue(i).catch(() => undefined)
      await turn()
    }
    const waiting = expect(queue.enqueue('old')).rejects.toThrow(TimeoutError)
    await clock.advance(20_000)
    const young = queue.enqueue('young')
    await clock.advance(10_000)
    await waiting
    await turn()
    expect(requests()).toHaveLength(5)
    expect(payloads(requests()[4]!)).toEqual(['young'])
    gates[4]!()
    expect(await young).toMatchObject({ created: true })
  })

  test('calls with other timeouts travel apart', async () => {
    const { queue, requests } = setUpQueue()
    await Promise.all([queue.enqueue(1), queue.enqueue(2, {}, { timeout: '5s' }), queue.enqueue(3)])
    expect(requests().map(payloads)).toEqual([[1, 3], [2]])
  })

  test('calls in one after the other leave nothing behind', async () => {
    const { clock, queue } = setUpQueue()
    for (let i = 0; i < 5; i++) await queue.enqueue(i)
    await turn()
    expect(clock.pending).toBe(0)
  })
})

describe('abort', () => {
  test('before it travels: it does not', async () => {
    const { queue, requests } = setUpQueue()
    const controller = new AbortController()
    const aborted = expect(queue.enqueue('aborted', {}, { signal: controller.signal })).rejects.toThrow(AbortError)
    const other = queue.enqueue('other')
    controller.abort()
    await aborted
    await other
    expect(requests().map(payloads)).toEqual([['other']])
    await expect(queue.enqueue('late', {}, { signal: controller.signal })).rejects.toThrow(AbortError)
    expect(requests()).toHaveLength(1)
  })

  test('while it travels: its caller alone stops waiting', async () => {
    const { queue, requests, hold } = setUpQueue()
    const gates = hold()
    const controller = new AbortController()
    const aborted = expect(queue.enqueue(1, {}, { signal: controller.signal })).rejects.toThrow(AbortError)
    const other = queue.enqueue(2)
    await turn()
    controller.abort()
    await aborted
    expect(requests()[0]!.jobs).toHaveLength(2)
    gates[0]!()
    expect(await other).toMatchObject({ jobId: 'job_2' })
  })
})

describe('a full queue', () => {
  test('makes calls wait and go on, in order', async () => {
    let room = 2
    const { clock, queue, requests } = setUpQueue(() => (room-- > 0 ? undefined : full))
    const done: number[] = []
    const answers = [1, 2, 3, 4, 5].map((n) => queue.enqueue(n).then(() => done.push(n)))
    await turn()
    expect(done).toEqual([1, 2])
    room = 0
    await clock.advance(1250)
    expect(done).toEqual([1, 2])
    room = 100
    await clock.advance(10_000)
    await Promise.all(answers)
    expect(done).toEqual([1, 2, 3, 4, 5])
    expect(clock.pending).toBe(0)
    const ids = requests().map((request) => request.requestId)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('is what a call is told of whose last try meets its deadline', async () => {
    const { clock, transport, queue } = setUpQueue(() => full)
    const outcome = queue.enqueue('much', { timeout: 1500 }).catch((error: unknown) => error)
    await turn()
    transport.on('QueueService/EnqueueJobs', async () => {
      throw new TimeoutError({ reason: 'DEADLINE_EXCEEDED', message: 'The call took longer than 200 ms.' })
    })
    await clock.advance(1300)
    expect(await outcome).toBeInstanceOf(QuotaExceededError)
  })

  test('holds later calls back behind those that wait', async () => {
    let room = 0
    const { clock, queue, requests } = setUpQueue(() => (room-- > 0 ? undefined : full))
    const first = queue.enqueue(1)
    await turn()
    const second = queue.enqueue(2)
    await turn()
    expect(requests()).toHaveLength(1)
    room = 10
    await clock.advance(1250)
    await Promise.all([first, second])
    expect(requests().slice(1).flatMap(payloads)).toEqual([1, 2])
  })

  test('asks for less while there is no room', async () => {
    let room = 10
    const { clock, queue, requests } = setUpQueue(() => (room-- > 0 ? undefined : full))
    const answers = Promise.allSettled(Array.from({ length: 500 }, (_, i) => queue.enqueue(i, {}, { timeout: '4s' })))
    await clock.advance(1250)
    await clock.advance(1250)
    const sizes = requests().map((request) => request.jobs.length)
    expect(Math.max(...sizes.slice(4))).toBeLessThanOrEqual(20)
    await clock.advance(5000)
    await answers
  })

  test('fails a call when its time is over, saying why', async () => {
    const { clock, queue } = setUpQueue(() => full)
    const outcome = queue.enqueue(1, {}, { timeout: '5s' }).catch((error: unknown) => error)
    await clock.advance(5000)
    expect(await outcome).toBeInstanceOf(QuotaExceededError)
    expect(await outcome).toMatchObject({ message: 'The queue is full.' })
  })

  test('fails a call at once when there is no word of when to come again', async () => {
    const { queue } = setUpQueue(() => ({ ...full, retryAfterMs: 0, quota: undefined, resource: '', id: '' }))
    await expect(queue.enqueue(1)).rejects.toThrow(QuotaExceededError)
  })

  test('one full queue does not hold another back', async () => {
    const { transport, mr } = setUpQueue()
    transport.on('QueueService/EnqueueJobs', ({ queue, jobs }) => ({
      results: jobs.map(() => ({ jobId: 'job_1', seq: 1, created: true, error: queue === 'full' ? full : undefined })),
    }))
    const stuck = mr.queue('full').enqueue(1, {}, { timeout: '1h' })
    stuck.catch(() => undefined)
    expect(await mr.queue('free').enqueue(2)).toMatchObject({ created: true })
    await mr.close()
    await expect(stuck).rejects.toThrow(UnavailableError)
  })
})

test('a client holds no more than it can', async () => {
  const { queue, mr, hold } = setUpQueue()
  hold()
  const piece = new Uint8Array(32 << 20)
  const outcomes = Array.from({ length: 9 }, () => queue.enqueue(piece).catch((error: unknown) => error))
  expect(await outcomes[8]).toBeInstanceOf(QuotaExceededError)
  expect(await outcomes[8]).toMatchObject({ quotaType: 'client.buffer' })
  await mr.close()
})

test('a closed client fails calls that wait, and those to come', async () => {
  const { queue, mr, transport, hold } = setUpQueue()
  hold()
  const waiting = expect(queue.enqueue(1)).rejects.toThrow(UnavailableError)
  await turn()
  await mr.close()
  await waiting
  await expect(queue.enqueue(2)).rejects.toThrow('This client is closed.')
  expect(transport.closed).toBe(true)
})
