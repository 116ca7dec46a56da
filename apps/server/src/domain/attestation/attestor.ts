import type { Evidence, Statement, Verdict } from '@millrace/attestation'
import type { Clock } from '../../clock.ts'
import { MillraceError } from '../../errors.ts'

/** What the operator trusts. */
export interface AttestationPolicy {
  /** Accept evidence that proves nothing, for development. */
  readonly acceptSimulated: boolean
  /** Intel collateral, for evidence that brings none. */
  readonly collateral: readonly Uint8Array[]
  /** Root certificates of AMD to trust beside those that are built in, as PEM. */
  readonly amdRoots?: string
  /** Revocation lists of AMD. When there are any, evidence needs one of its root. */
  readonly amdRevocationLists: readonly Uint8Array[]
  /** Measurements that are accepted, lower-case hexadecimal; none: all. */
  readonly measurements: readonly string[]
}

/** A worker whose evidence was verified. */
export interface AttestedWorker {
  readonly evidence: Evidence
  readonly publicKey: Uint8Array
  readonly verdict: Verdict
  readonly verifiedAt: number
}

/** Verifies where workers run, and what they sign. */
export class Attestor {
  readonly #policy: AttestationPolicy
  readonly #clock: Clock

  constructor(policy: AttestationPolicy, clock: Clock) {
    this.#policy = policy
    this.#clock = clock
  }

  /**
   * Verifies a worker's evidence, and that its key is bound to it.
   *
   * @throws MillraceError FAILED_PRECONDITION that says what is wrong.
   */
  async admit(evidence: Evidence, publicKey: Uint8Array): Promise<AttestedWorker> {
    const { checkBinding, verifyEvidence } = await verifier()
    const { measurements, ...policy } = this.#policy
    const verifiedAt = this.#clock.now()
    const verdict = await verifyEvidence(evidence, { ...policy, at: new Date(verifiedAt) }).catch(refuse)
    if (measurements.length > 0 && !measurements.includes(verdict.measurement)) {
      throw new MillraceError(
        'FAILED_PRECONDITION',
        `The worker's attestation is not accepted: its measurement ${verdict.measurement} is not allowed.`,
      )
    }
    await checkBinding(verdict.reportData, Uint8Array.from(publicKey)).catch(refuse)
    return { evidence, publicKey, verdict, verifiedAt }
  }

  /** Verifies what a worker signed. @throws MillraceError FAILED_PRECONDITION when it did not sign that. */
  async checkStatement(worker: AttestedWorker, statement: Statement, signature: Uint8Array): Promise<void> {
    const { checkStatement } = await verifier()
    await checkStatement(statement, Uint8Array.from(signature), Uint8Array.from(worker.publicKey)).catch(refuse)
  }
}

/** Loaded for those alone who use it. */
function verifier(): Promise<typeof import('@millrace/attestation')> {
  return import('@millrace/attestation')
}

function refuse(cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause)
  throw new MillraceError('FAILED_PRECONDITION', `The worker's attestation is not accepted: ${why}`, {}, { cause })
}
