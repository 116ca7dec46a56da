import { setTimeout as sleep } from 'node:timers/promises'
import {
  AuthenticationError,
  CircuitOpenError,
  MillraceError,
  QuotaExceededError,
  RateLimitError,
  TaskTimeoutError,
  UnavailableError,
} from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { clientMaker, clients, functions, simulated } from '../harness/every-client.ts'
import { freshName, startWorker, useServer } from '../harness/fixture.ts'
import { freePort } from '../harness/free-port.ts'
import { startServer } from '../harness/server.ts'

// Errors, patterns and troubleshooting of tasks, in the order in which a guide tells it, with every client.

const fixture = useServer({ flags: ['--attestation-simulated'] })

describe.each(clients)('$name', (kind) => {
  const { endpointOf } = kind
  const { clientOf, withWorker } = clientMaker(fixture, kind)

  describe('Error handling', () => {
    /** The guide's chain of `instanceof`. */
    function explain(error: unknown): string {
      if (error instanceof AuthenticationError) return 'Invalid API key'
      if (error instanceof RateLimitError) return `Rate limited, retry after: ${error.retryAfter}s`
      if (error instanceof QuotaExceededError) return `Quota exceeded: ${error.quotaType}: ${error.current} of ${error.limit}`
      if (error instanceof TaskTimeoutError) return `Timed out after ${error.timeout} ms`
      if (error instanceof MillraceError) return `API error ${error.statusCode}`
      throw error
    }
    const explained = (call: Promise<unknown>) => call.then(() => 'it succeeded', explain)

    test('a key that calls too often', async () => {
      const { key: apiKey } = await clientOf().keys.create({ name: 'slow', scopes: ['admin'], rateLimit: 1 })
      const mr = clientOf({ apiKey, retry: false })
      const outcomes = await Promise.all(Array.from({ length: 30 }, () => explained(mr.cluster.health())))
      expect(outcomes).toContainEqual(expect.stringMatching(/^Rate limited, retry after: [\d.]+s$/))
    })

    test('a wrong key, a full queue, a wait that ends, and what is wrong otherwise', async () => {
      const mr = clientOf()
      expect(await explained(clientOf({ apiKey: 'mr_nobody' }).tasks.submit({ payload: {} }))).toBe('Invalid API key')
      await mr.queue('default').update({ maxDepth: 1 })
      const task = await mr.tasks.submit({ payload: {} })
      // The server asks for 250 ms: the second try is the last, and has time for its answer.
      expect(await explained(mr.tasks.submit({ payload: {} }, { timeout: '490ms' }))).toMatch(/^Quota exceeded: .*depth.*: 1 of 1$/)
      expect(await explained(task.wait({ timeout: 50 }))).toBe('Timed out after 50 ms')
      expect(await explained(mr.tasks.submit({ function: 'no spaces' }))).toBe('API error 400')
      expect(await explained(mr.tasks.get('task_00000000000'))).toBe('API error 404')
    })
  })

  describe('Advanced patterns', () => {
    test('Concurrent calls', async () => {
      const mr = await withWorker()
      const handles = await Promise.all([1, 2, 3].map((id) => mr.tasks.submit({ payload: { id } })))
      const results = await Promise.all(handles.map(({ taskId }) => mr.tasks.wait(taskId)))
      expect(results.map(({ result }) => result)).toEqual([1, 2, 3].map((id) => ({ echoed: { id } })))
    })

    test('A client that closes with its scope', async () => {
      const kept = clientOf()
      {
        await using mr = kept
        await mr.tasks.submit({ payload: { data: '…' } })
      }
      await expect(kept.tasks.submit({ payload: {} })).rejects.toThrow(/closed/)
    })

    test('Custom retry policy', async () => {
      await using server = await startServer()
      const mr = clientOf({
        endpoint: endpointOf(server),
        apiKey: server.key,
        circuitBreaker: false,
        retry: { maxRetries: 100, initialDelay: 50, maxDelay: '200ms', multiplier: 2, jitter: 0.1, retryOn: ['UNAVAILABLE'] },
      })
      await server.kill()
      const submitted = mr.tasks.submit({ payload: { data: '…' } })
      await server.restart()
      expect((await submitted).created).toBe(true)
    })

    test('TEE proof verification', async () => {
      const mr = await withWorker()
      const task = await mr.tasks.submit({ function: 'sum', payload: { numbers: [20, 22] }, teeRequired: true })
      const { result } = await task.wait()
      const proof = await mr.tasks.proof(task.taskId)
      expect(proof).toMatchObject({ platform: 'simulated', mrenclave: simulated.measurement, mrsigner: simulated.signer, verified: false })
      const expected = { trustedSigningKey: simulated.signer, acceptSimulated: true, verifier: await kind.verifier?.() }
      const payload = { numbers: [20, 22] }
      expect(await proof.verifyLocally({ ...expected, expectedMrenclave: simulated.measurement, payload, result })).toEqual({ valid: true })
      const other = await proof.verifyLocally({ ...expected, expectedMrenclave: '00'.repeat(32) })
      expect(other).toMatchObject({ valid: false, error: expect.stringMatching(/./) })
    })
  })

  describe('Common patterns', () => {
    test('Idempotent task submission', async () => {
      const mr = await withWorker()
      const order = { payload: { orderId: '12345' }, idempotencyKey: 'order-12345-process' }
      const first = await mr.tasks.submit(order)
      await first.wait()
      const second = await mr.tasks.submit(order)
      expect(second).toMatchObject({ taskId: first.taskId, created: false })
      expect((await mr.tasks.get(first.taskId)).attempts).toBe(1)
    })

    test('Handling backpressure: the depth is there to read, and a full queue is waited for', async () => {
      const namespace = freshName()
      const mr = clientOf({ namespace })
      const before = (await mr.cluster.health()).queue.depth
      await mr.queue('default').update({ maxDepth: 2 })
      await mr.tasks.submitBatch({ tasks: [{ payload: 1 }, { payload: 2 }] })
      expect((await mr.cluster.health()).queue.depth).toBe(before + 2)
      const third = mr.tasks.submit({ payload: 3 }) // accepted when there is room again
      await sleep(100)
      await startWorker(fixture.client({ namespace }).worker({ tasks: functions, signals: false }))
      expect(await (await third).wait()).toMatchObject({ status: 'completed', result: { echoed: 3 } })
    })

    test('Fan-out/fan-in pattern', async () => {
      const mr = await withWorker()
      const handles = []
      for (const item of [1, 2, 3, 4]) handles.push(await mr.tasks.submit({ function: 'sum', payload: { numbers: [item, item] } }))
      const results = await mr.tasks.waitBatch(handles.map(({ taskId }) => taskId))
      expect(results.reduce((sum, { result }) => sum + (result as number), 0)).toBe(20)
    })

    test('Circuit breaker', async () => {
      const nobody = `127.0.0.1:${await freePort()}`
      const mr = clientOf({
        endpoint: endpointOf({ endpoint: nobody, http: nobody }),
        retry: false,
        circuitBreaker: { failureThreshold: 5, successThreshold: 3, resetTimeout: '30s', ignore: [QuotaExceededError] },
      })
      for (let i = 0; i < 5; i++) await expect(mr.cluster.health()).rejects.toBeInstanceOf(UnavailableError)
      await expect(mr.cluster.health()).rejects.toBeInstanceOf(CircuitOpenError)
    })
  })

  describe('Best practices', () => {
    test('Use idempotency keys: without one, a repeated submission is a task of its own', async () => {
      const mr = clientOf()
      const pay = (idempotencyKey?: string) => mr.tasks.submit({ payload: { payment: 7 }, idempotencyKey })
      expect((await pay('payment-7')).taskId).toBe((await pay('payment-7')).taskId)
      expect((await pay()).taskId).not.toBe((await pay()).taskId)
    })

    test('Set appropriate timeouts', async () => {
      const mr = await withWorker()
      const task = await mr.tasks.submit({ function: 'hang', timeout: 50, retry: { maxAttempts: 1 } })
      expect(await task.wait()).toMatchObject({ status: 'failed', error: { message: expect.stringMatching(/time/i) } })
    })

    test('Use labels for filtering', async () => {
      const mr = clientOf()
      const labels = { env: 'production', team: 'data-engineering', pipeline: 'etl-daily' }
      const { taskId } = await mr.tasks.submit({ payload: {}, labels })
      await mr.tasks.submit({ payload: {}, labels: { pipeline: 'etl-weekly' } })
      const tasks = await Array.fromAsync(mr.tasks.list({ labels: { pipeline: 'etl-daily' } }))
      expect(tasks.map((task) => task.taskId)).toEqual([taskId])
    })

    test('Handle errors gracefully: the client waits for its rate limit by itself, and tells of it when it may not', async () => {
      const { key: apiKey } = await clientOf().keys.create({ name: 'patient', scopes: ['admin'], rateLimit: 40 })
      const patient = clientOf({ apiKey, retry: { maxRetries: 20 } })
      const calls = (mr: typeof patient) => Promise.allSettled(Array.from({ length: 60 }, () => mr.cluster.health()))
      expect((await calls(patient)).map(({ status }) => status)).not.toContain('rejected')
      const later = (await calls(clientOf({ apiKey, retry: false }))).filter((call) => call.status === 'rejected')
      expect(later.length).toBeGreaterThan(0)
      for (const { reason } of later) expect(reason).toBeInstanceOf(RateLimitError)
    })

    test('Monitor queue depth: submit the next batch when the last one is nearly done', async () => {
      const mr = await withWorker()
      const done: unknown[] = []
      for (let batch = 0; batch < 3; batch++) {
        while ((await mr.queue('default').stats()).pending >= 10) await sleep(10)
        const { taskIds } = await mr.tasks.submitBatch({ tasks: Array.from({ length: 10 }, (_, i) => ({ payload: batch * 10 + i })) })
        done.push(...(await mr.tasks.waitBatch(taskIds)).map(({ result }) => result))
      }
      expect(done).toEqual(Array.from({ length: 30 }, (_, i) => ({ echoed: i })))
    })

    test('Use connection pooling', async () => {
      const mr = await withWorker({ maxConnections: 20 })
      const handles = await Promise.all(Array.from({ length: 50 }, (_, item) => mr.tasks.submit({ payload: { item } })))
      const results = await mr.tasks.waitBatch(handles.map(({ taskId }) => taskId))
      expect(results.every(({ status }) => status === 'completed')).toBe(true)
    })
  })

  describe('Troubleshooting', () => {
    test('Connection issues: debug logging', async () => {
      const lines: string[] = []
      const log = (message: string) => void lines.push(message)
      const nobody = `127.0.0.1:${await freePort()}`
      const mr = clientOf({
        endpoint: endpointOf({ endpoint: nobody, http: nobody }),
        logger: { debug: log, info: log, warn: log, error: log },
        retry: { maxRetries: 1, initialDelay: 10 },
      })
      await expect(mr.cluster.health()).rejects.toBeInstanceOf(UnavailableError)
      expect(lines.join('\n')).toMatch(/GetHealth.*UNAVAILABLE/)
    })

    test('Rate limiting', async () => {
      const { key: apiKey } = await clientOf().keys.create({ name: 'limited', scopes: ['admin'], rateLimit: 100 })
      const { limit, remaining, resetAt } = await clientOf({ apiKey }).account.rateLimit()
      expect(limit).toBe(100)
      expect(remaining).toBeGreaterThanOrEqual(0)
      expect(remaining).toBeLessThan(100)
      expect(resetAt).toBeInstanceOf(Date)
    })

    test('Quota issues', async () => {
      const mr = clientOf()
      await mr.queue('counted').enqueue(1)
      const { queues } = await mr.account.quotas()
      expect(queues!.used).toBeGreaterThanOrEqual(1)
      expect((queues!.used / queues!.limit) * 100).toBeLessThan(100)
    })

    test('Task debugging: details and logs', async () => {
      const mr = await withWorker()
      const { taskId } = await mr.tasks.submit({ function: 'process_data', payload: 1 })
      await mr.tasks.wait(taskId)
      const task = await mr.tasks.get(taskId)
      expect(task.startedAt!.getTime()).toBeGreaterThanOrEqual(task.createdAt.getTime())
      expect(task.durationMs).toBe(task.finishedAt!.getTime() - task.startedAt!.getTime())
      expect(task.executedOn).toMatch(/./)
      const logs = await Array.fromAsync(mr.tasks.logs(taskId))
      expect(logs).toMatchObject([{ level: 'info', message: 'processing', fields: { size: 1 }, timestamp: expect.any(Date) }])
    })
  })
})
