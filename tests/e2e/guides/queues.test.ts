import { ConflictError, type ReceivedJob, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

interface Order {
  readonly task: string
}

const fixture = useServer()
const order: Order = { task: 'process_order' }

test('connect, check, close', async () => {
  const mr = fixture.client()
  await mr.ready()
  await expect(mr.health()).resolves.toBeTruthy()
  await mr.close()
  await mr.close() // again changes nothing
})

test('enqueue with a delay and headers', async () => {
  const queue = fixture.client().queue<Order>('orders')
  const before = Date.now()
  const { jobId, seq } = await queue.enqueue(order, { delay: 700, headers: { priority: 'high' } })
  expect(jobId).toMatch(/^job_/)
  expect(seq).toBeGreaterThan(0)
  expect(await queue.reserve()).toBeUndefined()
  expect(await queue.stats()).toMatchObject({ pending: 0, scheduled: 1 })
  const job = await queue.reserve({ wait: '5s' })
  expect(job).toMatchObject({ id: jobId, payload: order, headers: { priority: 'high' } })
  expect(Date.now() - before).toBeGreaterThanOrEqual(690)
})

test('enqueue for a certain time', async () => {
  const queue = fixture.client().queue<Order>('orders')
  const runAt = new Date(Date.now() + 600)
  await queue.enqueue(order, { runAt })
  const job = await queue.reserve({ wait: '5s' })
  expect(job?.payload).toEqual(order)
  expect(Date.now()).toBeGreaterThanOrEqual(runAt.getTime() - 10)
  await queue.enqueue(order, { runAt: new Date(0) }) // the past is now
  expect(await queue.reserve()).toBeDefined()
})

test('reserve one, process, acknowledge; nothing twice', async () => {
  const queue = fixture.client().queue<Order>('orders')
  await queue.enqueue(order)
  const job = await queue.reserve({ lease: '30s' })
  expect(await queue.reserve()).toBeUndefined()
  await job!.complete()
  expect(await queue.stats()).toMatchObject({ pending: 0, processing: 0, completed: 1 })
})

test('receive many, in the order they came', async () => {
  const queue = fixture.client().queue<number>('orders')
  await queue.enqueueBatch(Array.from({ length: 25 }, (_, payload) => ({ payload })))
  const batches: number[][] = []
  for (;;) {
    const jobs = await queue.receive({ max: 10, lease: '30s' })
    if (jobs.length === 0) break
    batches.push(jobs.map(({ payload }) => payload))
  }
  expect(batches.map(({ length }) => length)).toEqual([10, 10, 5])
  expect(batches.flat()).toEqual(Array.from({ length: 25 }, (_, n) => n))
})

test('a worker loop with a long poll: acknowledge, or hand back on failure', async () => {
  const queue = fixture.client().queue<{ n: number }>('orders')
  const done: number[] = []
  const failedOnce = new Set<number>()
  const process = async ({ payload: { n } }: ReceivedJob<{ n: number }>) => {
    if (n % 2 === 1 && !failedOnce.has(n)) {
      failedOnce.add(n)
      throw new Error('try again')
    }
    done.push(n)
  }
  const worker = async () => {
    while (done.length < 6) {
      const job = await queue.reserve({ lease: '30s', wait: '1s' })
      if (!job) continue
      try {
        await process(job)
        await job.complete()
      } catch (error) {
        await job.fail(error, { delay: 10 })
      }
    }
  }
  const working = worker()
  for (let n = 0; n < 6; n++) await queue.enqueue({ n })
  await working
  expect(done.sort()).toEqual([0, 1, 2, 3, 4, 5])
  expect(await queue.stats()).toMatchObject({ completed: 6, failed: 0 })
})

test('a long poll ends when a job comes, or with nothing when its time is over', async () => {
  const queue = fixture.client().queue<Order>('orders')
  const before = performance.now()
  expect(await queue.receive({ wait: 300 })).toEqual([])
  expect(performance.now() - before).toBeGreaterThanOrEqual(290)
  const waiting = queue.reserve({ wait: '20s' })
  await queue.enqueue(order)
  expect((await waiting)?.payload).toEqual(order)
  expect(performance.now() - before).toBeLessThan(15_000)
})

test('nack with a delay, without one, and for good', async () => {
  const queue = fixture.client().queue<Order>('orders')
  await queue.setRetryPolicy({ maxAttempts: 10, initialBackoff: 0, strategy: 'fixed' })
  await queue.enqueue(order)
  const first = (await queue.reserve())!
  const failedAt = Date.now()
  await first.fail(new Error('not now'), { delay: 600 })
  expect(await queue.stats()).toMatchObject({ scheduled: 1, pending: 0 })
  const second = (await queue.reserve({ wait: '5s' }))!
  expect(second).toMatchObject({ id: first.id, attempt: 2 })
  expect(Date.now() - failedAt).toBeGreaterThanOrEqual(590)
  expect(second.leaseToken).not.toBe(first.leaseToken)
  await second.fail(new Error('again'))
  const third = (await queue.reserve({ wait: '5s' }))!
  expect(third.attempt).toBe(3)
  await third.fail(new Error('never'), { retry: false })
  expect(await queue.get(first.id)).toMatchObject({ status: 'failed', attempts: 3, error: { message: 'never' } })
})

test('statistics count jobs in flight', async () => {
  const queue = fixture.client().queue<number>('orders')
  await queue.enqueueBatch([1, 2, 3, 4].map((payload) => ({ payload })))
  const jobs = await queue.receive({ max: 3 })
  expect(await queue.stats()).toMatchObject({ pending: 1, processing: 3 })
  await jobs[0]!.complete()
  await jobs[1]!.fail(new Error('later'), { delay: '1h' })
  await queue.cancel(jobs[2]!.id)
  expect(await queue.stats()).toMatchObject({ pending: 1, scheduled: 1, processing: 0, completed: 1, cancelled: 1, total: 4 })
})

describe('retry policy', () => {
  test('is set, read, and kept', async () => {
    const queue = fixture.client().queue('orders')
    expect(await queue.getRetryPolicy()).toMatchObject({
      maxAttempts: 3,
      initialBackoff: 1000,
      maxBackoff: 300_000,
      multiplier: 2,
      strategy: 'exponential',
    })
    const policy = { maxAttempts: 5, initialBackoff: '2s', maxBackoff: '1m', multiplier: 3, strategy: 'exponential', jitter: 0.5 } as const
    await queue.setRetryPolicy(policy)
    expect(await queue.getRetryPolicy()).toEqual({ ...policy, initialBackoff: 2000, maxBackoff: 60_000 })
    await expect(queue.setRetryPolicy({ maxAttempts: -1 })).rejects.toBeInstanceOf(ValidationError)
    expect((await queue.getRetryPolicy()).maxAttempts).toBe(5)
  })

  test('rules the queue’s jobs; a job may have its own number of attempts', async () => {
    const queue = fixture.client().queue<string>('orders')
    await queue.setRetryPolicy({ maxAttempts: 2, initialBackoff: 0, strategy: 'fixed' })
    const usual = await queue.enqueue('usual')
    const own = await queue.enqueue('own', { maxAttempts: 3 })
    await until('both are dead', async () => {
      for (const job of await queue.receive({ max: 10, wait: 100 })) await job.fail(new Error('no'))
      return (await queue.stats()).dead === 2
    })
    expect((await queue.get(usual.jobId)).attempts).toBe(2)
    expect((await queue.get(own.jobId)).attempts).toBe(3)
  })
})

describe('dead letters', () => {
  const kill = async (queue: ReturnType<ReturnType<typeof fixture.client>['queue']>, count: number) => {
    const jobs = await queue.enqueueBatch(Array.from({ length: count }, (_, payload) => ({ payload, maxAttempts: 1 })))
    for (const job of await queue.receive({ max: count })) await job.fail(new Error(`no ${String(job.payload)}`))
    return jobs.map(({ jobId }) => jobId)
  }

  test('are listed, oldest first, with why they died', async () => {
    const queue = fixture.client().queue('orders')
    const ids = await kill(queue, 5)
    const listed = []
    for await (const job of queue.deadLetters.list({ limit: 2 })) listed.push(job)
    expect(listed.map(({ id }) => id)).toEqual(ids)
    expect(listed[3]).toMatchObject({ status: 'failed', payload: 3, error: { message: 'no 3' }, attempts: 1 })
  })

  test('are replayed one by one or all, with fresh attempts', async () => {
    const queue = fixture.client().queue('orders')
    const ids = await kill(queue, 4)
    await queue.deadLetters.replay(ids[1]!)
    const job = (await queue.reserve())!
    expect(job.id).toBe(ids[1])
    await job.complete('well')
    expect(await queue.get(job.id)).toMatchObject({ status: 'completed', result: 'well' })
    await queue.deadLetters.replay({ all: true })
    expect(await queue.stats()).toMatchObject({ pending: 3, dead: 0 })
    expect((await queue.deadLetters.list()).items).toEqual([])
    expect((await queue.receive({ max: 10 })).map(({ id }) => id).sort()).toEqual([ids[0], ids[2], ids[3]].sort())
  })

  test('are purged only when that is confirmed', async () => {
    const queue = fixture.client().queue('orders')
    const [first] = await kill(queue, 3)
    await expect(queue.deadLetters.purge({ confirm: false as never })).rejects.toBeInstanceOf(ValidationError)
    expect((await queue.stats()).dead).toBe(3)
    await queue.deadLetters.purge({ confirm: true })
    expect(await queue.stats()).toMatchObject({ dead: 0 })
    await expect(queue.get(first!)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

test('pause and resume', async () => {
  const queue = fixture.client().queue<number>('orders')
  await queue.enqueueBatch([{ payload: 1 }, { payload: 2 }])
  const held = (await queue.reserve())!
  await queue.pause()
  expect(await queue.receive({ wait: 200 })).toEqual([])
  await held.complete() // jobs in flight go on
  const waiting = queue.reserve({ wait: '20s' })
  await queue.resume()
  expect((await waiting)?.payload).toBe(2)
})

test('the queues of a namespace are listed by name', async () => {
  const mr = fixture.client()
  for (const name of ['beta', 'alpha', 'gamma/one']) await mr.queue(name).enqueue(1)
  await mr.queue('beta').pause()
  const listed = []
  for await (const queue of mr.queues.list({ limit: 2 })) listed.push(queue)
  expect(listed.map(({ name, paused }) => [name, paused])).toEqual([
    ['alpha', false],
    ['beta', true],
    ['gamma/one', false],
  ])
})

test('namespaces do not see each other', async () => {
  const [here, there] = [fixture.client(), fixture.client()]
  const { jobId } = await here.queue('orders').enqueue(order)
  await expect(there.queue('orders').get(jobId)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(await there.queue('orders').receive({ wait: 100 })).toEqual([])
})

test('an idempotency key with another payload is a conflict', async () => {
  const queue = fixture.client().queue('orders')
  const { jobId } = await queue.enqueue(1, { idempotencyKey: 'k' })
  expect(await queue.enqueue(1, { idempotencyKey: 'k' })).toMatchObject({ jobId, created: false })
  await expect(queue.enqueue(2, { idempotencyKey: 'k' })).rejects.toBeInstanceOf(ConflictError)
  expect((await fixture.client().queue('orders').enqueue(2, { idempotencyKey: 'k' })).created).toBe(true)
})
