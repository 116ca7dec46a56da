import fc from 'fast-check'
import { expect } from 'vitest'
import { JobState, type NewJob } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'
import { tryEach } from './tries.ts'

const minute = 60_000
const leaseMs = 60 * minute
const rated = (limit: number, change: Partial<NewJob> = {}, key = 'a'): Partial<NewJob> => ({
  ...change,
  rateLimit: { key, limit, perMs: minute },
})
const states = (t: Harness, seqs: readonly number[]) => Promise.all(seqs.map((seq) => t.state(seq)))
const { pending, blocked, running, scheduled } = JobState

/** Jobs of which so many may start within a time. */
export const ratedCases: readonly Case[] = [
  {
    name: 'lets so many jobs of a key start within the window, higher priorities first, then older ones; others beside them',
    async run(t) {
      const seqs = await t.enqueue(rated(2), rated(2), rated(2), rated(2, { priority: 9 }), rated(1, {}, 'b'))
      expect(await states(t, seqs)).toEqual([pending, pending, blocked, blocked, pending])
      const [first, second] = await t.claim({ max: 2 })
      await t.complete(first!)
      await t.complete(second!)
      // That they have ended makes no room.
      await t.tick(minute - 1)
      expect((await states(t, seqs)).slice(2)).toEqual([blocked, blocked, pending])
      expect(await t.store.jobs.nextDueAt()).toBe(t.clock.now() + 1)
      await t.tick(1)
      expect((await states(t, seqs)).slice(2)).toEqual([pending, pending, pending])
      const [third] = await t.enqueue(rated(2))
      expect((await t.claim()).map(({ seq }) => seq)).toEqual([seqs[3], seqs[2], seqs[4]])
      await t.tick(minute)
      expect(await t.state(third!)).toBe(pending)
    },
  },
  {
    name: 'counts starts, not jobs that became ready: what waited for a worker does not start all at once',
    async run(t) {
      const seqs = await t.enqueue(...Array.from({ length: 5 }, () => rated(2)))
      await t.tick(10 * minute)
      expect(await t.claim({ leaseMs })).toHaveLength(2)
      await t.reopen()
      await t.tick(minute - 1)
      expect(await t.claim()).toHaveLength(0)
      await t.tick(1)
      expect(await t.claim({ max: 1, leaseMs })).toHaveLength(1)
      await t.tick(minute / 2)
      expect(await t.claim({ leaseMs })).toHaveLength(1)
      await t.tick(minute / 2)
      expect((await t.claim()).map(({ seq }) => seq)).toEqual([seqs[4]])
    },
  },
  {
    name: 'counts each start of a job that starts several times at one moment: given back, or cancelled and tried again',
    async run(t) {
      const [seq] = await t.enqueue(rated(3))
      const [first] = await t.claim({ leaseMs })
      await t.settle(first!, { type: 'release' })
      const [second] = await t.claim({ leaseMs })
      await t.store.jobs.cancel(t.scope, second!.seq, '', t.clock.now())
      await t.store.jobs.retry(t.scope, second!.seq, t.clock.now())
      expect((await t.claim({ leaseMs })).map((job) => job.seq)).toEqual([seq])
      const [other] = await t.enqueue(rated(3))
      expect(await t.state(other!)).toBe(blocked)
      await t.tick(minute + 1000)
      expect(await t.state(other!)).toBe(pending)
    },
  },
  {
    name: 'limits the whole queue without a key, each queue on its own; one that is cancelled before its start leaves its place',
    async run(t) {
      const [one, two] = await t.enqueue(rated(1, {}, ''), rated(1, { function: 'f' }, ''))
      const [other] = await t.enqueue(rated(1, { queue: 'other' }, ''))
      expect(await states(t, [one!, two!, other!])).toEqual([pending, blocked, pending])
      await t.store.jobs.cancel(t.scope, one!, '', t.clock.now())
      expect(await t.state(two!)).toBe(pending)
      const [later, after] = await t.enqueue(
        rated(1, { runAt: t.clock.now() + 5000, queue: 'later' }),
        rated(1, { runAt: t.clock.now() + 5000, queue: 'later' }),
      )
      expect(await states(t, [later!, after!])).toEqual([scheduled, scheduled])
      await t.tick(5000)
      expect(await states(t, [later!, after!])).toEqual([pending, blocked])
      await t.store.jobs.cancel(t.scope, after!, '', t.clock.now())
      expect(await t.store.queues.stats(t.scope, 'later')).toMatchObject({ pending: 1, blocked: 0 })
    },
  },
  {
    name: 'every attempt is a start, also after a lease that ran out',
    async run(t) {
      const [seq] = await t.enqueue(rated(1))
      const [job] = await t.claim()
      await t.fail(job!)
      await t.tick(testBackoffMs)
      expect(await t.state(seq!)).toBe(blocked)
      await t.tick(minute)
      const [again] = await t.claim({ leaseMs: 5000 })
      expect(again).toMatchObject({ seq, attempt: 2 })
      await t.tick(5000)
      await t.tick(0)
      expect(await t.state(seq!)).toBe(blocked)
      await t.tick(minute)
      expect(await t.claim()).toMatchObject([{ seq, attempt: 3 }])
    },
  },
  {
    name: 'stands together with a limit on jobs at work: a job has its place there while it waits for its start',
    async run(t) {
      const both = { ...rated(2), concurrency: { key: 'c', limit: 1 } }
      const seqs = await t.enqueue(both, both, both, rated(2))
      // The last goes through the limit on starts alone.
      expect(await states(t, seqs)).toEqual([pending, blocked, blocked, pending])
      const [first] = await t.claim()
      await t.complete(first!)
      expect(await states(t, seqs.slice(1))).toEqual([blocked, blocked, running])
      await t.tick(minute)
      expect(await states(t, seqs.slice(1, 3))).toEqual([pending, blocked])
      await t.store.jobs.cancel(t.scope, seqs[1]!, '', t.clock.now())
      expect(await t.state(seqs[2]!)).toBe(pending)
      // Cancelled while it waits for its start, it makes room at work.
      const more = await t.enqueue(both, both)
      await t.complete((await t.claim())[0]!)
      await t.enqueue(rated(2))
      await t.claim()
      await t.store.jobs.cancel(t.scope, more[0]!, '', t.clock.now())
      await t.tick(minute)
      expect(await states(t, more)).toEqual([JobState.cancelled, pending])
    },
  },
  {
    name: 'whatever happens, no more than the limit start within any window, and none waits while there is room',
    async run(fresh) {
      const step = fc.constantFrom('submit', 'submit', 'submit', 'claim', 'claim', 'complete', 'fail', 'cancel', 'retry', 'wait', 'reopen')
      const waits = fc.constantFrom(1, 500, testBackoffMs, 5000, 5001)
      await tryEach(
        fresh,
        40,
        [fc.integer({ min: 1, max: 3 }), fc.array(fc.tuple(step, waits), { minLength: 5, maxLength: 50 })],
        async (t, limit, steps) => {
          const window = 5000
          const seqs: number[] = []
          const starts: number[] = []
          let held: { seq: number; token: number }[] = []
          const submit = async () =>
            seqs.push(...(await t.enqueue({ rateLimit: { key: 'k', limit, perMs: window }, maxAttempts: 2, priority: seqs.length % 2 })))
          for (const [step, ms] of steps) {
            if (step === 'submit') await submit()
            if (step === 'claim') {
              const jobs = await t.claim({ max: 1 + (ms % 2), leaseMs: 600_000 })
              held.push(...jobs)
              starts.push(...jobs.map(() => t.clock.now()))
            }
            const [job] = held
            if (job && (step === 'complete' || step === 'fail')) {
              held = held.slice(1)
              await t[step](job)
            }
            if (step === 'cancel') {
              const open = (await t.store.jobs.getMany(t.scope, seqs)).find(({ state }) => state < running)
              if (open) await t.store.jobs.cancel(t.scope, open.seq, '', t.clock.now())
            }
            if (step === 'retry') {
              const over = (await t.store.jobs.getMany(t.scope, seqs)).find(({ state }) => state === 6 || state === 7)
              if (over) await t.store.jobs.retry(t.scope, over.seq, t.clock.now())
            }
            if (step === 'wait') await t.tick(ms)
            if (step === 'reopen') await t.reopen()
            const now = t.clock.now()
            const recent = starts.filter((at) => at > now - window).length
            const jobs = await t.store.jobs.getMany(t.scope, seqs)
            const ready = jobs.filter(({ state }) => state === pending).length
            expect(recent + ready).toBeLessThanOrEqual(limit)
            if (jobs.some(({ state }) => state === blocked)) expect(recent + ready).toBe(limit)
          }
        },
      )
    },
  },
]
