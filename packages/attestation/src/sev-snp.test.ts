import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Evidence, type Policy, verifyEvidence } from './index.ts'
import { amdRoots, fingerprint } from './roots.ts'
import { type Chain, createChain, createReport, type Generation, pem, revoke } from './test-amd.ts'

const at = new Date('2026-06-01')
const measurement = 'ab'.repeat(48)

/** A report of a chain's chip, with its certificates, and what trusts the chain's root. */
async function evidenceOf(chain: Chain, change: Parameters<typeof createReport>[1] = {}): Promise<readonly [Evidence, Policy]> {
  const quote = await createReport(chain, { measurement, ...change })
  return [
    { platform: 'sev-snp', quote, endorsements: Buffer.from(pem(chain.vcek) + pem(chain.ask) + pem(chain.ark)) },
    { at, amdRoots: pem(chain.ark) },
  ]
}

describe('roots', () => {
  it.each(['genoa', 'turin'] as const)('%s: the published certificate is the one that is built in', async (name) => {
    const text = readFileSync(new URL(`../vectors/snp_${name}_ark.pem`, import.meta.url), 'utf8')
    const der = Uint8Array.from(Buffer.from(text.split('-----')[2]!, 'base64'))
    expect(await fingerprint(der)).toBe(amdRoots[name])
  })
})

describe.each<Generation>(['genoa', 'turin'])('a report as chips of %s make them', (generation) => {
  let chain: Chain
  beforeAll(async () => {
    chain = await createChain(generation)
  })

  it('is verified', async () => {
    expect(await verifyEvidence(...(await evidenceOf(chain)))).toMatchObject({ platform: 'sev-snp', measurement, debug: false })
  })

  it('is refused when nobody trusts its root', async () => {
    const [evidence] = await evidenceOf(chain)
    await expect(verifyEvidence(evidence, { at })).rejects.toThrow('do not lead to a root that is trusted')
  })

  it('is refused when it is of another chip, also one whose id begins alike', async () => {
    await expect(verifyEvidence(...(await evidenceOf(chain, { chipId: 'ff'.repeat(64) })))).rejects.toThrow('of another chip')
    const alike = `${chain.chipId.slice(0, -2)}01`
    await expect(verifyEvidence(...(await evidenceOf(chain, { chipId: alike })))).rejects.toThrow('of another chip')
  })

  it('is refused when any part of its firmware is another', async () => {
    const places = generation === 'turin' ? [0, 1, 2, 3, 7] : [0, 1, 6, 7]
    for (const place of places) {
      const tcb = Uint8Array.from(chain.tcb)
      tcb[place]!++
      await expect(verifyEvidence(...(await evidenceOf(chain, { tcb })))).rejects.toThrow('of another firmware')
    }
  })

  describe('with revocation lists', () => {
    const verify = async (...amdRevocationLists: readonly Uint8Array[]) => {
      const [evidence, policy] = await evidenceOf(chain)
      return verifyEvidence(evidence, { ...policy, amdRevocationLists })
    }
    const valid = { from: new Date('2026-01-01'), until: new Date('2027-01-01') }

    it('is verified when nothing of it is on them', async () => {
      expect(await verify(await revoke(chain.arkKeys, chain.ark, [], valid))).toMatchObject({ measurement })
    })

    it('is refused when its ASK, or its VCEK, was revoked', async () => {
      const none = await revoke(chain.arkKeys, chain.ark, [], valid)
      await expect(verify(await revoke(chain.arkKeys, chain.ark, [chain.ask], valid))).rejects.toThrow('a certificate was revoked')
      await expect(verify(none, await revoke(chain.askKeys, chain.ask, [chain.vcek], valid))).rejects.toThrow('a certificate was revoked')
      // An old list that says nothing of it makes no difference.
      await expect(verify(none, await revoke(chain.arkKeys, chain.ark, [chain.ask], valid))).rejects.toThrow('a certificate was revoked')
    })

    it('is refused without a list of its root that is valid at the time', async () => {
      const other = await createChain(generation, 'another')
      await expect(verify(await revoke(other.arkKeys, other.ark, [], valid))).rejects.toThrow('list of their root is missing')
      const old = { from: new Date('2024-01-01'), until: new Date('2025-01-01') }
      await expect(verify(await revoke(chain.arkKeys, chain.ark, [], old))).rejects.toThrow('list of their root is not valid at 2026-06-01')
    })

    it('is refused when somebody else signed or changed them, or they are none', async () => {
      await expect(verify(await revoke(chain.askKeys, chain.ark, [], valid))).rejects.toThrow('the signature of a revocation list is wrong')
      const list = await revoke(chain.arkKeys, chain.ark, [chain.ask], valid)
      for (let i = 0; i < 100; i++) {
        const changed = Uint8Array.from(list)
        changed[Math.floor((i * list.length) / 100)]! ^= 1 << (i % 8)
        await expect(verify(changed)).rejects.toMatchObject({ name: 'AttestationError' })
      }
      await expect(verify(Buffer.from('no list'))).rejects.toThrow('A revocation list cannot be read')
    })
  })
})
