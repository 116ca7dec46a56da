import type { Evidence, Platform, StatementKey } from '@millrace/attestation'
import { encodePayload, invalid } from '@millrace/core/adapter'
import { type Attestation, type Job, type StatementSignature, TeePlatform } from '@millrace/protocol'

const platforms: Readonly<Record<Platform, TeePlatform>> = {
  sgx: TeePlatform.SGX,
  tdx: TeePlatform.TDX,
  'sev-snp': TeePlatform.SEV_SNP,
  simulated: TeePlatform.SIMULATED,
}

/** A worker's key, and evidence of where the worker runs that is bound to it. */
export class AttestedKey {
  readonly #key: StatementKey
  /** What the server is told. */
  readonly attestation: Attestation

  private constructor(key: StatementKey, { platform, quote, endorsements }: Evidence) {
    this.#key = key
    this.attestation = { platform: platforms[platform], quote, endorsements, publicKey: key.publicKey }
  }

  /** Makes a key and gets evidence that is bound to it. @throws ValidationError when what it gets is no evidence. */
  static async create(getEvidence: (reportData: Uint8Array) => Evidence | Promise<Evidence>): Promise<AttestedKey> {
    // Loaded by those alone who use it.
    const { createStatementKey } = await import('@millrace/attestation')
    const key = await createStatementKey()
    return new AttestedKey(key, check(await getEvidence(key.reportData)))
  }

  /** Signs what a task was and what came out. */
  async sign({ jobId, function: name, payload }: Job, result: unknown): Promise<StatementSignature> {
    const statement = {
      taskId: jobId,
      function: name,
      payloadSha256: await sha256(payload),
      resultSha256: await sha256(encodePayload('result', result).payload),
    }
    return { signature: await this.#key.sign(statement) }
  }
}

/** What cannot be sent at all would be tried again for ever. */
function check(evidence: Partial<Evidence> | null | undefined): Evidence {
  if (typeof evidence !== 'object' || evidence === null) throw invalid('attestation', 'returned no evidence.')
  const { platform = '', quote, endorsements } = evidence
  if (!Object.hasOwn(platforms, platform)) {
    throw invalid('attestation.platform', `'${platform}' is not one of ${Object.keys(platforms).join(', ')}.`)
  }
  if (!(quote instanceof Uint8Array)) throw invalid('attestation.quote', 'is not a Uint8Array.')
  if (!(endorsements instanceof Uint8Array)) throw invalid('attestation.endorsements', 'is not a Uint8Array; it may be an empty one.')
  return evidence as Evidence
}

async function sha256(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', Uint8Array.from(bytes))).toString('hex')
}
