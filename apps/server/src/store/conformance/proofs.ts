import { expect } from 'vitest'
import { attestedMark } from '../ports.ts'
import type { Case, Harness } from './harness.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const day = 86_400_000
const retention = { completedMs: day, failedMs: day, cancelledMs: day, requestsMs: day }

const proofOf = async (t: Harness, seq: number, scope = t.scope) => {
  const data = await t.store.proofs.get(scope, seq)
  return data && Buffer.from(data).toString()
}

/** What workers prove: of the latest attempt alone, for as long as completed jobs are kept. */
export const proofCases: readonly Case[] = [
  {
    name: 'completes jobs of attested lanes with a proof alone',
    async run(t) {
      const lane = `f${attestedMark}`
      await t.enqueue({ function: lane }, { function: lane, stateful: { key: 'k', ttlMs: 0 } }, { function: 'f' })
      const jobs = await t.claim({ functions: [lane, 'f'], max: 3 })
      const [attested, plain] = [jobs.filter((job) => job.function === lane), jobs.filter((job) => job.function === 'f')]
      expect([attested.length, plain.length]).toEqual([2, 1])
      const complete = { type: 'complete', result: bytes('1'), contentType: '' } as const
      for (const job of attested) {
        expect(await t.settle(job, complete)).toMatchObject({ error: { reason: 'FAILED_PRECONDITION' } })
        expect(await t.settle(job, { type: 'renew', leaseMs: 0 })).toMatchObject({ leaseExpiresAt: expect.any(Number) })
        expect(await t.settle(job, { ...complete, proven: true })).toEqual({})
      }
      expect(await t.settle(plain[0]!, complete)).toEqual({})
    },
  },
  {
    name: 'keeps the proof of the latest attempt, whatever comes late',
    async run(t) {
      const now = t.clock.now()
      expect(await proofOf(t, 5)).toBeUndefined()
      await t.store.proofs.keep(t.scope, 5, 10, bytes('first'), now)
      await t.store.proofs.keep(t.scope, 5, 20, bytes('second'), now)
      await t.store.proofs.keep(t.scope, 5, 15, bytes('late'), now)
      expect(await proofOf(t, 5)).toBe('second')
      await t.reopen()
      expect(await proofOf(t, 5)).toBe('second')
    },
  },
  {
    name: 'shows proofs to their own tenant and namespace alone',
    async run(t) {
      const stranger = { tenant: await t.store.keys.tenant('stranger', 0), namespace: t.scope.namespace }
      await t.store.proofs.keep(t.scope, 5, 10, bytes('mine'), t.clock.now())
      await t.store.proofs.keep(stranger, 5, 10, bytes('theirs'), t.clock.now())
      expect(await proofOf(t, 5)).toBe('mine')
      expect(await proofOf(t, 5, stranger)).toBe('theirs')
      expect(await proofOf(t, 5, { ...t.scope, namespace: 'elsewhere' })).toBeUndefined()
    },
  },
  {
    name: 'forgets proofs with the retention of completed jobs',
    async run(t) {
      await t.store.proofs.keep(t.scope, 5, 10, bytes('old'), t.clock.now())
      await t.clock.advance(day / 2)
      await t.store.proofs.keep(t.scope, 6, 11, bytes('new'), t.clock.now())
      await t.clock.advance(day / 2)
      await t.store.jobs.sweep(retention, t.clock.now(), 100)
      expect([await proofOf(t, 5), await proofOf(t, 6)]).toEqual([undefined, 'new'])
    },
  },
]
