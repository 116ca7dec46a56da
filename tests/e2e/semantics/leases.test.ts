import { setTimeout as sleep } from 'node:timers/promises'
import { ConflictError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { startWorker, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()
const leaseMs = 1000
const atOnce = { maxAttempts: 10, initialBackoff: 0, strategy: 'fixed', jitter: 0 } as const

test('a lease that ends: the job comes back, under a new token', async () => {
  const queue = fixture.client().queue<string>('expiry')
  await queue.setRetryPolicy(atOnce)
  await queue.enqueue('x')
  const before = Date.now()
  const first = (await queue.reserve({ lease: leaseMs }))!
  const second = (await queue.reserve({ lease: '30s', wait: '10s' }))!
  const took = Date.now() - before
  expect(took).toBeGreaterThanOrEqual(leaseMs - 10)
  expect(second).toMatchObject({ id: first.id, attempt: 2 })
  expect(second.leaseToken).not.toBe(first.leaseToken)

  await expect(first.complete('late')).rejects.toBeInstanceOf(ConflictError)
  await expect(first.fail(new Error('late'))).rejects.toBeInstanceOf(ConflictError)
  await expect(first.renew('30s')).rejects.toBeInstanceOf(ConflictError)
  await second.complete('in time')
  await second.complete('in time') // a repeat answers as the first did
  await expect(first.complete('later still')).rejects.toBeInstanceOf(ConflictError)
  expect(await queue.get(first.id)).toMatchObject({ status: 'completed', result: 'in time', attempts: 2 })
})

test('the old token is refused as soon as the lease has ended, also when nobody else took the job', async () => {
  const queue = fixture.client().queue<string>('expiry')
  await queue.setRetryPolicy(atOnce)
  await queue.enqueue('x')
  const job = (await queue.reserve({ lease: leaseMs }))!
  await until('the lease ends', async () => (await queue.get(job.id)).status === 'pending')
  await expect(job.complete()).rejects.toBeInstanceOf(ConflictError)
})

test('attempts that lose their lease count: the job dies of it', async () => {
  const queue = fixture.client().queue<string>('expiry')
  const { jobId } = await queue.enqueue('x', { maxAttempts: 1 })
  await queue.reserve({ lease: leaseMs })
  await until('the job is dead', async () => (await queue.get(jobId)).status === 'failed')
  expect(await queue.get(jobId)).toMatchObject({ attempts: 1, error: { code: 'lease_expired' } })
})

test('a renewed lease holds; a lease is renewed from now, not from its end', async () => {
  const queue = fixture.client().queue<string>('renew')
  await queue.enqueue('x')
  const job = (await queue.reserve({ lease: leaseMs }))!
  await job.renew('60s')
  await sleep(leaseMs + 300)
  expect((await queue.get(job.id)).status).toBe('running')
  await job.renew(leaseMs) // shorter than what was left
  await until('the lease ends', async () => (await queue.get(job.id)).status !== 'running')
})

describe('timeouts', () => {
  test('an attempt that takes longer than the timeout ends, whatever its lease; the handler is told', async () => {
    const mr = fixture.client()
    const told: number[] = []
    const work = (_payload: unknown, ctx: { signal: AbortSignal; attempt: number }) =>
      new Promise<void>((resolve) => {
        ctx.signal.addEventListener('abort', () => {
          told.push(ctx.attempt)
          resolve()
        })
      })
    await startWorker(mr.worker({ tasks: { default: work } }))
    const before = Date.now()
    const task = await mr.tasks.submit({ payload: {}, timeout: 400, retry: { ...atOnce, maxAttempts: 2 } })
    expect(await task.wait()).toMatchObject({ status: 'failed', error: { code: 'timeout' } })
    expect(Date.now() - before).toBeGreaterThanOrEqual(800)
    await until('the handlers were told', () => told.length === 2)
    expect(told).toEqual([1, 2])
  })

  test('renewing does not outlast the timeout', async () => {
    const queue = fixture.client().queue<string>('timeout')
    await queue.enqueue('x', { timeout: 1500, maxAttempts: 1 })
    const job = (await queue.reserve({ lease: '30s' }))!
    await job.renew('60s')
    await until('the attempt ends', async () => (await queue.get(job.id)).status === 'failed')
    await expect(job.complete()).rejects.toBeInstanceOf(ConflictError)
  })
})

test('a worker keeps its leases while its handlers work, however long', async () => {
  const mr = fixture.client()
  const queue = mr.queue<number>('long')
  await startWorker(
    mr.worker<number>({
      queue: 'long',
      lease: leaseMs,
      handler: async (_job, ctx) => {
        await sleep(3200, undefined, { signal: ctx.signal })
        return ctx.attempt
      },
    }),
  )
  const jobs = await queue.enqueueBatch([1, 2, 3].map((payload) => ({ payload })))
  await until('all are completed', async () => (await queue.stats()).completed === 3)
  for (const { jobId } of jobs) expect(await queue.get(jobId)).toMatchObject({ result: 1, attempts: 1 })
})
