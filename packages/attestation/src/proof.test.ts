import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createStatementKey, type Proof, type Statement, simulateEvidence, verifyProof } from './index.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const measurement = 'a1'.repeat(32)
const signer = 'b2'.repeat(32)
const statement: Statement = { taskId: 'task_1', function: 'sum', payloadSha256: sha256('[1,2]'), resultSha256: sha256('3') }
const policy = { at: new Date('2030-01-01'), acceptSimulated: true }

async function prove(): Promise<Proof> {
  const key = await createStatementKey()
  const evidence = simulateEvidence(key.reportData, { measurement, signer })
  return { evidence, publicKey: key.publicKey, statement, signature: await key.sign(statement) }
}

describe('a proof', () => {
  it('is good when all of it fits', async () => {
    expect(await verifyProof(await prove(), { ...policy, measurement: measurement.toUpperCase(), signer })).toMatchObject({
      platform: 'simulated',
      measurement,
      signer,
    })
  })

  it('is refused as simulated unless that is accepted', async () => {
    await expect(verifyProof(await prove(), { at: policy.at })).rejects.toThrow('Simulated evidence proves nothing')
  })

  it('is refused when the code or its signer is another', async () => {
    await expect(verifyProof(await prove(), { ...policy, measurement: 'c3'.repeat(32) })).rejects.toThrow('The measurement is a1')
    await expect(verifyProof(await prove(), { ...policy, signer: 'c3'.repeat(32) })).rejects.toThrow('The signer is b2')
  })

  it('is refused when the key is not the one in the evidence', async () => {
    const [mine, theirs] = [await prove(), await prove()]
    const mixed = { ...theirs, evidence: mine.evidence }
    await expect(verifyProof(mixed, policy)).rejects.toThrow('not bound to the key')
  })

  it.each(['taskId', 'function', 'payloadSha256', 'resultSha256'] as const)('is refused when its %s is another', async (field) => {
    const proof = await prove()
    await expect(verifyProof({ ...proof, statement: { ...statement, [field]: 'x' } }, policy)).rejects.toThrow(
      'The signature is not of this task',
    )
  })

  it('is refused when any bit of its signature or key is changed', async () => {
    const proof = await prove()
    for (const part of ['signature', 'publicKey'] as const) {
      for (let at = 0; at < proof[part].length; at++) {
        const changed = proof[part].slice()
        changed[at]! ^= 1
        await expect(verifyProof({ ...proof, [part]: changed }, policy)).rejects.toMatchObject({ name: 'AttestationError' })
      }
    }
  })
})
