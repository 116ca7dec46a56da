import { createHash } from 'node:crypto'
import type { Evidence, Platform } from '@millrace/attestation'
import { type Attestation, type ItemError, type Settlement, TaskProof, TeePlatform } from '@millrace/protocol'
import type { AttestedWorker } from '../domain/attestation/attestor.ts'
import { functionOfLane, isAttestedLane } from '../domain/jobs/attested.ts'
import { parseJobId } from '../domain/jobs/ids.ts'
import { MillraceError } from '../errors.ts'
import type { JobRecord, Scope, Seq } from '../store/ports.ts'
import type { Checks } from './checks.ts'
import type { ServiceContext } from './context.ts'
import { limits } from './limits.ts'
import { toItemError } from './shapes.ts'

const platforms: Readonly<Partial<Record<TeePlatform, Platform>>> = {
  [TeePlatform.SGX]: 'sgx',
  [TeePlatform.TDX]: 'tdx',
  [TeePlatform.SEV_SNP]: 'sev-snp',
  [TeePlatform.SIMULATED]: 'simulated',
}

/** Verifies a worker's attestation. */
export async function admitWorker(context: ServiceContext, checks: Checks, attestation: Attestation): Promise<AttestedWorker> {
  const { quote, endorsements, publicKey } = attestation
  const platform = platforms[attestation.platform]
  checks.top()
  if (!platform) checks.fail('subscribe.attestation.platform', `${attestation.platform} is not a platform`)
  checks.count('subscribe.attestation.quote', quote.length, 1, limits.evidence)
  checks.count('subscribe.attestation.endorsements', endorsements.length, 0, limits.evidence)
  checks.count('subscribe.attestation.publicKey', publicKey.length, 1, limits.publicKey)
  checks.done()
  const evidence: Evidence = { platform: platform!, quote, endorsements }
  return context.attestor.admit(evidence, publicKey)
}

/** What became of the proofs of some settlements. */
export interface CheckedProofs {
  readonly refused: ReadonlyMap<Settlement, ItemError>
  readonly proven: ReadonlySet<Settlement>
}

/** Checks and keeps what an attested worker signed, before its tasks are completed. */
export class ProofKeeper {
  readonly #context: ServiceContext
  readonly #scope: Scope
  readonly #worker: AttestedWorker
  readonly #workerId: string

  constructor(context: ServiceContext, scope: Scope, worker: AttestedWorker, workerId: string) {
    this.#context = context
    this.#scope = scope
    this.#worker = worker
    this.#workerId = workerId
  }

  /** Keeps the proofs of these settlements, and says which have one, and why others cannot be carried out. */
  async check(settlements: readonly Settlement[]): Promise<CheckedProofs> {
    const refused = new Map<Settlement, ItemError>()
    const proven = new Set<Settlement>()
    await Promise.all(
      settlements.map(async (settlement) => {
        try {
          if (await this.#one(settlement)) proven.add(settlement)
        } catch (error) {
          if (!(error instanceof MillraceError) || error.reason === 'UNAVAILABLE') throw error
          refused.set(settlement, toItemError(error))
        }
      }),
    )
    return { refused, proven }
  }

  /** True when it has a proof, which is kept now. */
  async #one({ jobId, leaseToken, action }: Settlement): Promise<boolean> {
    const seq = parseJobId(jobId)
    if (action?.$case !== 'complete' || seq === undefined) return false
    const { engine, attestor, proofs, clock } = this.#context
    const [job] = await engine.getMany(this.#scope, [seq])
    // What is wrong with it otherwise is for the engine to say.
    if (!job || !isAttestedLane(job.function)) return false
    const { result, proof } = action.value
    if (!proof) {
      throw new MillraceError('FAILED_PRECONDITION', `Task '${jobId}' requires a trusted execution environment: complete it with a proof.`)
    }
    const statement = {
      taskId: jobId,
      function: functionOfLane(job.function),
      payloadSha256: sha256(await this.#payloadOf(job, seq)),
      resultSha256: sha256(result),
    }
    await attestor.checkStatement(this.#worker, statement, proof.signature)
    const { evidence, publicKey, verdict, verifiedAt } = this.#worker
    const { measurement, signer, tcbStatus, advisories } = verdict
    const message = TaskProof.fromPartial({
      attestation: { platform: platformOf(evidence.platform), quote: evidence.quote, endorsements: evidence.endorsements, publicKey },
      payloadSha256: statement.payloadSha256,
      resultSha256: statement.resultSha256,
      signature: proof.signature,
      workerId: this.#workerId,
      verdict: { measurement, signer, tcbStatus, advisories: [...advisories], verifiedAt: new Date(verifiedAt) },
    })
    await proofs.keep(this.#scope, seq, Number(leaseToken), TaskProof.encode(message).finish(), clock.now())
    return true
  }

  /** Records of several jobs come without their payloads. */
  async #payloadOf(job: JobRecord, seq: Seq): Promise<Uint8Array> {
    return job.payload ?? (await this.#context.engine.get(this.#scope, seq)).payload ?? new Uint8Array()
  }
}

function platformOf(platform: Platform): TeePlatform {
  return Number(Object.entries(platforms).find(([, name]) => name === platform)![0]) as TeePlatform
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
