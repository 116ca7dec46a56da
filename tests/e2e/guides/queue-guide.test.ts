import { setTimeout as sleep } from 'node:timers/promises'
import {
  AuthenticationError,
  ConflictError,
  JobNotFoundError,
  Millrace,
  NonRetryableError,
  UnavailableError,
  ValidationError,
} from '@millrace/client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

interface Email {
  to: string
  subject?: string
}

const fixture = useServer()

test('enqueue: an id, and created is false for a duplicate', async () => {
  const emails = fixture.client().queue<Email>('emails')
  const payload = { to: 'user@example.com', subject: 'Hello' }
  const first = await emails.enqueue(payload, { priority: 5, maxAttempts: 3, idempotencyKey: 'welcome-1' })
  expect(first).toMatchObject({ jobId: expect.stringMatching(/^job_[0-9a-z]{11}$/), seq: expect.any(Number), created: true })
  const again = await emails.enqueue(payload, { priority: 5, maxAttempts: 3, idempotencyKey: 'welcome-1' })
  expect(again).toMatchObject({ jobId: first.jobId, seq: first.seq, created: false })
  expect(await emails.stats()).toMatchObject({ pending: 1, total: 1 })
})

test('enqueueBatch answers in order', async () => {
  const emails = fixture.client().queue<Email>('emails')
  const results = await emails.enqueueBatch(['a', 'b', 'c'].map((to) => ({ payload: { to } })))
  expect(results.every(({ created }) => created)).toBe(true)
  const jobs = await emails.receive({ max: 10 })
  expect(jobs.map(({ id, payload }) => [id, payload.to])).toEqual(results.map(({ jobId }, i) => [jobId, 'abc'[i]]))
})

test('receive a batch for a worker with a lease, then complete and fail', async () => {
  const emails = fixture.client().queue<Email>('emails')
  await emails.enqueueBatch([{ payload: { to: 'good@example.com' } }, { payload: { to: 'bad@example.com' }, maxAttempts: 1 }])
  const before = Date.now()
  const jobs = await emails.receive({ workerId: 'worker-1', max: 10, lease: '5m' })
  expect(jobs).toHaveLength(2)
  const [good, bad] = jobs as [(typeof jobs)[0], (typeof jobs)[0]]
  expect(good).toMatchObject({ queue: 'emails', payload: { to: 'good@example.com' }, headers: {}, priority: 0, attempt: 1 })
  expect(good.createdAt).toBeInstanceOf(Date)
  expect(good.leaseExpiresAt.getTime()).toBeGreaterThanOrEqual(before + 299_000)
  expect(await emails.stats()).toMatchObject({ pending: 0, processing: 2 })

  await good.complete({ sent: true })
  await bad.fail(new Error('no such mailbox'))
  expect(await emails.get(good.id)).toMatchObject({ status: 'completed', result: { sent: true } })
  expect(await emails.get(bad.id)).toMatchObject({ status: 'failed', error: { message: 'no such mailbox' } })
  expect(await emails.stats()).toMatchObject({ pending: 0, scheduled: 0, processing: 0, completed: 1, failed: 1, dead: 1, total: 2 })
})

test('deliveries: a continuous stream, at most `concurrency` unsettled', async () => {
  const emails = fixture.client().queue<{ n: number }>('emails')
  const stop = new AbortController()
  const seen: number[] = []
  let held = 0
  let most = 0
  const consumer = (async () => {
    for await (const job of emails.deliveries({ lease: '5m', concurrency: 3, signal: stop.signal })) {
      most = Math.max(most, ++held)
      void (async () => {
        await sleep(5)
        held--
        await job.complete({ sent: true })
        if (seen.push(job.payload.n) === 20) stop.abort()
      })()
    }
  })()
  await emails.enqueueBatch(Array.from({ length: 20 }, (_, n) => ({ payload: { n } })))
  await expect(consumer).rejects.toMatchObject({ name: 'AbortError' })
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n))
  expect(most).toBeLessThanOrEqual(3)
  expect(await emails.stats()).toMatchObject({ completed: 20, processing: 0 })
})

test('deliveries end well when the loop is left', async () => {
  const namespace = freshName()
  const mr = fixture.client({ namespace })
  const emails = mr.queue<Email>('emails')
  await emails.enqueue({ to: 'one@example.com' })
  for await (const job of emails.deliveries({ lease: '5m' })) {
    await job.complete()
    break
  }
  const listening = async () => (await mr.cluster.workers()).some((worker) => worker.namespace === namespace)
  await until('the server has noticed', async () => !(await listening()))
  await emails.enqueue({ to: 'two@example.com' })
  expect(await emails.stats()).toMatchObject({ pending: 1, processing: 0 })
})

test('a worker: subscribe with a concurrency, completions and failures, events', async () => {
  const mr = fixture.client()
  const emails = mr.queue<Email>('emails')
  const worker = mr.worker<Email>({
    queue: 'emails',
    concurrency: 10,
    lease: '5m',
    handler: async (job) => {
      if (job.payload.to === '') throw new NonRetryableError('nobody to send it to')
      return { sent: true }
    },
  })
  onTestFinished(() => worker.stop())
  const completed: string[] = []
  const failed: string[] = []
  worker.on('completed', ({ id }) => completed.push(id))
  worker.on('failed', ({ id }) => failed.push(id))
  await worker.start()
  const good = await emails.enqueue({ to: 'user@example.com' })
  const bad = await emails.enqueue({ to: '' })
  await until('both are settled', () => completed.length === 1 && failed.length === 1)
  expect([completed, failed]).toEqual([[good.jobId], [bad.jobId]])
  expect(await emails.get(good.jobId)).toMatchObject({ status: 'completed', result: { sent: true } })
  expect(await emails.get(bad.jobId)).toMatchObject({ status: 'failed', error: { message: 'nobody to send it to' }, attempts: 1 })
})

describe('leases', () => {
  test('renew keeps a job alive during long processing', async () => {
    const emails = fixture.client().queue<Email>('emails')
    await emails.enqueue({ to: 'user@example.com' })
    const job = (await emails.reserve({ lease: '2s' }))!
    const renewals = setInterval(() => void job.renew('2s'), 300)
    try {
      await sleep(3000)
    } finally {
      clearInterval(renewals)
    }
    await job.complete({ sent: true })
    expect(await emails.get(job.id)).toMatchObject({ status: 'completed', attempts: 1 })
  })

  test('a worker renews by itself', async () => {
    const mr = fixture.client()
    const emails = mr.queue<Email>('emails')
    const worker = mr.worker<Email>({
      queue: 'emails',
      lease: '3s',
      handler: async (_job, ctx) => {
        await sleep(4500, undefined, { signal: ctx.signal })
        return { sent: true }
      },
    })
    onTestFinished(() => worker.stop())
    const done = new Promise((resolve) => worker.on('completed', resolve))
    await worker.start()
    const { jobId } = await emails.enqueue({ to: 'user@example.com' })
    await done
    expect(await emails.get(jobId)).toMatchObject({ status: 'completed', attempts: 1 })
  })
})

test('queue statistics', async () => {
  const emails = fixture.client().queue<Email>('emails')
  expect(await emails.stats()).toEqual({
    pending: 0,
    scheduled: 0,
    blocked: 0,
    processing: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
    dead: 0,
    total: 0,
    oldestAgeMs: 0,
  })
  await emails.enqueue({ to: 'a' })
  await emails.enqueue({ to: 'b' }, { delay: '1h' })
  await sleep(10)
  const stats = await emails.stats()
  expect(stats).toMatchObject({ pending: 1, scheduled: 1, total: 2 })
  expect(stats.oldestAgeMs).toBeGreaterThanOrEqual(10)
})

describe('errors', () => {
  test('a wrong key', async () => {
    const emails = fixture.client({ apiKey: 'mr_wrong' }).queue('emails')
    await expect(emails.stats()).rejects.toBeInstanceOf(AuthenticationError)
    await expect(emails.stats()).rejects.toMatchObject({ code: 'UNAUTHENTICATED', statusCode: 401 })
  })

  test('nobody listens', async () => {
    const emails = fixture.client({ endpoint: '127.0.0.1:1', retry: false }).queue('emails')
    await expect(emails.stats()).rejects.toBeInstanceOf(UnavailableError)
  })

  test('an unknown job, a wrong request, a stale lease', async () => {
    const emails = fixture.client().queue<Email>('emails')
    await expect(emails.get('job_00000000000')).rejects.toBeInstanceOf(JobNotFoundError)
    await expect(emails.enqueue({ to: 'x' }, { priority: 101 })).rejects.toBeInstanceOf(ValidationError)
    await emails.enqueue({ to: 'x' })
    const job = (await emails.reserve({ lease: '30s' }))!
    await job.complete()
    await expect(job.fail(new Error('too late'))).rejects.toBeInstanceOf(ConflictError)
  })
})

describe('connections', () => {
  test('keepalive options', async () => {
    const mr = fixture.client({ keepalive: { interval: '1s', timeout: '1s' } })
    expect(await mr.queue('idle').receive({ wait: '3s' })).toEqual([])
  })

  test('ready waits for a server that is not there yet, and gives up in time', async () => {
    const mr = fixture.client()
    await mr.ready({ timeout: '5s' })
    const lost = fixture.client({ endpoint: '127.0.0.1:1' })
    const before = performance.now()
    await expect(lost.ready({ timeout: '400ms' })).rejects.toBeInstanceOf(UnavailableError)
    expect(performance.now() - before).toBeLessThan(10_000)
  })

  test('the environment configures a client', async () => {
    const { endpoint, key } = fixture.server
    const before = { ...process.env }
    onTestFinished(() => {
      process.env = before
    })
    Object.assign(process.env, { MILLRACE_ENDPOINT: endpoint, MILLRACE_API_KEY: key, MILLRACE_NAMESPACE: freshName() })
    await using mr = new Millrace()
    const { jobId } = await mr.queue('emails').enqueue({ to: 'x' })
    expect(await fixture.client({ namespace: process.env.MILLRACE_NAMESPACE }).queue('emails').get(jobId)).toMatchObject({
      status: 'pending',
    })
  })
})

test('a whole worker: jobs stream in, leases are kept, results go back, SIGTERM would drain', async () => {
  const mr = fixture.client()
  const emails = mr.queue<Email>('emails')
  const sent: string[] = []
  const worker = mr.worker<Email>({
    queue: 'emails',
    concurrency: 2,
    lease: '2s',
    handler: async (job) => {
      await sleep(50)
      sent.push(job.payload.to)
      return { sent: true }
    },
  })
  await worker.start()
  const jobs = await emails.enqueueBatch(['a', 'b', 'c', 'd', 'e'].map((to) => ({ payload: { to } })))
  await until('the first is sent', () => sent.length > 0)
  await worker.stop({ drain: '10s' })
  // What had begun was finished; the rest waits for the next worker, with its attempts untouched.
  const stats = await emails.stats()
  expect(stats).toMatchObject({ processing: 0, completed: sent.length, pending: jobs.length - sent.length })
  for (const job of await emails.receive({ max: 10 })) expect(job.attempt).toBe(1)
})

test('a worker says when it connects', async () => {
  const mr = fixture.client()
  const worker = mr.worker({ queue: 'emails', handler: async () => undefined })
  onTestFinished(() => worker.stop())
  const connected = new Promise((resolve) => worker.on('connected', resolve))
  await worker.start()
  await connected
})
