import { expect } from 'vitest'
import { JobState } from '../ports.ts'
import type { Case } from './harness.ts'

const day = 86_400_000
const retention = { completedMs: day, failedMs: 2 * day, cancelledMs: day, requestsMs: day }

/** The rest of a job's life: cancel, retry, lists, dead letters, retention. */
export const lifeCases: readonly Case[] = [
  {
    name: 'cancels a job that has not ended, once, and makes its lease stale',
    async run(t) {
      const [, seq] = await t.enqueue({ runAt: t.clock.now() + 1000 }, {}, {})
      const [running] = await t.claim({ max: 1 })
      const record = await t.store.jobs.cancel(t.scope, seq!, 'not needed', t.clock.now())
      expect(record).toMatchObject({ state: JobState.cancelled, message: 'not needed', finishedAt: t.clock.now() })
      expect(t.changes.at(-1)).toMatchObject({ seq, cause: 'cancelled' })
      expect(await t.complete(running!)).toMatchObject({ error: { reason: 'CONFLICT' } })
      await expect(t.store.jobs.cancel(t.scope, seq!, '', t.clock.now())).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      await expect(t.store.jobs.cancel(t.scope, 1, '', t.clock.now())).rejects.toMatchObject({ reason: 'NOT_FOUND' })
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ cancelled: 1, processing: 0, pending: 1, scheduled: 1 })
    },
  },
  {
    name: 'runs a failed or cancelled job again with fresh attempts, and no other',
    async run(t) {
      await t.enqueue({}, {}, {})
      const [a, b] = await t.claim({ max: 2 })
      await t.fail(a!, { noRetry: true })
      await t.store.jobs.cancel(t.scope, b!.seq, '', t.clock.now())
      for (const { seq } of [a!, b!]) {
        expect(await t.store.jobs.retry(t.scope, seq, t.clock.now())).toMatchObject({
          state: JobState.pending,
          attempts: 0,
          finishedAt: undefined,
        })
        await expect(t.store.jobs.retry(t.scope, seq, t.clock.now())).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      }
      expect(await t.claim()).toHaveLength(3)
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ failed: 0, dead: 0, cancelled: 0, processing: 3 })
    },
  },
  {
    name: 'hides jobs from other tenants and namespaces in every read and change',
    async run(t) {
      const [seq] = await t.enqueue({ labels: { a: 'b' } })
      for (const scope of [t.otherTenant, t.otherNamespace]) {
        expect(await t.store.jobs.get(scope, seq!)).toBeUndefined()
        expect(await t.store.jobs.getMany(scope, [seq!])).toEqual([])
        expect((await t.store.jobs.list(scope, {}, { limit: 10 })).items).toEqual([])
        expect((await t.store.jobs.list(scope, { labels: { a: 'b' } }, { limit: 10 })).items).toEqual([])
        await expect(t.store.jobs.cancel(scope, seq!, '', t.clock.now())).rejects.toMatchObject({ reason: 'NOT_FOUND' })
        await expect(t.store.jobs.retry(scope, seq!, t.clock.now())).rejects.toMatchObject({ reason: 'NOT_FOUND' })
        expect(await t.store.jobs.replayDead(scope, 'q', 10, t.clock.now())).toBe(0)
        expect(await t.store.jobs.purgeDead(scope, 'q', 10)).toBe(0)
        expect(await t.store.queues.stats(scope, 'q')).toMatchObject({ total: 0, pending: 0 })
      }
      expect(await t.state(seq!)).toBe(JobState.pending)
    },
  },
  {
    name: 'lists by labels, state, function, queue and batch, newest first, page by page',
    async run(t) {
      const jobs = Array.from({ length: 10 }, (_, i) =>
        t.job({ function: i % 2 ? 'f' : 'g', labels: { half: i < 5 ? 'first' : 'second', all: 'yes' } }),
      )
      const { outcomes, batch } = await t.store.jobs.enqueue({
        scope: t.scope,
        jobs,
        requestId: '',
        partial: false,
        batch: true,
        now: t.clock.now(),
      })
      const seqs = outcomes.map((outcome) => ('seq' in outcome ? outcome.seq : 0))
      await t.enqueue({}, { queue: 'other', function: 'f' })
      const list = async (filter: Parameters<typeof t.store.jobs.list>[1]) => {
        const found: number[] = []
        for (let before: number | undefined; ; ) {
          const page = await t.store.jobs.list(t.scope, filter, { limit: 3, before })
          found.push(...page.items.map((item) => item.seq))
          if (page.next === undefined) return found
          before = page.next
        }
      }
      expect(await list({ batch })).toEqual([...seqs].reverse())
      expect(await list({ labels: { half: 'first', all: 'yes' } })).toEqual(seqs.slice(0, 5).reverse())
      expect(await list({ labels: { half: 'first', all: 'no' } })).toEqual([])
      expect(await list({ functions: ['f', 'none'], queue: 'q' })).toEqual(seqs.filter((_, i) => i % 2).reverse())
      expect(await list({ tasksOnly: true })).toHaveLength(11)
      expect(await list({})).toHaveLength(12)
      await t.claim({ functions: ['f'], max: 2 })
      expect(await list({ states: [JobState.running] })).toHaveLength(2)
    },
  },
  {
    name: 'lists, replays and purges dead letters of one queue',
    async run(t) {
      await t.enqueue({}, { function: 'f' }, {}, { queue: 'other' })
      for (const job of [...(await t.claim({ functions: ['', 'f'] })), ...(await t.claim({ queue: 'other' }))])
        await t.fail(job, { noRetry: true })
      const page = await t.store.jobs.listDead(t.scope, 'q', { limit: 2 })
      expect(page.items).toHaveLength(2)
      expect((await t.store.jobs.listDead(t.scope, 'q', { limit: 2, after: page.next })).items).toHaveLength(1)
      expect(await t.store.jobs.replayDead(t.scope, 'q', 2, t.clock.now())).toBe(2)
      expect(await t.claim({ functions: ['', 'f'] })).toHaveLength(2)
      expect(await t.store.jobs.purgeDead(t.scope, 'q', 10)).toBe(1)
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ dead: 0, processing: 2 })
      expect(await t.store.queues.stats(t.scope, 'other')).toMatchObject({ dead: 1 })
    },
  },
  {
    name: 'forgets ended jobs after their retention with all that belongs to them, and no others',
    async run(t) {
      const [done, failed, waiting] = await t.enqueue({ idempotencyKey: 'k', labels: { a: 'b' }, payload: new Uint8Array(9000) }, {}, {})
      const [a, b] = await t.claim({ max: 2 })
      await t.settle(a!, { type: 'log', entries: [{ timestamp: 1, level: 2, message: 'x', fields: '' }] })
      await t.complete(a!)
      await t.fail(b!, { noRetry: true })
      await t.clock.advance(day)
      expect(await t.store.jobs.sweep(retention, t.clock.now(), 100)).toBe(0)
      await t.clock.advance(1)
      expect(await t.store.jobs.sweep(retention, t.clock.now(), 100)).toBe(1)
      expect(await t.state(done!)).toBeUndefined()
      expect(await t.store.jobs.logs(t.scope, done!, { limit: 10, after: 0 })).toEqual([])
      expect((await t.store.jobs.list(t.scope, { labels: { a: 'b' } }, { limit: 10 })).items).toEqual([])
      expect(await t.state(failed!)).toBe(JobState.failed)
      await t.clock.advance(day)
      expect(await t.store.jobs.sweep(retention, t.clock.now(), 100)).toBe(1)
      expect(await t.state(waiting!)).toBe(JobState.pending)
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ dead: 0, failed: 1, completed: 1, total: 3 })
      const [again] = await t.enqueue({ idempotencyKey: 'k', payload: new Uint8Array([1]) })
      expect(await t.state(again!)).toBe(JobState.pending)
    },
  },
]
