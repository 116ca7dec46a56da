import { expect } from 'vitest'
import { JobState } from '../ports.ts'
import type { Case } from './harness.ts'

const text = (value: string) => new TextEncoder().encode(value)

/** Adding jobs: order, idempotency, all or none, depth. */
export const enqueueCases: readonly Case[] = [
  {
    name: 'keeps everything that was submitted',
    async run(t) {
      const runAt = t.clock.now() + 5000
      const job = {
        function: 'f',
        payload: new Uint8Array([0, 255, 128]),
        contentType: 'application/octet-stream',
        headers: { h: 'é' },
        labels: { env: 'prod' },
        priority: -7,
        timeoutMs: 1234,
        runAt,
        maxAttempts: 9,
      }
      const [seq] = await t.enqueue(job)
      await t.reopen()
      const record = (await t.store.jobs.get(t.scope, seq!))!
      expect(record).toMatchObject({ function: 'f', queue: 'q', contentType: job.contentType, headers: job.headers, labels: job.labels })
      expect(record).toMatchObject({
        priority: -7,
        maxAttempts: 9,
        runAt,
        state: JobState.scheduled,
        attempts: 0,
        createdAt: t.clock.now(),
      })
      expect([...record.payload!]).toEqual([0, 255, 128])
    },
  },
  {
    name: 'keeps payloads of any size',
    async run(t) {
      const sizes = [0, 1, 2047, 2048, 2049, 100_000, 4 * 1024 * 1024]
      const payloads = sizes.map((size) => new Uint8Array(size).fill(size % 251))
      const seqs = await t.enqueue(...payloads.map((payload) => ({ payload })))
      const claimed = [...(await t.claim()), ...(await t.claim())]
      expect(claimed.map((job) => job.payload.length)).toEqual(sizes)
      for (const [i, seq] of seqs.entries()) {
        expect(Buffer.compare((await t.store.jobs.get(t.scope, seq))!.payload!, payloads[i]!)).toBe(0)
      }
    },
  },
  {
    name: 'gives numbers that grow, also after a restart and with a clock set back',
    async run(t) {
      const first = await t.enqueue({}, {}, {})
      await t.reopen()
      const second = await t.enqueue({}, {})
      const all = [...first, ...second]
      expect(all).toEqual([...all].sort((a, b) => a - b))
      expect(new Set(all).size).toBe(5)
    },
  },
  {
    name: 'answers an idempotency key seen before with the first job',
    async run(t) {
      const [first] = await t.enqueue({ idempotencyKey: 'k' })
      const request = { scope: t.scope, jobs: [t.job({ idempotencyKey: 'k', priority: 5 })], requestId: '', partial: false, batch: false }
      const { outcomes } = await t.store.jobs.enqueue({ ...request, now: t.clock.now() })
      expect(outcomes).toEqual([{ seq: first, created: false }])
      expect(await t.claim()).toHaveLength(1)
    },
  },
  {
    name: 'refuses an idempotency key with another payload, in other queues it is free',
    async run(t) {
      await t.enqueue({ idempotencyKey: 'k' })
      await expect(t.enqueue({ idempotencyKey: 'k', payload: text('2') })).rejects.toMatchObject({ reason: 'ALREADY_EXISTS' })
      await expect(t.enqueue({ idempotencyKey: 'k', function: 'f' })).rejects.toMatchObject({ reason: 'ALREADY_EXISTS' })
      await t.enqueue({ idempotencyKey: 'k', payload: text('2'), queue: 'other' })
    },
  },
  {
    name: 'answers a repeated request as the first time, also after a restart',
    async run(t) {
      const jobs = [t.job(), t.job({ idempotencyKey: 'k' }), t.job({ idempotencyKey: 'k' }), t.job()]
      const request = { scope: t.scope, jobs, requestId: 'r1', partial: true, batch: true, now: t.clock.now() }
      const first = await t.store.jobs.enqueue(request)
      await t.reopen()
      expect(await t.store.jobs.enqueue(request)).toEqual(first)
      expect(first.outcomes.map((outcome) => 'created' in outcome && outcome.created)).toEqual([true, true, false, true])
      expect((await t.store.queues.stats(t.scope, 'q')).total).toBe(3)
      const elsewhere = await t.store.jobs.enqueue({ ...request, scope: t.otherNamespace })
      expect(elsewhere).not.toEqual(first)
    },
  },
  {
    name: 'adds all or none',
    async run(t) {
      await t.enqueue({ idempotencyKey: 'k' })
      await expect(t.enqueue({}, { queue: 'new' }, { idempotencyKey: 'k', payload: text('2') })).rejects.toThrow()
      expect((await t.store.queues.stats(t.scope, 'q')).total).toBe(1)
      expect(await t.store.queues.list(t.scope, { limit: 10, after: '' })).toHaveLength(1)
    },
  },
  {
    name: 'adds what it can when asked to, with an error in place of the rest',
    async run(t) {
      await t.enqueue({ idempotencyKey: 'k' })
      const jobs = [t.job(), t.job({ idempotencyKey: 'k', payload: text('2') }), t.job()]
      const request = { scope: t.scope, jobs, requestId: '', partial: true, batch: false, now: t.clock.now() }
      const { outcomes } = await t.store.jobs.enqueue(request)
      expect(outcomes.map((outcome) => 'error' in outcome)).toEqual([false, true, false])
      expect((await t.store.queues.stats(t.scope, 'q')).total).toBe(3)
    },
  },
  {
    name: 'a failed caller does not touch those it shares a transaction with',
    async run(t) {
      await t.enqueue({ idempotencyKey: 'k' })
      const results = await Promise.allSettled([t.enqueue({}), t.enqueue({}, { idempotencyKey: 'k', payload: text('2') }), t.enqueue({})])
      expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect((await t.store.queues.stats(t.scope, 'q')).total).toBe(3)
      expect(await t.claim()).toHaveLength(3)
    },
  },
  {
    name: 'refuses jobs past the depth limit and takes them again when there is room',
    async run(t) {
      await t.store.queues.update(t.scope, 'q', { maxDepth: 2 }, t.clock.now())
      await t.enqueue({}, { runAt: t.clock.now() + 1000 })
      const refused = { reason: 'QUOTA_EXCEEDED', quota: { type: 'queue_depth', current: 2, limit: 2 }, retryAfterMs: expect.any(Number) }
      await expect(t.enqueue({})).rejects.toMatchObject(refused)
      await t.enqueue({ queue: 'other' })
      await t.claim()
      await t.enqueue({})
    },
  },
  {
    name: 'answers a request that is repeated as before, though the queue is full by now',
    async run(t) {
      await t.store.queues.update(t.scope, 'q', { maxDepth: 2 }, t.clock.now())
      const request = { scope: t.scope, jobs: [t.job(), t.job()], requestId: 'r1', partial: false, batch: true, now: t.clock.now() }
      const first = await t.store.jobs.enqueue(request)
      const refused = { ...request, requestId: 'r2' }
      const [again, other] = await Promise.allSettled([t.store.jobs.enqueue(request), t.store.jobs.enqueue(refused)])
      expect(again).toEqual({ status: 'fulfilled', value: first })
      expect(other).toMatchObject({ status: 'rejected', reason: { reason: 'QUOTA_EXCEEDED' } })
      expect((await t.store.queues.stats(t.scope, 'q')).total).toBe(2)
    },
  },
  {
    name: 'tells of lanes that became ready, and of none that did not',
    async run(t) {
      await t.enqueue({ function: 'f' }, { queue: 'later', runAt: t.clock.now() + 1000 })
      expect(t.ready).toEqual([{ ...t.scope, queue: 'q', function: 'f' }])
    },
  },
]
