import fc from 'fast-check'
import { expect } from 'vitest'
import { JobState, type NewJob } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'
import { tryEach } from './tries.ts'

const leaseMs = 600_000
const minute = 60_000
const fair = (key: string, change: Partial<NewJob>): Partial<NewJob> => ({ ...change, fairKey: key, labels: { key } })
const many = (key: string, count: number, change: Partial<NewJob>) => Array.from({ length: count }, () => fair(key, change))
const states = (t: Harness, seqs: readonly number[]) => Promise.all(seqs.map((seq) => t.state(seq)))
const { pending, blocked, running, scheduled } = JobState
const open: readonly JobState[] = [scheduled, pending, blocked, running]

/** Takes and completes what there is, one at a time; whose they were. */
async function drain(t: Harness, most = Infinity): Promise<string[]> {
  const order: string[] = []
  while (order.length < most) {
    const [job] = await t.claim({ max: 1, leaseMs })
    if (!job) break
    order.push(job.labels.key ?? '')
    await t.complete(job)
  }
  return order
}

/** Jobs of which keys take turns, and that have limits besides. */
export const fairLimitsCases: readonly Case[] = [
  {
    name: 'before a limit on jobs at work that all share, keys take turns; each in the order of priority, then age',
    async run(t) {
      const concurrency = { key: '', limit: 2 }
      const large = await t.enqueue(...many('large', 100, { concurrency }), fair('large', { concurrency, priority: 9 }))
      const small = await t.enqueue(fair('small', { concurrency }), fair('small', { concurrency }), fair('tiny', { concurrency }))
      await t.reopen()
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 2, blocked: 102 })
      const [one] = await t.claim({ leaseMs })
      await t.complete(one!)
      // A place for one more.
      expect((await t.store.queues.stats(t.scope, 'q')).pending).toBe(1)
      const order = await drain(t)
      expect(
        order
          .slice(0, 8)
          .filter((key) => key !== 'large')
          .sort(),
      ).toEqual(['small', 'small', 'tiny'])
      expect(await t.state(large[100]!)).toBe(JobState.completed)
      expect(await states(t, small)).toEqual([5, 5, 5])
    },
  },
  {
    name: 'before a limit on starts that all share, keys take turns, and several are let through at once',
    async run(t) {
      const rateLimit = { key: '', limit: 6, perMs: minute }
      await t.enqueue(...many('large', 60, { rateLimit }))
      await t.enqueue(...many('a', 3, { rateLimit }), ...many('b', 9, { rateLimit }))
      expect(await drain(t)).toEqual(Array(6).fill('large'))
      const windows: string[][] = []
      for (let n = 0; n < 5; n++) {
        await t.tick(minute - 1)
        expect(await t.claim()).toEqual([])
        await t.tick(1)
        windows.push((await drain(t)).sort())
      }
      expect(windows.map((window) => window.length)).toEqual([6, 6, 6, 6, 6])
      const counts = (window: string[]) => ['a', 'b', 'large'].map((key) => window.filter((each) => each === key).length)
      expect(counts(windows[0]!)).toEqual([2, 2, 2])
      expect(counts(windows[1]!)[0]).toBe(1)
      for (const window of windows.slice(1, 3)) {
        const [, b, large] = counts(window) as [number, number, number]
        expect(Math.abs(b - large)).toBeLessThanOrEqual(1)
      }
      expect(counts(windows.flat())).toEqual([3, 9, 18])
    },
  },
  {
    name: 'limits of each key let many through, and take turns nevertheless; a key that has no places holds up nobody',
    async run(t) {
      const rateLimit = (key: string) => ({ key, limit: 1000, perMs: minute })
      await t.enqueue(...many('large', 300, { rateLimit: rateLimit('large') }))
      await t.enqueue(fair('small', { rateLimit: rateLimit('small') }))
      const order = await drain(t, 64)
      expect(order.indexOf('small')).toBeGreaterThan(-1)

      const concurrency = { key: 'one', limit: 1 }
      await t.enqueue(...many('one', 5, { queue: 'other', concurrency }))
      await t.enqueue(...many('two', 40, { queue: 'other' }))
      const jobs = await t.claim({ queue: 'other', max: 100, leaseMs })
      const rest = await t.claim({ queue: 'other', max: 100, leaseMs })
      expect([...jobs, ...rest].map(({ labels }) => labels.key).sort()).toEqual(['one', ...Array(40).fill('two')])
    },
  },
  {
    name: 'those without a key are one more that takes turns before a shared limit',
    async run(t) {
      const concurrency = { key: '', limit: 1 }
      const [first] = await t.enqueue({ concurrency })
      const plain = await t.enqueue({ concurrency }, { concurrency }, { concurrency, priority: 5 })
      await t.enqueue(...many('a', 3, { concurrency }))
      const more = await t.enqueue({ concurrency })
      expect(await t.state(first!)).toBe(pending)
      expect(await drain(t)).toEqual(['', '', 'a', '', 'a', '', 'a', ''])
      expect(await states(t, [...plain, ...more])).toEqual([5, 5, 5, 5])
      // All begins anew, with keys or without.
      const again = await t.enqueue({ concurrency }, { concurrency })
      expect(await states(t, again)).toEqual([pending, blocked])
      expect(await drain(t)).toHaveLength(2)
    },
  },
  {
    name: 'cancelled wherever they wait, they leave their places: at the limits, and in their turn',
    async run(t) {
      const limits = { concurrency: { key: '', limit: 40 }, rateLimit: { key: '', limit: 36, perMs: minute } }
      const seqs = await t.enqueue(...many('a', 50, limits))
      expect((await t.store.queues.stats(t.scope, 'q')).pending).toBe(32)
      // In the round, before it, before the limit on starts, before that on jobs at work.
      for (const n of [0, 33, 37, 45]) await t.store.jobs.cancel(t.scope, seqs[n]!, '', t.clock.now())
      expect((await t.store.queues.stats(t.scope, 'q')).pending).toBe(31)
      expect((await drain(t)).length).toBe(36)
      await t.tick(minute)
      expect((await drain(t)).length).toBe(10)
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 0, blocked: 0, cancelled: 4, completed: 46 })
    },
  },
  {
    name: 'whatever happens, limits hold, none waits while there is room, and all end',
    async run(fresh) {
      const step = fc.constantFrom('submit', 'submit', 'submit', 'claim', 'claim', 'complete', 'fail', 'cancel', 'retry', 'wait', 'reopen')
      const limit = fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined })
      const choice = fc.record({ step, n: fc.nat(5), key: fc.constantFrom('', 'a', 'b', 'c') })
      await tryEach(fresh, 60, [limit, limit, fc.array(choice, { minLength: 5, maxLength: 60 })], async (t, atWork, starts, steps) => {
        const window = 5000
        const seqs: number[] = []
        const begun: number[] = []
        let held: { seq: number; token: number }[] = []
        const limits: Partial<NewJob> = {
          ...(atWork && { concurrency: { key: '', limit: atWork } }),
          ...(starts && { rateLimit: { key: '', limit: starts, perMs: window } }),
          maxAttempts: 2,
        }
        const find = async (wanted: (state: JobState) => boolean, n: number) => {
          const found = (await t.store.jobs.getMany(t.scope, seqs)).filter(({ state }) => wanted(state))
          return found[n % Math.max(1, found.length)]?.seq
        }
        for (const { step, n, key } of steps) {
          if (step === 'submit')
            seqs.push(...(await t.enqueue(...Array(1 + n).fill({ ...limits, fairKey: key || undefined, priority: n % 2 }))))
          if (step === 'claim') {
            const jobs = await t.claim({ max: 1 + n, leaseMs })
            held.push(...jobs)
            begun.push(...jobs.map(() => t.clock.now()))
          }
          const [job] = held
          if (job && (step === 'complete' || step === 'fail')) {
            held = held.slice(1)
            await t[step](job)
          }
          if (step === 'cancel') {
            const seq = await find((state) => state < running, n)
            if (seq !== undefined) await t.store.jobs.cancel(t.scope, seq, '', t.clock.now())
          }
          if (step === 'retry') {
            const seq = await find((state) => state === JobState.failed || state === JobState.cancelled, n)
            if (seq !== undefined) await t.store.jobs.retry(t.scope, seq, t.clock.now())
          }
          if (step === 'wait') await t.tick([1, 500, testBackoffMs, window, window + 1, 3][n]!)
          if (step === 'reopen') await t.reopen()
          const jobs = await t.store.jobs.getMany(t.scope, seqs)
          const count = (...wanted: JobState[]) => jobs.filter(({ state }) => wanted.includes(state)).length
          const recent = begun.filter((at) => at > t.clock.now() - window).length
          if (atWork) expect(count(pending, running)).toBeLessThanOrEqual(atWork)
          if (starts) expect(recent + count(pending)).toBeLessThanOrEqual(starts)
          if (count(blocked) > 0 && count(pending) === 0) {
            expect(
              count(running, scheduled) === atWork ||
                recent === starts ||
                count(running, scheduled) + count(blocked) >= (atWork ?? Infinity),
            ).toBe(true)
          }
        }
        for (const job of held) await t.complete(job)
        const longest = 3 * seqs.length + 10
        for (let n = 0; n < longest && (await find((state) => open.includes(state), 0)) !== undefined; n++) {
          await drain(t)
          await t.tick(Math.max(window, testBackoffMs))
        }
        expect(await find((state) => open.includes(state), 0)).toBeUndefined()
      })
    },
  },
]
