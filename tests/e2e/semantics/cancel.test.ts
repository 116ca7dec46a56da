import { ConflictError } from '@millrace/client'
import { expect, test } from 'vitest'
import { freshName, startWorker, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()

test('a queued job that is cancelled never starts', async () => {
  const mr = fixture.client()
  const queue = mr.queue<number>('cancel')
  const jobs = await queue.enqueueBatch(Array.from({ length: 20 }, (_, payload) => ({ payload })))
  for (const { jobId } of jobs.slice(0, 10)) await queue.cancel(jobId)
  const ran: number[] = []
  await startWorker(mr.worker<number>({ queue: 'cancel', handler: async (job) => ran.push(job.payload) }))
  await until('the rest is done', async () => (await queue.stats()).completed === 10)
  expect(ran.sort((a, b) => a - b)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  expect(await queue.stats()).toMatchObject({ cancelled: 10, pending: 0, processing: 0 })
})

test('a running handler hears of it at once; its result does not count', async () => {
  const namespace = freshName()
  const [other, same] = [fixture.client({ namespace }), fixture.client({ namespace })]
  const heard = Promise.withResolvers<number>()
  const started = Promise.withResolvers<void>()
  await startWorker(
    same.worker({
      tasks: {
        default: (_payload, ctx) =>
          new Promise((resolve) => {
            ctx.signal.addEventListener('abort', () => {
              heard.resolve(performance.now())
              resolve('too late')
            })
            started.resolve()
          }),
      },
    }),
  )
  const { taskId } = await other.tasks.submit({ payload: {} })
  await started.promise
  const before = performance.now()
  const cancelled = await other.tasks.cancel(taskId, { reason: 'changed my mind' })
  expect(cancelled).toMatchObject({ taskId, status: 'cancelled', message: 'changed my mind' })
  expect((await heard.promise) - before).toBeLessThan(10_000)
  const status = await other.tasks.status(taskId)
  expect(status.status).toBe('cancelled')
  expect(status.result).toBeUndefined()
})

test('a job in hand is refused after its cancel', async () => {
  const queue = fixture.client().queue<number>('cancel')
  await queue.enqueue(1)
  const job = (await queue.reserve())!
  await queue.cancel(job.id)
  for (const call of [() => job.complete(), () => job.fail(new Error('no')), () => job.renew('30s')]) {
    await expect(call()).rejects.toBeInstanceOf(ConflictError)
  }
  expect((await queue.get(job.id)).status).toBe('cancelled')
})

test('what has ended cannot be cancelled; scheduled jobs can', async () => {
  const queue = fixture.client().queue<number>('cancel')
  await queue.enqueue(1)
  const job = (await queue.reserve())!
  await job.complete()
  await expect(queue.cancel(job.id)).rejects.toMatchObject({ name: 'ConflictError', code: 'FAILED_PRECONDITION' })
  const { jobId } = await queue.enqueue(2, { delay: '1h' })
  await queue.cancel(jobId)
  await expect(queue.cancel(jobId)).rejects.toBeInstanceOf(ConflictError)
  expect(await queue.stats()).toMatchObject({ scheduled: 0, cancelled: 1, completed: 1 })
})
