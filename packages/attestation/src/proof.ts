import { toHex } from './bytes.ts'
import { AttestationError, type Evidence, type Policy, type Verdict } from './evidence.ts'
import { checkBinding, checkStatement, type Statement } from './statement.ts'
import { verifyEvidence } from './verify.ts'

/** That a task ran where it should: evidence, a key bound to it, and what that key signed. */
export interface Proof {
  /** Of the worker that ran the task. */
  readonly evidence: Evidence
  /** The worker's key, SPKI in DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>
  /** What it says it did. */
  readonly statement: Statement
  /** Its signature of that. */
  readonly signature: Uint8Array<ArrayBuffer>
}

/** What a verifier expects. */
export interface Expectation extends Policy {
  /** The measurement of the code, hexadecimal; absent: any. */
  readonly measurement?: string
  /** The signer of the code, hexadecimal; absent: any. */
  readonly signer?: string
  /** What the task was given, as bytes; absent: anything. */
  readonly payload?: Uint8Array
  /** What came out, as bytes; absent: anything. */
  readonly result?: Uint8Array
}

/**
 * Verifies a proof, trusting nobody but the maker of the platform.
 *
 * @throws AttestationError that says what is wrong.
 */
export async function verifyProof(proof: Proof, expected: Expectation): Promise<Verdict> {
  const verdict = await verifyEvidence(proof.evidence, expected)
  expect('measurement', verdict.measurement, expected.measurement)
  expect('signer', verdict.signer, expected.signer)
  await expectHash('payload', proof.statement.payloadSha256, expected.payload)
  await expectHash('result', proof.statement.resultSha256, expected.result)
  await checkBinding(verdict.reportData, proof.publicKey)
  await checkStatement(proof.statement, proof.signature, proof.publicKey)
  return verdict
}

function expect(what: string, is: string, should: string | undefined): void {
  if (should !== undefined && should.toLowerCase() !== is) {
    throw new AttestationError(`The ${what} is ${is}, not ${should.toLowerCase()}.`)
  }
}

async function expectHash(what: string, is: string, should: Uint8Array | undefined): Promise<void> {
  if (should === undefined) return
  const hash = await crypto.subtle.digest('SHA-256', Uint8Array.from(should))
  if (toHex(new Uint8Array(hash)) !== is) throw new AttestationError(`The ${what} is another one.`)
}
