import type * as wire from '@millrace/protocol'
import { invalid } from '../errors/errors.ts'
import { encodePayload } from '../payload.ts'

/** Where code can run so that others can verify what runs there. `simulated` proves nothing. */
export type TeePlatform = 'sgx' | 'tdx' | 'sev-snp' | 'simulated'

/** What verifies proofs: `@millrace/attestation` fits. */
export interface ProofVerifier {
  /** Rejects with an error that says what is wrong. */
  verifyProof(proof: SignedProof, expected: ProofExpectation): Promise<unknown>
}

/** Evidence, a key bound to it, and what that key signed. */
export interface SignedProof {
  /** Of the worker that ran the task. */
  readonly evidence: { readonly platform: TeePlatform; readonly quote: Uint8Array; readonly endorsements: Uint8Array }
  /** The worker's key: ECDSA P-256, SPKI in DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>
  /** What it says it did; hashes are SHA-256 in lower-case hexadecimal. */
  readonly statement: {
    readonly taskId: string
    readonly function: string
    readonly payloadSha256: string
    readonly resultSha256: string
  }
  /** Its signature of that, 64 bytes. */
  readonly signature: Uint8Array<ArrayBuffer>
}

/** What a verifier is told. */
export interface ProofExpectation {
  /** The measurement of the code, hexadecimal; absent: any. */
  readonly measurement?: string
  /** The signer of the code, hexadecimal; absent: any. */
  readonly signer?: string
  /** What the task was given, as bytes; absent: anything. */
  readonly payload?: Uint8Array
  /** What came out, as bytes; absent: anything. */
  readonly result?: Uint8Array
  /** The time for which certificates must be valid. */
  readonly at: Date
  /** Accept simulated evidence. */
  readonly acceptSimulated?: boolean
  /** Accept code into which the owner of the machine can look. */
  readonly acceptDebug?: boolean
  /** Root certificates of AMD to trust beside those of Milan, Genoa and Turin, as PEM. */
  readonly amdRoots?: string
  /** Revocation lists of AMD in DER. When there are any, evidence needs one of its root that is valid at the time. Default: none. */
  readonly amdRevocationLists?: readonly Uint8Array[]
}

/** What to expect of a proof. */
export interface VerifyOptions {
  /** The measurement of the code that shall have run (MRENCLAVE, MRTD, launch measurement), hexadecimal. Default: any. */
  readonly expectedMrenclave?: string
  /** Who shall have signed the code (MRSIGNER, MROWNER, digest of the identity key), hexadecimal. Default: anybody. */
  readonly trustedSigningKey?: string
  /** What the task was given; checked when it is there. */
  readonly payload?: unknown
  /** What came out; checked when it is there. */
  readonly result?: unknown
  /** The time for which certificates must be valid. Default: now. Quotes of Intel can be verified for about a month: for older ones give a time when they could. */
  readonly at?: Date
  /** Accept evidence that proves nothing, for development. Default false. */
  readonly acceptSimulated?: boolean
  /** Accept code into which the owner of the machine can look. Default false. */
  readonly acceptDebug?: boolean
  /** Root certificates of AMD to trust beside those of Milan, Genoa and Turin, as PEM. */
  readonly amdRoots?: string
  /** Revocation lists of AMD in DER. When there are any, evidence needs one of its root that is valid at the time. Default: none. */
  readonly amdRevocationLists?: readonly Uint8Array[]
  /** What verifies. Default in Node: `@millrace/attestation`. In browsers give that module, so that only who uses it loads it. */
  readonly verifier?: ProofVerifier
}

/** What came of a verification. */
export interface VerifyResult {
  /** True: the task ran where, and did what, the proof says. */
  readonly valid: boolean
  /** What is wrong. */
  readonly error?: string
}

/** That a task ran in a trusted execution environment. */
export interface TaskProof {
  /** What made the evidence. */
  readonly platform: TeePlatform
  /** The measurement of the code: MRENCLAVE, MRTD, or the launch measurement of SEV-SNP. */
  readonly mrenclave: string
  /** Who signed the code: MRSIGNER, MROWNER, or the digest of the identity key. */
  readonly mrsigner: string
  /** True: the server has verified real evidence. False for simulated evidence. */
  readonly verified: boolean
  /** The state of the platform, in Intel's words. */
  readonly tcbStatus: string
  /** Advisories of the maker that concern the platform. */
  readonly advisories: readonly string[]
  /** When the server verified it. */
  readonly verifiedAt: Date
  /** The worker. */
  readonly executedOn: string
  /** All that it takes to verify it elsewhere. */
  readonly signed: SignedProof
  /**
   * Verifies the proof here, trusting nobody but the maker of the platform: the evidence, the measurement and its signer, that
   * the key is bound to the evidence, and that it signed this task, payload and result.
   *
   * @throws ValidationError when there is nothing to verify with: see {@link VerifyOptions.verifier}.
   */
  verifyLocally(options?: VerifyOptions): Promise<VerifyResult>
}

/** In the order of the protocol's `TeePlatform`, which begins with "unspecified". */
const platforms: readonly TeePlatform[] = ['sgx', 'tdx', 'sev-snp']

/**
 * The proof that the server keeps.
 *
 * @param taskId - the task that was asked for: a server that answers with another's proof is not to be believed.
 */
export function fromProof(
  { function: name, proof }: wire.GetTaskProofResponse,
  taskId: string,
  loadVerifier: (() => Promise<ProofVerifier>) | undefined,
): TaskProof {
  const { attestation, verdict, signature, workerId, payloadSha256, resultSha256 } = proof!
  const { quote, endorsements, publicKey } = attestation!
  const { measurement, signer, tcbStatus, advisories, verifiedAt } = verdict!
  const platform = platforms[attestation!.platform - 1] ?? 'simulated'
  const signed = {
    evidence: { platform, quote, endorsements },
    publicKey: Uint8Array.from(publicKey),
    statement: { taskId, function: name, payloadSha256, resultSha256 },
    signature: Uint8Array.from(signature),
  }
  return {
    platform,
    mrenclave: measurement,
    mrsigner: signer,
    verified: platform !== 'simulated',
    tcbStatus,
    advisories,
    verifiedAt: verifiedAt!,
    executedOn: workerId,
    signed,
    async verifyLocally(options = {}) {
      const verifier = options.verifier ?? (await loadVerifier?.())
      if (!verifier) throw invalid('verifier', "is missing. Give `await import('@millrace/attestation')`.")
      const { expectedMrenclave, trustedSigningKey, at = new Date(), payload, result } = options
      try {
        await verifier.verifyProof(signed, {
          ...options,
          at,
          measurement: expectedMrenclave,
          signer: trustedSigningKey,
          payload: toBytes('payload', payload),
          result: toBytes('result', result),
        })
        return { valid: true }
      } catch (error) {
        return { valid: false, error: (error as Error).message }
      }
    },
  }
}

function toBytes(path: string, value: unknown): Uint8Array | undefined {
  return value === undefined ? undefined : encodePayload(path, value).payload
}
