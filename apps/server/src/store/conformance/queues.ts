import { expect } from 'vitest'
import type { Case } from './harness.ts'

/** Queues: settings and counts. */
export const queueCases: readonly Case[] = [
  {
    name: 'has defaults for a queue that was never used, and makes none by looking',
    async run(t) {
      expect(await t.store.queues.settings(t.scope, 'new')).toMatchObject({ name: 'new', maxDepth: 0, paused: false, createdAt: undefined })
      expect(await t.store.queues.stats(t.scope, 'new')).toMatchObject({ total: 0, oldestPendingAt: undefined })
      expect(await t.store.queues.list(t.scope, { limit: 10, after: '' })).toEqual([])
    },
  },
  {
    name: 'keeps settings across a restart',
    async run(t) {
      const retry = { maxAttempts: 7, initialBackoffMs: 1, maxBackoffMs: 2, multiplier: 3, strategy: 'linear', jitter: 0.5 } as const
      await t.store.queues.update(t.scope, 'q', { retry, maxDepth: 5 }, t.clock.now())
      await t.store.queues.update(t.scope, 'q', { paused: true }, t.clock.now())
      await t.reopen()
      expect(await t.store.queues.settings(t.scope, 'q')).toMatchObject({ retry, maxDepth: 5, paused: true })
      await t.enqueue({})
      expect((await t.store.jobs.list(t.scope, {}, { limit: 1 })).items[0]).toMatchObject({ maxAttempts: 7 })
    },
  },
  {
    name: 'counts jobs by state, the same after a restart',
    async run(t) {
      await t.enqueue({}, {}, {}, { runAt: t.clock.now() + 1000 }, { function: 'f', priority: 3 })
      const [a, b] = await t.claim({ max: 2 })
      await t.complete(a!)
      await t.fail(b!, { noRetry: true })
      const expected = { pending: 2, scheduled: 1, processing: 0, completed: 1, failed: 1, cancelled: 0, dead: 1, total: 5 }
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject(expected)
      await t.reopen()
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject(expected)
      expect(await t.store.queues.depth(t.scope.tenant)).toBe(3)
      expect(await t.store.queues.depth(t.otherTenant.tenant)).toBe(0)
      expect(await t.store.queues.totals()).toEqual({ pending: 2, scheduled: 1, blocked: 0, running: 0, dead: 1 })
    },
  },
  {
    name: 'knows the age of the oldest pending job, whatever its priority',
    async run(t) {
      const start = t.clock.now()
      await t.enqueue({ priority: -3 })
      await t.clock.advance(1000)
      await t.enqueue({ priority: 5 }, {})
      expect((await t.store.queues.stats(t.scope, 'q')).oldestPendingAt).toBe(start)
    },
  },
  {
    name: 'lists the queues of one namespace by name, page by page',
    async run(t) {
      await t.enqueue({ queue: 'b' }, { queue: 'a' }, { queue: 'c' })
      await t.store.queues.update(t.otherNamespace, 'd', { paused: true }, t.clock.now())
      const names = async (after: string) => (await t.store.queues.list(t.scope, { limit: 2, after })).map((queue) => queue.name)
      expect(await names('')).toEqual(['a', 'b'])
      expect(await names('b')).toEqual(['c'])
    },
  },
]
