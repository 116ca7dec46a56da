import { setTimeout as sleep } from 'node:timers/promises'
import {
  AuthenticationError,
  CircuitOpenError,
  MillraceError,
  NotFoundError,
  QuotaExceededError,
  TaskNotFoundError,
  TimeoutError,
  UnavailableError,
  ValidationError,
} from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { clientOf, freshName, useServer } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('The call succeeded.')
}

describe('errors', () => {
  test('one class each, told apart by instanceof, with what programs need', async () => {
    const stranger = fixture.client({ apiKey: 'mr_nobody' })
    const unauthenticated = await rejection(stranger.tasks.submit({ payload: {} }))
    expect(unauthenticated).toBeInstanceOf(AuthenticationError)
    expect(unauthenticated).toBeInstanceOf(MillraceError)
    expect(unauthenticated).toMatchObject({ code: 'UNAUTHENTICATED', statusCode: 401, message: expect.stringMatching(/key/i) })

    const mr = fixture.client()
    const missing = await rejection(mr.tasks.get('task_00000000000'))
    expect(missing).toBeInstanceOf(TaskNotFoundError)
    expect(missing).toBeInstanceOf(NotFoundError)
    expect(missing).toMatchObject({
      code: 'NOT_FOUND',
      statusCode: 404,
      resource: 'task',
      id: 'task_00000000000',
      requestId: expect.stringMatching(/./),
    })

    const wrong = await rejection(mr.tasks.submit({ function: 'no spaces', payload: {} }))
    expect(wrong).toBeInstanceOf(ValidationError)
    expect(wrong).toMatchObject({ code: 'VALIDATION', statusCode: 400, fields: [{ path: expect.stringContaining('function') }] })
  })

  test('a full queue says how full, and when to come back', async () => {
    const namespace = freshName()
    const mr = fixture.client({ namespace, retry: false })
    await fixture.raw('QueueService', { namespace }).call('UpdateQueue', { queue: 'default', maxDepth: 1 })
    await mr.tasks.submit({ payload: {} })
    const full = await rejection(mr.tasks.submit({ payload: {} }, { timeout: '4s' }))
    expect(full).toBeInstanceOf(QuotaExceededError)
    expect(full).toMatchObject({ code: 'QUOTA_EXCEEDED', statusCode: 429, quotaType: expect.stringMatching(/depth/), current: 1, limit: 1 })
  })

  test('a call has a deadline: a server that is there and does not answer', async () => {
    await using server = await startServer()
    const mr = clientOf(server)
    await mr.health()
    server.child.kill('SIGSTOP')
    const before = performance.now()
    const late = await rejection(mr.cluster.health({ timeout: 300 }))
    expect(late).toBeInstanceOf(TimeoutError)
    expect(late).toMatchObject({ code: 'DEADLINE_EXCEEDED', statusCode: 504 })
    expect(performance.now() - before).toBeLessThan(10_000)
    server.child.kill('SIGCONT')
    expect((await mr.health()).healthy).toBe(true)
  })
})

describe('retry policy', () => {
  test('a call rides out a restart of the server', async () => {
    await using server = await startServer()
    const mr = clientOf(server, {
      retry: { maxRetries: 50, initialDelay: 50, maxDelay: '200ms', multiplier: 2, jitter: 0.1, retryOn: ['UNAVAILABLE'] },
    })
    await mr.health()
    await server.kill()
    const submitted = mr.tasks.submit({ payload: { data: '...' } })
    await server.restart()
    const { taskId, created } = await submitted
    expect(created).toBe(true)
    expect((await mr.tasks.status(taskId)).status).toBe('pending')
  })

  test('without retries the first failure is the answer', async () => {
    const mr = fixture.client({ endpoint: '127.0.0.1:1', retry: false, circuitBreaker: false })
    expect(await rejection(mr.tasks.submit({ payload: {} }))).toBeInstanceOf(UnavailableError)
  })

  test('retries end: maxRetries, with growing delays', async () => {
    const mr = fixture.client({
      endpoint: '127.0.0.1:1',
      circuitBreaker: false,
      retry: { maxRetries: 3, initialDelay: 100, multiplier: 2, jitter: 0 },
    })
    const before = performance.now()
    expect(await rejection(mr.tasks.submit({ payload: {} }))).toBeInstanceOf(UnavailableError)
    expect(performance.now() - before).toBeGreaterThanOrEqual(690) // 100 + 200 + 400, less the timers' rounding
  })
})

describe('circuit breaker', () => {
  const nobody = { endpoint: '127.0.0.1:1', retry: false } as const

  test('opens after so many failures, and lets calls through again when the server is back', async () => {
    await using server = await startServer()
    const mr = clientOf(server, { retry: false, circuitBreaker: { failureThreshold: 5, successThreshold: 3, resetTimeout: 500 } })
    await server.kill()
    for (let i = 0; i < 5; i++) expect(await rejection(mr.cluster.health())).toBeInstanceOf(UnavailableError)
    const open = await rejection(mr.cluster.health())
    expect(open).toBeInstanceOf(CircuitOpenError)
    expect(open).toMatchObject({ code: 'CIRCUIT_OPEN', statusCode: 503 })
    await server.restart()
    // The circuit lets a call through after half a second, and the channel connects again by its own clock.
    await until('calls pass again', () => mr.cluster.health(), { every: 100 })
    for (let i = 0; i < 3; i++) expect((await mr.cluster.health()).healthy).toBe(true)
  })

  test('stays open after a failure while half open', async () => {
    const mr = fixture.client({ ...nobody, circuitBreaker: { failureThreshold: 2, successThreshold: 1, resetTimeout: 300 } })
    for (let i = 0; i < 2; i++) expect(await rejection(mr.cluster.health())).toBeInstanceOf(UnavailableError)
    expect(await rejection(mr.cluster.health())).toBeInstanceOf(CircuitOpenError)
    await sleep(350)
    const probe = await rejection(mr.cluster.health())
    expect(probe).toBeInstanceOf(UnavailableError)
    expect(probe).not.toBeInstanceOf(CircuitOpenError)
    expect(await rejection(mr.cluster.health())).toBeInstanceOf(CircuitOpenError)
  })

  test('errors of the caller, and those to ignore, do not open it', async () => {
    const mr = fixture.client({ retry: false, circuitBreaker: { failureThreshold: 2, ignore: [UnavailableError] } })
    for (let i = 0; i < 5; i++) expect(await rejection(mr.tasks.get('task_00000000000'))).toBeInstanceOf(TaskNotFoundError)
    const lost = fixture.client({ ...nobody, circuitBreaker: { failureThreshold: 2, ignore: [UnavailableError] } })
    for (let i = 0; i < 5; i++) expect(await rejection(lost.cluster.health())).not.toBeInstanceOf(CircuitOpenError)
  })
})

describe('backpressure', () => {
  test('a full queue slows the client down instead of failing', async () => {
    const namespace = freshName()
    const mr = fixture.client({ namespace })
    await fixture.raw('QueueService', { namespace }).call('UpdateQueue', { queue: 'narrow', maxDepth: 10 })
    const queue = mr.queue<number>('narrow')
    let settled = 0
    const producing = Promise.all(Array.from({ length: 40 }, (_, n) => queue.enqueue(n).finally(() => settled++)))
    const seen: number[] = []
    while (seen.length < 40) {
      expect((await queue.stats()).pending).toBeLessThanOrEqual(10)
      for (const job of await queue.receive({ max: 5, wait: '5s' })) {
        seen.push(job.payload)
        await job.complete()
      }
    }
    await producing
    expect(settled).toBe(40)
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, n) => n))
  })
})
