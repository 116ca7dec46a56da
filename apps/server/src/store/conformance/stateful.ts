import { expect } from 'vitest'
import { type ClaimedJob, JobState, type NewJob } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'

const text = (state: { readonly data: Uint8Array } | undefined) => state && Buffer.from(state.data).toString()
const content = (value: string) => ({ data: new TextEncoder().encode(value), contentType: '' })

/** A stateful job. */
export function stateful(key: string, change: Partial<NewJob> & { initial?: string; ttlMs?: number } = {}): Partial<NewJob> {
  const { initial, ttlMs = 0, ...job } = change
  return { ...job, stateful: { key, initial: initial === undefined ? undefined : content(initial), ttlMs } }
}

/** Completes a job with a new state; null forgets it. */
export function completeWith(t: Harness, job: ClaimedJob, state: string | null | undefined) {
  const change = state === undefined ? {} : { state: state === null ? null : content(state) }
  return t.settle(job, { type: 'complete', result: new Uint8Array(), contentType: '', ...change })
}

const value = async (t: Harness, key: string) => text((await t.store.states.get(t.scope, key, t.clock.now()))?.content)

/** Jobs that share a state: one at a time, in order, and each change exactly once. */
export const statefulCases: readonly Case[] = [
  {
    name: 'runs one job of a key at a time, in order of submission whatever their priority; other keys beside it',
    async run(t) {
      const [a1, a2, b1] = await t.enqueue(stateful('a'), stateful('a', { priority: 9, function: 'f' }), stateful('b'))
      const [a3] = await t.enqueue(stateful('a', { queue: 'other' }))
      expect(await Promise.all([a1, a2, a3, b1].map((seq) => t.state(seq!)))).toEqual([
        JobState.pending,
        JobState.blocked,
        JobState.blocked,
        JobState.pending,
      ])
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 2, blocked: 1, total: 3 })
      const functions = ['', 'f']
      const [first, other] = await t.claim({ functions })
      expect([first!.seq, other!.seq]).toEqual([a1, b1])
      expect(await t.claim({ functions })).toEqual([])
      t.ready.length = 0
      await t.complete(first!)
      expect(t.ready).toContainEqual({ ...t.scope, queue: 'q', function: 'f' })
      const [second] = await t.claim({ functions })
      expect(second!.seq).toBe(a2)
      expect(await t.claim({ queue: 'other' })).toEqual([])
      await t.complete(second!)
      expect((await t.claim({ queue: 'other' }))[0]!.seq).toBe(a3)
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ blocked: 0, completed: 2, processing: 1 })
    },
  },
  {
    name: 'hands the state on with the completion, begins with the initial one, and leaves it after a failed attempt',
    async run(t) {
      await t.enqueue(...[1, 2, 3, 4, 5].map((n) => stateful('a', { initial: `{"n":${n}}`, maxAttempts: 2 })))
      const [first] = await t.claim()
      expect(first).toMatchObject({ stateKey: 'a' })
      expect(text(first!.state)).toBe('{"n":1}')
      await t.fail(first!, { delayMs: 0 })
      expect(await value(t, 'a')).toBeUndefined()
      const [again] = await t.claim()
      expect([again!.seq, text(again!.state)]).toEqual([first!.seq, '{"n":1}'])
      await completeWith(t, again!, undefined)
      expect(await value(t, 'a')).toBe('{"n":1}')
      const [second] = await t.claim()
      expect(text(second!.state)).toBe('{"n":1}')
      await t.reopen()
      expect(await completeWith(t, second!, '"x"')).toEqual({})
      expect(await completeWith(t, second!, '"again"')).toEqual({})
      expect(await completeWith(t, first!, '"stale"')).toMatchObject({ error: { reason: 'CONFLICT' } })
      const [third] = await t.claim()
      expect(text(third!.state)).toBe('"x"')
      await completeWith(t, third!, null)
      expect(await value(t, 'a')).toBeUndefined()
      const [fourth] = await t.claim()
      expect(text(fourth!.state)).toBe('{"n":4}')
      expect((await t.store.jobs.get(t.scope, fourth!.seq))!.stateKey).toBe('a')
    },
  },
  {
    name: 'refuses a state of a job that is not stateful',
    async run(t) {
      const [seq] = await t.enqueue({})
      const [job] = await t.claim()
      expect(job!.stateKey).toBeUndefined()
      expect(await completeWith(t, job!, '1')).toMatchObject({ error: { reason: 'VALIDATION' } })
      expect(await t.state(seq!)).toBe(JobState.running)
    },
  },
  {
    name: 'lets the next one begin however a job ends, and keeps its place between attempts',
    async run(t) {
      const seqs = await t.enqueue(...Array.from({ length: 6 }, () => stateful('a', { maxAttempts: 1 })))
      const states = () => Promise.all(seqs.map((seq) => t.state(seq)))
      await t.fail((await t.claim())[0]!)
      await t.claim({ leaseMs: 1000 })
      await t.tick(1000)
      expect(await states()).toEqual([JobState.failed, JobState.failed, JobState.pending, ...Array(3).fill(JobState.blocked)])
      await t.store.jobs.cancel(t.scope, seqs[3]!, '', t.clock.now())
      await t.store.jobs.cancel(t.scope, seqs[2]!, '', t.clock.now())
      expect((await states()).slice(2)).toEqual([JobState.cancelled, JobState.cancelled, JobState.pending, JobState.blocked])
      // An older one that is tried again goes before those that wait, and behind the one that has begun.
      await t.store.jobs.retry(t.scope, seqs[0]!, t.clock.now())
      expect(await t.state(seqs[0]!)).toBe(JobState.blocked)
      const [fifth] = await t.claim()
      await t.complete(fifth!)
      expect([await t.state(seqs[0]!), await t.state(seqs[5]!)]).toEqual([JobState.pending, JobState.blocked])
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({
        pending: 1,
        blocked: 1,
        failed: 1,
        cancelled: 2,
        dead: 1,
        completed: 1,
      })
    },
  },
  {
    name: 'a delayed job stands in line when its time has come; one that backs off keeps its place',
    async run(t) {
      const [later] = await t.enqueue(stateful('a', { runAt: t.clock.now() + 10_000 }))
      const [now, next] = await t.enqueue(stateful('a'), stateful('a'))
      const [job] = await t.claim()
      expect(job!.seq).toBe(now)
      await t.fail(job!)
      expect([await t.state(now!), await t.state(next!)]).toEqual([JobState.scheduled, JobState.blocked])
      await t.tick(testBackoffMs)
      expect(await t.state(now!)).toBe(JobState.pending)
      await t.tick(10_000)
      expect(await t.state(later!)).toBe(JobState.blocked)
      const order: number[] = []
      for (let i = 0; i < 3; i++) {
        const [held] = await t.claim()
        order.push(held!.seq)
        await t.complete(held!)
      }
      expect(order).toEqual([now, later, next])
    },
  },
  {
    name: 'shows, lists and forgets states, also by time; each in its own namespace',
    async run(t) {
      const now = () => t.clock.now()
      const keys = ['b/1', 'a/2', 'a/1', 'a%', 'c']
      await t.enqueue(...keys.map((key, i) => stateful(key, { initial: String(i), ttlMs: key === 'c' ? 1000 : 0 })))
      for (const job of await t.claim()) await completeWith(t, job, undefined)
      expect(await t.store.states.get(t.scope, 'c', now())).toMatchObject({
        revision: 1,
        size: 1,
        updatedAt: now(),
        expiresAt: now() + 1000,
      })
      const list = async (prefix: string, limit = 10, after = '') =>
        (await t.store.states.list(t.scope, prefix, { limit, after }, now())).map(({ key }) => key)
      expect(await list('')).toEqual(['a%', 'a/1', 'a/2', 'b/1', 'c'])
      expect(await list('a/')).toEqual(['a/1', 'a/2'])
      expect(await list('', 2, 'a/1')).toEqual(['a/2', 'b/1'])
      for (const scope of [t.otherTenant, t.otherNamespace]) {
        expect(await t.store.states.get(scope, 'c', now())).toBeUndefined()
        expect(await t.store.states.list(scope, '', { limit: 10, after: '' }, now())).toEqual([])
        expect(await t.store.states.delete(scope, 'c', now())).toBe(false)
      }
      expect(await t.store.states.delete(t.scope, 'b/1', now())).toBe(true)
      expect(await t.store.states.delete(t.scope, 'b/1', now())).toBe(false)
      await t.clock.advance(1000)
      expect(await list('')).toEqual(['a%', 'a/1', 'a/2'])
      expect(await value(t, 'c')).toBeUndefined()
      const keep = { completedMs: 1e9, failedMs: 1e9, cancelledMs: 1e9, requestsMs: 1e9 }
      expect(await t.store.jobs.sweep(keep, now(), 100)).toBe(1)
      const [fresh] = await t.enqueue(stateful('c', { initial: '"new"' }))
      const [job] = await t.claim()
      expect([job!.seq, text(job!.state)]).toEqual([fresh, '"new"'])
    },
  },
  {
    name: 'lists the states of a prefix, whatever it ends in',
    async run(t) {
      const ends = ['', '\u0001', 'b', '~', '\u{d7ff}', '\u{e000}', '\u{ffff}', '😀', '\u{10ffff}']
      const keys = ends.flatMap((end) => [`a${end}`, `a${end}1`, `a${end}\u{10ffff}z`]).filter((key, i, all) => all.indexOf(key) === i)
      await t.enqueue(...keys.map((key) => stateful(key, { initial: '1' })))
      for (const job of await t.claim()) await completeWith(t, job, undefined)
      for (const prefix of [...ends.map((end) => `a${end}`), '\u{10ffff}', '\u{10ffff}\u{10ffff}', 'a\u{10ffff}\u{10ffff}', 'b']) {
        const found = await t.store.states.list(t.scope, prefix, { limit: 100, after: '' }, t.clock.now())
        const expected = keys.filter((key) => key.startsWith(prefix)).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        expect(found.map(({ key }) => key)).toEqual(expected)
      }
    },
  },
]
