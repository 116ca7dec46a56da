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
