import { ValidationError } from '@millrace/client'
import { expect, test } from 'vitest'
import { startWorker, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()

test('one customer’s many jobs leave room for the others', async () => {
  const mr = fixture.client()
  const queue = mr.queue<{ customer: string }>('work')
  const running = new Map<string, number>()
  const most = new Map<string, number>()
  const order: string[] = []
  await queue.enqueueBatch(Array.from({ length: 200 }, () => ({ payload: { customer: 'large' }, concurrency: { key: 'large', limit: 3 } })))
  const { jobId } = await queue.enqueue({ customer: 'small' }, { concurrency: { key: 'small', limit: 3 } })
  expect((await queue.stats()).blocked).toBe(197)
  expect((await queue.get(jobId)).status).toBe('pending')
  let done: () => void
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  await startWorker(
    mr.worker<{ customer: string }>({
      queue: 'work',
      concurrency: 20,
      async handler({ payload: { customer } }) {
        const now = (running.get(customer) ?? 0) + 1
        running.set(customer, now)
        most.set(customer, Math.max(most.get(customer) ?? 0, now))
        await new Promise((resolve) => setTimeout(resolve, 1))
        running.set(customer, running.get(customer)! - 1)
        order.push(customer)
        if (order.length === 201) done()
      },
    }),
  )
  await all
  expect(most.get('large')).toBe(3)
  expect(order.indexOf('small')).toBeLessThan(20)
})

test('tasks are limited too, a whole queue without a key; wrong limits are refused', async () => {
  const mr = fixture.client()
  const tasks = await Promise.all([1, 2, 3].map((n) => mr.tasks.submit({ payload: n, concurrency: { limit: 2 } })))
  const statuses = await mr.tasks.statusBatch(tasks.map(({ taskId }) => taskId))
  expect(
    Object.values(statuses)
      .map(({ status }) => status)
      .sort(),
  ).toEqual(['blocked', 'pending', 'pending'])
  for (const limit of [0, -1, 10_001, 1.5]) {
    await expect(mr.tasks.submit({ concurrency: { limit } })).rejects.toBeInstanceOf(ValidationError)
  }
  await expect(mr.tasks.submit({ stateKey: 'x', concurrency: { limit: 1 } })).rejects.toMatchObject({ fields: [{ path: 'concurrency' }] })
})

test('so many jobs of a customer start within a window, whoever asks; wrong limits are refused', async () => {
  const mr = fixture.client()
  const queue = mr.queue<number>('mails')
  const large = { key: 'large', limit: 10, per: '1h' } as const
  await queue.enqueueBatch(Array.from({ length: 100 }, (_, n) => ({ payload: n, rateLimit: large })))
  const { jobId } = await queue.enqueue(100, { rateLimit: { key: 'small', limit: 10, per: '1h' } })
  const jobs = await queue.receive({ max: 100 })
  expect(jobs.map(({ payload }) => payload)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100])
  for (const job of jobs) await job.complete()
  expect(await queue.receive({ max: 100 })).toEqual([])
  expect(await queue.stats()).toMatchObject({ blocked: 90, completed: 11 })
  expect((await queue.get(jobId)).status).toBe('completed')
  const task = await mr.tasks.submit({ rateLimit: { limit: 1, per: '1m' } })
  expect((await mr.tasks.status(task.taskId)).status).toBe('pending')
  for (const wrong of [
    { limit: 0, per: 1 },
    { limit: 10_001, per: 1 },
    { limit: 1, per: 0 },
    { limit: 1, per: '32d' },
  ] as const) {
    await expect(queue.enqueue(0, { rateLimit: wrong })).rejects.toBeInstanceOf(ValidationError)
  }
})

test('customers take turns, however many jobs one has waiting', async () => {
  const mr = fixture.client()
  const queue = mr.queue<string>('fair')
  await queue.enqueueBatch(Array.from({ length: 500 }, () => ({ payload: 'large', fairKey: 'large', priority: 50 })))
  await queue.enqueueBatch(['a', 'b', 'c'].map((payload) => ({ payload, fairKey: payload })))
  const order: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  await startWorker(
    mr.worker<string>({
      queue: 'fair',
      concurrency: 5,
      handler({ payload }) {
        order.push(payload)
        if (order.length === 503) resolve()
      },
    }),
  )
  await promise
  for (const customer of ['a', 'b', 'c']) expect(order.indexOf(customer)).toBeLessThan(80)
})

test('customers take turns before a limit that they share', async () => {
  const mr = fixture.client()
  const queue = mr.queue<string>('fair-and-limited')
  const limits = { concurrency: { limit: 4 }, rateLimit: { limit: 10, per: 500 } }
  await queue.enqueueBatch(Array.from({ length: 60 }, () => ({ payload: 'large', fairKey: 'large', ...limits })))
  await queue.enqueueBatch(['a', 'b', 'c'].map((payload) => ({ payload, fairKey: payload, ...limits })))
  const order: string[] = []
  const worker = mr.worker<string>({ queue: 'fair-and-limited', concurrency: 20, handler: ({ payload }) => void order.push(payload) })
  await startWorker(worker)
  await until('the small ones have run', () => ['a', 'b', 'c'].every((customer) => order.includes(customer)))
  for (const customer of ['a', 'b', 'c']) expect(order.indexOf(customer)).toBeLessThan(25)
})

test('many triggers of one thing run once, after the last, and once more when they come while it runs', async () => {
  const mr = fixture.client()
  const queue = mr.queue<number>('reindex')
  const debounce = { key: 'shop-1', delay: 50 }
  const triggers = await Promise.all(Array.from({ length: 500 }, (_, n) => queue.enqueue(n, { debounce })))
  expect(new Set(triggers.map(({ jobId }) => jobId)).size).toBe(1)
  expect(triggers.filter(({ created }) => created)).toHaveLength(1)
  const job = await queue.reserve({ wait: '10s' })
  expect(job!.payload).toBe(499)
  const { jobId, created } = await queue.enqueue(500, { debounce })
  expect([created, jobId === job!.id]).toEqual([true, false])
  await job!.complete()
  expect((await queue.reserve({ wait: '10s' }))!.payload).toBe(500)
})

test('repeats within a window are the first one; what does not begin in time is cancelled without a worker', async () => {
  const mr = fixture.client()
  const mail = (n: number) => mr.tasks.submit({ function: 'mail', payload: n, deduplicate: { key: 'ada', window: '1h' } })
  const [first, second] = [await mail(1), await mail(2)]
  expect([first.created, second.created, second.taskId]).toEqual([true, false, first.taskId])
  const { jobId } = await mr.queue('offers').enqueue('today only', { expiresIn: 100 })
  await until('it has expired', async () => (await mr.queue('offers').get(jobId)).status === 'cancelled')
  expect((await mr.queue('offers').get(jobId)).message).toBe('It expired: no worker began it in time.')
  const { jobId: unwanted } = await mr.queue('offers').enqueue('tomorrow')
  expect(await mr.queue('offers').cancel(unwanted, { reason: 'sold out' })).toMatchObject({ status: 'cancelled', message: 'sold out' })
  expect(await mr.queue('offers').reserve()).toBeUndefined()
  for (const wrong of [
    { debounce: { delay: 0 } },
    { debounce: { delay: '2s', maxDelay: '1s' } },
    { debounce: { delay: 1 }, idempotencyKey: 'x' },
    { deduplicate: { key: '', window: 1 } },
    { expiresIn: '1s', delay: '1s' },
  ] as const) {
    await expect(mr.queue('offers').enqueue(0, wrong)).rejects.toBeInstanceOf(ValidationError)
  }
})

test('a handler takes many jobs at once, each with a result of its own', async () => {
  const mr = fixture.client()
  const queue = mr.queue<number>('batched')
  const jobs = await queue.enqueueBatch(Array.from({ length: 25 }, (_, i) => ({ payload: i, maxAttempts: 1 })))
  const sizes: number[] = []
  await startWorker(
    mr.worker<number>({
      queue: 'batched',
      batch: { size: 10, wait: 20 },
      handler(jobs) {
        sizes.push(jobs.length)
        return jobs.map(({ payload }) => (payload === 7 ? new Error('seven') : payload * 2))
      },
    }),
  )
  await until('all are done', async () => {
    const { completed, failed } = await queue.stats()
    return completed + failed === 25
  })
  expect(Math.max(...sizes)).toBe(10)
  expect(await queue.get(jobs[3]!.jobId)).toMatchObject({ status: 'completed', result: 6 })
  expect(await queue.get(jobs[7]!.jobId)).toMatchObject({ status: 'failed', error: { message: 'seven' } })
})
