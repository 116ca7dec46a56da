import { expect } from 'vitest'
import { JobState } from '../ports.ts'
import { type Case, testBackoffMs } from './harness.ts'

const conflict = { error: { reason: 'CONFLICT' } }

/** Ending attempts: fencing, retries, leases. */
export const settleCases: readonly Case[] = [
  {
    name: 'completes with a result of any size',
    async run(t) {
      await t.enqueue({}, {})
      const [small, large] = await t.claim()
      expect(await t.complete(small!, '"ok"')).toEqual({})
      expect(await t.complete(large!, 'x'.repeat(50_000))).toEqual({})
      await t.reopen()
      const record = (await t.store.jobs.get(t.scope, small!.seq))!
      expect(record).toMatchObject({ state: JobState.completed, progress: 100, finishedAt: t.clock.now(), error: undefined })
      expect(Buffer.from(record.result!).toString()).toBe('"ok"')
      expect((await t.store.jobs.get(t.scope, large!.seq))!.result).toHaveLength(50_000)
    },
  },
  {
    name: 'answers a repeated completion as the first, and keeps the first result',
    async run(t) {
      await t.enqueue({})
      const [job] = await t.claim()
      await t.complete(job!, '1')
      expect(await t.complete(job!, '2')).toEqual({})
      expect(Buffer.from((await t.store.jobs.get(t.scope, job!.seq))!.result!).toString()).toBe('1')
      expect(await t.fail(job!)).toMatchObject(conflict)
      expect((await t.store.queues.stats(t.scope, 'q')).completed).toBe(1)
    },
  },
  {
    name: 'refuses every action under a token that is not current',
    async run(t) {
      await t.enqueue({})
      const [old] = await t.claim({ leaseMs: 1000 })
      await t.tick(1000)
      const [current] = await t.claim()
      expect(current!.seq).toBe(old!.seq)
      const log = { timestamp: 1, level: 2, message: 'x', fields: '' }
      const actions = [
        { type: 'complete', result: new Uint8Array(), contentType: '' },
        { type: 'fail', error: { message: '', code: '', stack: '' }, noRetry: true },
        { type: 'renew', leaseMs: 60_000 },
        { type: 'release' },
        { type: 'progress', percent: 50, message: '' },
        { type: 'log', entries: [log] },
      ] as const
      for (const action of actions) expect(await t.settle(old!, action)).toMatchObject(conflict)
      expect(await t.store.jobs.get(t.scope, old!.seq)).toMatchObject({ state: JobState.running, progress: 0, attempts: 2 })
      expect(await t.complete(current!)).toEqual({})
    },
  },
  {
    name: 'refuses settlements from another tenant or namespace',
    async run(t) {
      await t.enqueue({})
      const [job] = await t.claim()
      expect(await t.complete(job!, '1', t.otherTenant)).toMatchObject({ error: { reason: 'NOT_FOUND' } })
      expect(await t.complete(job!, '1', t.otherNamespace)).toMatchObject({ error: { reason: 'NOT_FOUND' } })
      expect(await t.state(job!.seq)).toBe(JobState.running)
    },
  },
  {
    name: 'settles each item of a call on its own',
    async run(t) {
      await t.enqueue({}, {})
      const [a, b] = await t.claim()
      const action = { type: 'complete', result: new Uint8Array(), contentType: '' } as const
      const items = [
        { seq: a!.seq, token: a!.token, action },
        { seq: b!.seq, token: 1, action },
        { seq: 12345, token: 1, action },
      ]
      const outcomes = await t.store.jobs.settle(t.scope, items, t.clock.now())
      expect(outcomes).toMatchObject([{}, conflict, { error: { reason: 'NOT_FOUND' } }])
      expect(await t.state(a!.seq)).toBe(JobState.completed)
    },
  },
  {
    name: 'tries a failed job again after its backoff, and keeps it as a dead letter after its last attempt',
    async run(t) {
      const [seq] = await t.enqueue({ maxAttempts: 3 })
      for (let attempt = 1; attempt <= 3; attempt++) {
        const [job] = await t.claim()
        expect(job).toMatchObject({ seq, attempt })
        expect(await t.fail(job!)).toEqual({})
        expect(await t.fail(job!)).toEqual({})
        if (attempt === 3) break
        expect(await t.state(seq!)).toBe(JobState.scheduled)
        expect(t.changes.at(-1)).toMatchObject({ seq, state: JobState.scheduled, dueAt: t.clock.now() + testBackoffMs })
        await t.tick(testBackoffMs - 1)
        expect(await t.claim()).toEqual([])
        await t.tick(1)
      }
      expect(await t.store.jobs.get(t.scope, seq!)).toMatchObject({
        state: JobState.failed,
        attempts: 3,
        error: { message: 'no', code: 'E' },
      })
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ failed: 1, dead: 1, pending: 0, scheduled: 0, processing: 0 })
    },
  },
  {
    name: 'fails at once, or after a wait of its own, when told so',
    async run(t) {
      await t.enqueue({}, {}, {})
      const [a, b, c] = await t.claim()
      await t.fail(a!, { noRetry: true })
      await t.fail(b!, { delayMs: 60_000 })
      await t.fail(c!, { delayMs: 0 })
      expect(await t.state(a!.seq)).toBe(JobState.failed)
      expect(await t.store.jobs.get(t.scope, b!.seq)).toMatchObject({ state: JobState.scheduled, runAt: t.clock.now() + 60_000 })
      expect(await t.state(c!.seq)).toBe(JobState.pending)
    },
  },
  {
    name: 'gives a released job back without counting the attempt',
    async run(t) {
      await t.enqueue({})
      const [job] = await t.claim()
      expect(await t.settle(job!, { type: 'release' })).toEqual({})
      const [again] = await t.claim()
      expect(again).toMatchObject({ seq: job!.seq, attempt: 1 })
      expect(again!.token).not.toBe(job!.token)
    },
  },
  {
    name: 'gives a job to the next worker when its lease ends, and keeps it from that while it is renewed',
    async run(t) {
      const [seq] = await t.enqueue({})
      const [job] = await t.claim({ leaseMs: 10_000 })
      await t.tick(9000)
      expect(await t.settle(job!, { type: 'renew', leaseMs: 0 })).toEqual({ leaseExpiresAt: t.clock.now() + 10_000 })
      await t.tick(9999)
      expect(await t.state(seq!)).toBe(JobState.running)
      await t.tick(1)
      expect(await t.store.jobs.get(t.scope, seq!)).toMatchObject({ state: JobState.pending, error: { code: 'lease_expired' } })
      expect(t.changes.at(-1)).toMatchObject({ seq, cause: 'lease-expired' })
      expect(await t.claim()).toMatchObject([{ attempt: 2 }])
    },
  },
  {
    name: 'leases survive a restart',
    async run(t) {
      await t.enqueue({})
      const [job] = await t.claim()
      await t.reopen()
      expect(await t.claim()).toEqual([])
      expect(await t.complete(job!)).toEqual({})
    },
  },
  {
    name: 'a job whose leases all ran out becomes a dead letter',
    async run(t) {
      const [seq] = await t.enqueue({ maxAttempts: 2 })
      for (let attempt = 0; attempt < 2; attempt++) {
        await t.claim({ leaseMs: 1000 })
        await t.tick(1000)
      }
      expect(await t.store.jobs.get(t.scope, seq!)).toMatchObject({ state: JobState.failed, error: { code: 'lease_expired' } })
    },
  },
  {
    name: 'ends an attempt at its timeout, whatever its lease says, and backs off',
    async run(t) {
      const [seq] = await t.enqueue({ timeoutMs: 5000 })
      const [job] = await t.claim({ leaseMs: 60_000 })
      await t.settle(job!, { type: 'renew', leaseMs: 60_000 })
      await t.tick(4999)
      expect(await t.state(seq!)).toBe(JobState.running)
      await t.tick(1)
      expect(await t.store.jobs.get(t.scope, seq!)).toMatchObject({ state: JobState.scheduled, error: { code: 'timeout' } })
      expect(t.changes.at(-1)).toMatchObject({ cause: 'timeout' })
      expect(await t.complete(job!)).toMatchObject(conflict)
    },
  },
  {
    name: 'takes the smallest progress there is, and texts with NUL',
    async run(t) {
      const odd = 'a\0b'
      const [seq] = await t.enqueue({}, {})
      const [job, other] = await t.claim()
      for (const percent of [1e-300, 1e-45, 100]) {
        expect(await t.settle(job!, { type: 'progress', percent, message: odd })).toEqual({})
        expect((await t.store.jobs.get(t.scope, seq!))!.progress).toBeCloseTo(percent)
      }
      expect(await t.settle(job!, { type: 'log', entries: [{ timestamp: 2 ** 53 - 1, level: 2, message: odd, fields: odd }] })).toEqual({})
      expect(await t.settle(other!, { type: 'fail', error: { message: odd, code: odd, stack: odd }, noRetry: true })).toEqual({})
      expect(await t.settle(job!, { type: 'complete', result: new Uint8Array(), contentType: odd })).toEqual({})
    },
  },
  {
    name: 'keeps progress and log lines, the newest thousand',
    async run(t) {
      const [seq] = await t.enqueue({})
      const [job] = await t.claim()
      await t.settle(job!, { type: 'progress', percent: 42.5, message: 'half' })
      expect(await t.store.jobs.get(t.scope, seq!)).toMatchObject({ progress: 42.5, message: 'half', state: JobState.running })
      const entries = Array.from({ length: 1200 }, (_, i) => ({ timestamp: i, level: 2, message: `line ${i}`, fields: '{"a":1}' }))
      await t.settle(job!, { type: 'log', entries })
      const lines = await t.store.jobs.logs(t.scope, seq!, { limit: 2000, after: 0 })
      expect(lines).toHaveLength(1000)
      expect(lines[0]).toEqual({ sequence: 201, timestamp: 200, level: 2, message: 'line 200', fields: '{"a":1}' })
      expect(await t.store.jobs.logs(t.scope, seq!, { limit: 5, after: 1198 })).toHaveLength(2)
    },
  },
]
