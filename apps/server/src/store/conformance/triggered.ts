import fc from 'fast-check'
import { expect } from 'vitest'
import { JobState, type NewJob } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'
import { tryEach } from './tries.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (job: { readonly payload: Uint8Array } | undefined) => new TextDecoder().decode(job?.payload)
const { scheduled, pending, blocked, running, cancelled, completed } = JobState

/** A job that is put off: what a service makes of a request. */
const debounced = (t: Harness, payload: string, delayMs: number, maxDelayMs = 0, change: Partial<NewJob> = {}): Partial<NewJob> => ({
  payload: bytes(payload),
  runAt: t.clock.now() + delayMs,
  debounce: { key: 'k', maxDelayMs },
  ...change,
})

async function enqueueAll(t: Harness, ...jobs: Partial<NewJob>[]): Promise<{ seq: number; created: boolean }[]> {
  const request = { scope: t.scope, jobs: jobs.map((job) => t.job(job)), requestId: '', partial: false, batch: false }
  const { outcomes } = await t.store.jobs.enqueue({ ...request, now: t.clock.now() })
  return outcomes.map((outcome) => ('seq' in outcome ? { seq: outcome.seq, created: outcome.created } : { seq: 0, created: false }))
}

/** Jobs that stand for several requests, and jobs that end unless they begin in time. */
export const triggeredCases: readonly Case[] = [
  {
    name: 'a debounced job starts after the last trigger, with its payload; another key, queue or function is another job',
    async run(t) {
      const large = 'x'.repeat(5000)
      const [first] = await enqueueAll(t, debounced(t, large, 1000))
      await t.tick(600)
      const again = await enqueueAll(t, debounced(t, '"second"', 1000), debounced(t, '"third"', 1000))
      expect(again).toEqual([1, 2].map(() => ({ seq: first!.seq, created: false })))
      const others = await enqueueAll(
        t,
        debounced(t, '1', 1000, 0, { debounce: { key: 'other', maxDelayMs: 0 } }),
        debounced(t, '1', 1000, 0, { queue: 'other' }),
        debounced(t, '1', 1000, 0, { function: 'f' }),
      )
      expect(others.map(({ created }) => created)).toEqual([true, true, true])
      await t.reopen()
      await t.tick(600)
      expect(await t.state(first!.seq)).toBe(scheduled)
      expect(await t.store.jobs.nextDueAt()).toBeGreaterThanOrEqual(t.clock.now() + 400)
      await t.tick(400)
      const jobs = await t.claim()
      expect(text(jobs.find(({ seq }) => seq === first!.seq))).toBe('"third"')
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ total: 3 })
    },
  },
  {
    name: 'a debounced job starts no later than its longest delay after the first trigger, however many follow',
    async run(t) {
      const [first] = await enqueueAll(t, debounced(t, '0', 1000, 2500))
      for (let n = 1; n <= 2; n++) {
        await t.tick(900)
        expect(await enqueueAll(t, debounced(t, String(n), 1000, 2500))).toEqual([{ seq: first!.seq, created: false }])
      }
      await t.tick(699)
      expect(await t.state(first!.seq)).toBe(scheduled)
      await t.tick(1)
      expect(await t.state(first!.seq)).toBe(pending)
      // Nobody has taken it: it is still the one, and not put off any more.
      await enqueueAll(t, debounced(t, '3', 1000, 2500))
      const [job] = await t.claim()
      expect([job!.seq, text(job)]).toEqual([first!.seq, '3'])
      // It runs: it runs once more after the last trigger.
      const [next] = await enqueueAll(t, debounced(t, '4', 1000, 2500))
      expect(next).toMatchObject({ created: true })
      expect(await enqueueAll(t, debounced(t, '5', 1000, 2500))).toEqual([{ seq: next!.seq, created: false }])
      await t.complete(job!)
      await t.tick(1000)
      expect((await t.claim()).map((each) => [each.seq, text(each)])).toEqual([[next!.seq, '5']])
    },
  },
  {
    name: 'a repeat within the window is the first job, whatever has become of it; afterwards there is a new one',
    async run(t) {
      const once = (payload: string) => ({ payload: bytes(payload), deduplicate: { key: 'k', windowMs: 5000 } })
      const [first, second] = await enqueueAll(t, once('1'), once('2'))
      expect([first!.created, second]).toEqual([true, { seq: first!.seq, created: false }])
      const [job] = await t.claim()
      expect(text(job)).toBe('1')
      await t.complete(job!)
      await t.tick(4999)
      expect(await enqueueAll(t, once('3'))).toEqual([{ seq: first!.seq, created: false }])
      await t.tick(1)
      const [third] = await enqueueAll(t, once('4'))
      expect(third!.created).toBe(true)
      expect((await t.claim()).map(text)).toEqual(['4'])
    },
  },
  {
    name: 'requests with triggers are remembered, tenants and namespaces have their own, and all or nothing is added',
    async run(t) {
      const once = t.job({ deduplicate: { key: 'k', windowMs: 5000 } })
      const request = { scope: t.scope, jobs: [once, t.job(), once], requestId: 'r', partial: false, batch: true, now: t.clock.now() }
      const first = await t.store.jobs.enqueue(request)
      expect(await t.store.jobs.enqueue(request)).toEqual(first)
      expect((await t.store.queues.stats(t.scope, 'q')).total).toBe(2)
      for (const scope of [t.otherNamespace, t.otherTenant]) {
        const { outcomes } = await t.store.jobs.enqueue({ ...request, scope, jobs: [once], requestId: '' })
        expect(outcomes).toMatchObject([{ created: true }])
      }
      await t.store.queues.update(t.scope, 'full', { maxDepth: 1 }, t.clock.now())
      const jobs = [t.job({ ...once, queue: 'full' }), t.job({ queue: 'full' })]
      await expect(t.store.jobs.enqueue({ ...request, jobs, requestId: '' })).rejects.toMatchObject({ reason: 'QUOTA_EXCEEDED' })
      expect(await enqueueAll(t, { ...once, queue: 'full' })).toMatchObject([{ created: true }])
    },
  },
  {
    name: 'one that is not begun in time ends as cancelled, says why, and makes room for those behind it',
    async run(t) {
      const startBefore = t.clock.now() + 5000
      const limit = { concurrency: { key: 'k', limit: 1 } }
      const [plain, later, started, first, second] = await t.enqueue(
        { startBefore },
        { startBefore, runAt: startBefore - 1 },
        { startBefore, queue: 'taken' },
        { startBefore, ...limit, queue: 'limited' },
        { ...limit, queue: 'limited' },
      )
      const [job] = await t.claim({ queue: 'taken' })
      expect(await t.store.jobs.nextDueAt()).toBeLessThanOrEqual(startBefore)
      await t.tick(4998)
      expect(await t.state(second!)).toBe(blocked)
      await t.reopen()
      await t.tick(2)
      for (const seq of [plain!, later!, first!]) {
        expect(await t.store.jobs.get(t.scope, seq)).toMatchObject({ state: cancelled, message: expect.stringContaining('expired') })
      }
      expect([await t.state(second!), await t.state(started!)]).toEqual([pending, running])
      // Once begun it has all its attempts.
      await t.fail(job!)
      await t.tick(testBackoffMs)
      expect(await t.complete((await t.claim({ queue: 'taken' }))[0]!)).toEqual({})
      expect(await t.state(started!)).toBe(completed)
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 0, scheduled: 0, cancelled: 2 })
    },
  },
  {
    name: 'any history of triggers: each is in a run that starts after it, no run starts before its delay, none later than the longest',
    async run(fresh) {
      const step = fc.constantFrom('trigger', 'trigger', 'trigger', 'claim', 'complete', 'wait', 'wait', 'reopen')
      await tryEach(
        fresh,
        40,
        [fc.array(fc.tuple(step, fc.constantFrom(1, 400, 999, 1000)), { minLength: 5, maxLength: 50 })],
        async (t, steps) => {
          const [delay, longest] = [1000, 2500]
          let waiting: { first: number; last: number; payload: string } | undefined
          let held: { seq: number; token: number }[] = []
          for (const [i, [step, ms]] of steps.entries()) {
            const now = t.clock.now()
            if (step === 'trigger') {
              const [outcome] = await enqueueAll(t, debounced(t, String(i), delay, longest))
              expect(outcome!.created).toBe(waiting === undefined)
              // One whose time has come waits for a worker alone.
              const due = waiting && Math.min(waiting.last + delay, waiting.first + longest) <= now
              waiting = { first: waiting?.first ?? now, last: due ? waiting!.last : now, payload: String(i) }
            }
            if (step === 'claim') {
              const jobs = await t.claim({ leaseMs: 600_000 })
              const due = waiting && Math.min(waiting.last + delay, waiting.first + longest) <= now
              expect(jobs.map(text)).toEqual(due ? [waiting!.payload] : [])
              if (due) waiting = undefined
              held.push(...jobs)
            }
            if (step === 'complete' && held[0]) {
              await t.complete(held[0])
              held = held.slice(1)
            }
            if (step === 'wait') await t.tick(ms)
            if (step === 'reopen') await t.reopen()
          }
        },
      )
    },
  },
]
