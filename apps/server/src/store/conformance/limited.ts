import fc from 'fast-check'
import { expect } from 'vitest'
import { JobState, type NewJob } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'
import { tryEach } from './tries.ts'

const limited = (key: string, limit: number, change: Partial<NewJob> = {}): Partial<NewJob> => ({ ...change, concurrency: { key, limit } })
const count = async (t: Harness, seqs: readonly number[], states: readonly JobState[]) =>
  (await t.store.jobs.getMany(t.scope, seqs)).filter(({ state }) => states.includes(state)).length

/** Jobs of which so many may be at work at a time. */
export const limitedCases: readonly Case[] = [
  {
    name: 'lets so many jobs of a key through at a time, higher priorities first, then older ones; others beside them',
    async run(t) {
      const [a1, a2, a3, a4, b1] = await t.enqueue(
        limited('a', 2),
        limited('a', 2),
        limited('a', 2),
        limited('a', 2, { priority: 9 }),
        limited('b', 1),
      )
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 3, blocked: 2 })
      const jobs = await t.claim()
      expect(jobs.map(({ seq }) => seq)).toEqual([a1, a2, b1])
      expect(jobs[0]!.stateKey).toBeUndefined()
      await t.complete(jobs[1]!)
      expect([await t.state(a3!), await t.state(a4!)]).toEqual([JobState.blocked, JobState.pending])
      await t.store.jobs.cancel(t.scope, a1!, '', t.clock.now())
      expect(await t.state(a3!)).toBe(JobState.pending)
      expect(await t.state(b1!)).toBe(JobState.running)
    },
  },
  {
    name: 'limits the whole queue without a key, each queue and namespace on its own, and keeps a place between attempts',
    async run(t) {
      const [one, two] = await t.enqueue(limited('', 1, { maxAttempts: 2 }), limited('', 1, { function: 'f' }))
      const [other] = await t.enqueue(limited('', 1, { queue: 'other' }))
      expect([await t.state(one!), await t.state(two!), await t.state(other!)]).toEqual([
        JobState.pending,
        JobState.blocked,
        JobState.pending,
      ])
      await t.fail((await t.claim())[0]!)
      expect(await t.state(two!)).toBe(JobState.blocked)
      await t.tick(testBackoffMs)
      await t.fail((await t.claim())[0]!)
      expect([await t.state(one!), await t.state(two!)]).toEqual([JobState.failed, JobState.pending])
      await t.store.jobs.retry(t.scope, one!, t.clock.now())
      expect(await t.state(one!)).toBe(JobState.blocked)
      expect(await t.store.jobs.replayDead(t.scope, 'q', 10, t.clock.now())).toBe(0)
    },
  },
  {
    name: 'nobody overtakes the first in line, also when limits differ; a larger limit lets several through',
    async run(t) {
      const seqs = await t.enqueue(limited('a', 1), limited('a', 1), limited('a', 3), limited('a', 3))
      const states = () => Promise.all(seqs.map((seq) => t.state(seq)))
      const { pending, blocked, completed } = JobState
      expect(await states()).toEqual([pending, blocked, pending, pending])
      const [first, third, fourth] = await t.claim()
      await t.complete(first!)
      await t.complete(third!)
      expect((await states())[1]).toBe(blocked)
      await t.complete(fourth!)
      expect(await states()).toEqual([completed, pending, completed, completed])
    },
  },
  {
    name: 'whatever happens, no more than the limit are at work, and none waits while there is room',
    async run(fresh) {
      const step = fc.constantFrom(
        'submit',
        'submit',
        'claim',
        'complete',
        'complete',
        'fail',
        'release',
        'cancel',
        'cancelLast',
        'retry',
        'advance',
        'reopen',
      )
      await tryEach(
        fresh,
        40,
        [fc.integer({ min: 1, max: 3 }), fc.array(step, { minLength: 5, maxLength: 40 })],
        async (t, limit, steps) => {
          const seqs: number[] = []
          let held: { seq: number; token: number }[] = []
          for (const step of steps) {
            const [job] = held
            if (step === 'submit') seqs.push((await t.enqueue(limited('k', limit, { maxAttempts: 2, priority: seqs.length % 2 })))[0]!)
            if (step === 'claim') held.push(...(await t.claim({ leaseMs: 600_000 })))
            if (job && ['complete', 'fail', 'release', 'cancel'].includes(step)) {
              held = held.slice(1)
              if (step === 'complete') await t.complete(job)
              else if (step === 'fail') await t.fail(job)
              else if (step === 'release') await t.settle(job, { type: 'release' })
              else await t.store.jobs.cancel(t.scope, job.seq, '', t.clock.now())
            }
            const last = seqs.at(-1)
            if (step === 'cancelLast' && last && ((await t.state(last)) ?? 9) <= JobState.blocked)
              await t.store.jobs.cancel(t.scope, last, '', t.clock.now())
            if (step === 'retry')
              for (const seq of seqs)
                if ([JobState.failed, JobState.cancelled].includes((await t.state(seq)) as 6))
                  await t.store.jobs.retry(t.scope, seq, t.clock.now())
            if (step === 'advance') await t.tick(testBackoffMs)
            if (step === 'reopen') await t.reopen()
            const inside = await count(t, seqs, [JobState.scheduled, JobState.pending, JobState.running])
            const waiting = await count(t, seqs, [JobState.blocked])
            expect(inside).toBeLessThanOrEqual(limit)
            if (waiting > 0) expect(inside).toBe(limit)
          }
        },
      )
    },
  },
]
