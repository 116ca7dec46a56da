import { expect } from 'vitest'
import { JobState } from '../ports.ts'
import type { Case } from './harness.ts'

/** Leasing jobs: order, functions, pause, isolation. */
export const claimCases: readonly Case[] = [
  {
    name: 'gives higher priorities first, then older jobs',
    async run(t) {
      const [low, a, high, b] = await t.enqueue({ priority: -5 }, {}, { priority: 100 }, {})
      expect((await t.claim()).map((job) => job.seq)).toEqual([high, a, b, low])
    },
  },
  {
    name: 'gives a job once, under a fresh token, with its attempt and lease',
    async run(t) {
      await t.enqueue({}, { timeoutMs: 5000 })
      const [first, second] = await t.claim({ leaseMs: 10_000 })
      expect(await t.claim()).toEqual([])
      expect(first).toMatchObject({ attempt: 1, maxAttempts: 3, leaseExpiresAt: t.clock.now() + 10_000, deadline: undefined })
      expect(second).toMatchObject({ deadline: t.clock.now() + 5000 })
      expect(second!.token).toBeGreaterThan(first!.token)
      expect(await t.store.jobs.get(t.scope, first!.seq)).toMatchObject({
        state: JobState.running,
        attempts: 1,
        workerId: 'w',
        startedAt: t.clock.now(),
      })
    },
  },
  {
    name: 'draws from the functions asked for alone, in the order of all',
    async run(t) {
      const [a, , b, c] = await t.enqueue({ function: 'f' }, { function: 'g' }, { function: 'h' }, { function: 'f', priority: 1 })
      expect((await t.claim({ functions: ['f', 'h'] })).map((job) => job.seq)).toEqual([c, a, b])
      expect(await t.claim({ functions: [''] })).toEqual([])
    },
  },
  {
    name: 'keeps the order of all over many functions and claims',
    async run(t) {
      const functions = Array.from({ length: 7 }, (_, i) => `f${i}`)
      const jobs = Array.from({ length: 200 }, (_, i) => ({ function: functions[(i * i) % 7]!, priority: (i * 37) % 3 }))
      const seqs = await t.enqueue(...jobs)
      const expected = seqs.map((seq, i) => ({ seq, priority: jobs[i]!.priority })).sort((a, b) => b.priority - a.priority || a.seq - b.seq)
      const claimed: number[] = []
      for (let got = 1; got > 0; ) {
        const batch = await t.claim({ functions, max: 10 })
        got = batch.length
        claimed.push(...batch.map((job) => job.seq))
      }
      expect(claimed).toEqual(expected.map((job) => job.seq))
    },
  },
  {
    name: 'gives no more than was asked for, to each demand in turn',
    async run(t) {
      await t.enqueue(...Array.from({ length: 5 }, () => ({})))
      const demand = { functions: [''], max: 2, leaseMs: 1000, workerId: 'w' }
      const claims = await t.store.jobs.claim({ scope: t.scope, queue: 'q', demands: () => [demand, demand, demand], now: t.clock.now() })
      expect(claims.map((jobs) => jobs.length)).toEqual([2, 2, 1])
    },
  },
  {
    name: 'gives nothing of a paused queue until it is resumed',
    async run(t) {
      await t.enqueue({})
      await t.store.queues.update(t.scope, 'q', { paused: true }, t.clock.now())
      expect(await t.claim()).toEqual([])
      await t.reopen()
      expect(await t.claim()).toEqual([])
      t.ready.length = 0
      await t.store.queues.update(t.scope, 'q', { paused: false }, t.clock.now())
      expect(t.ready).toHaveLength(1)
      expect(await t.claim()).toHaveLength(1)
    },
  },
  {
    name: 'gives nothing of another tenant or namespace',
    async run(t) {
      await t.enqueue({})
      expect(await t.claim({ scope: t.otherTenant })).toEqual([])
      expect(await t.claim({ scope: t.otherNamespace })).toEqual([])
      expect(await t.claim({ queue: 'unknown' })).toEqual([])
      expect(await t.claim()).toHaveLength(1)
    },
  },
  {
    name: 'gives a scheduled job when its time has come, not before',
    async run(t) {
      await t.enqueue({ runAt: t.clock.now() + 1000 })
      expect(await t.store.jobs.nextDueAt()).toBe(t.clock.now() + 1000)
      await t.tick(999)
      expect(await t.claim()).toEqual([])
      await t.tick(1)
      expect(await t.claim()).toHaveLength(1)
    },
  },
]
