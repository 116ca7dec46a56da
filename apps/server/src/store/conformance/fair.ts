import { expect } from 'vitest'
import { JobState, type NewJob } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'

const leaseMs = 600_000
const fair = (key: string, change: Partial<NewJob> = {}): Partial<NewJob> => ({ ...change, fairKey: key, labels: { key } })
const many = (key: string, count: number, change: Partial<NewJob> = {}) => Array.from({ length: count }, () => fair(key, change))

/** Takes jobs one at a time until there are none. */
async function drain(t: Harness, functions?: string[]): Promise<{ seq: number; key: string }[]> {
  const order = []
  for (;;) {
    const [job] = await t.claim({ max: 1, leaseMs, functions })
    if (!job) return order
    order.push({ seq: job.seq, key: job.labels.key! })
    await t.complete(job)
  }
}

/** Jobs of which keys take turns. */
export const fairCases: readonly Case[] = [
  {
    name: 'keys take turns, however many jobs one has; each in the order of priority, then age',
    async run(t) {
      const large = await t.enqueue(...many('large', 200), fair('large', { priority: 9 }))
      const small = await t.enqueue(...many('small', 5), fair('tiny'))
      await t.reopen()
      const order = await drain(t)
      expect(order).toHaveLength(207)
      // One round is ready before the others come, and the next is for all.
      for (const seq of small) expect(order.findIndex((job) => job.seq === seq)).toBeLessThan(64)
      expect(order.filter(({ key }) => key === 'small').map(({ seq }) => seq)).toEqual(small.slice(0, 5))
      const waited = order.filter(({ key }) => key === 'large').map(({ seq }) => seq)
      expect(waited.indexOf(large[200]!)).toBeLessThan(64)
      expect(waited.filter((seq) => seq !== large[200])).toEqual(large.slice(0, 200))
    },
  },
  {
    name: 'with more keys than a round holds, each is served before any is served twice',
    async run(t) {
      // The first ones fill the round that is under way.
      await t.enqueue(...many('first', 32))
      const keys = Array.from({ length: 80 }, (_, i) => `k${i}`)
      await t.enqueue(...keys.flatMap((key) => many(key, 3)))
      const order = (await drain(t)).slice(32).map(({ key }) => key)
      expect(order).toHaveLength(240)
      // Whenever a round is over.
      for (let taken = 32; taken < order.length; taken += 32) {
        const counts = keys.map((key) => order.slice(0, taken).filter((each) => each === key).length)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }
    },
  },
  {
    name: 'jobs that are cancelled, delayed, given back or tried again leave nobody waiting; functions have turns of their own',
    async run(t) {
      const seqs = await t.enqueue(...many('a', 40), ...many('b', 40))
      await t.enqueue(fair('a', { function: 'f' }), fair('a', { function: 'f', runAt: t.clock.now() + 1000 }))
      for (const seq of seqs.slice(0, 36)) await t.store.jobs.cancel(t.scope, seq, '', t.clock.now())
      const [one, two] = await t.claim({ max: 2, leaseMs })
      await t.settle(one!, { type: 'release' })
      await t.fail(two!)
      await t.tick(testBackoffMs)
      for (const seq of seqs.slice(70)) {
        if ((await t.state(seq))! <= JobState.blocked) await t.store.jobs.cancel(t.scope, seq, '', t.clock.now())
      }
      await t.store.jobs.retry(t.scope, seqs[0]!, t.clock.now())
      expect((await drain(t)).length).toBe(35)
      expect(await drain(t, ['f'])).toHaveLength(2)
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 0, blocked: 0, scheduled: 0, processing: 0 })
      // All begins anew.
      await t.enqueue(fair('a'), fair('b'))
      expect(await drain(t)).toHaveLength(2)
    },
  },
]
