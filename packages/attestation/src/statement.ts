import { sameBytes } from './bytes.ts'
import { AttestationError } from './evidence.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const
const signing = { name: 'ECDSA', hash: 'SHA-256' } as const
const context = 'millrace task proof v1'
/** Bytes of the report data of every platform. */
const reportDataBytes = 64

/** What a worker says it did. */
export interface Statement {
  /** The task: `task_…`. */
  readonly taskId: string
  /** The function that ran. */
  readonly function: string
  /** SHA-256 of the payload's bytes, lower-case hexadecimal. */
  readonly payloadSha256: string
  /** SHA-256 of the result's bytes, lower-case hexadecimal. */
  readonly resultSha256: string
}

/** The key that a worker signs with. It never leaves the process. */
export interface StatementKey {
  /** Its public half, SPKI in DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>
  /** What evidence must carry to be bound to it: SHA-256 of the public half, then 32 zeros. */
  readonly reportData: Uint8Array<ArrayBuffer>
  /** Signs a statement: r and s of ECDSA P-256 with SHA-256, 64 bytes. */
  sign(statement: Statement): Promise<Uint8Array<ArrayBuffer>>
}

/** Makes a new key. */
export async function createStatementKey(): Promise<StatementKey> {
  const { publicKey, privateKey } = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', publicKey))
  return {
    publicKey: spki,
    reportData: await reportDataOf(spki),
    sign: async (statement) => new Uint8Array(await crypto.subtle.sign(signing, privateKey, bytesOf(statement))),
  }
}

/** What evidence must carry to be bound to a public key. */
export async function reportDataOf(publicKey: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const reportData = new Uint8Array(reportDataBytes)
  reportData.set(new Uint8Array(await crypto.subtle.digest('SHA-256', publicKey)))
  return reportData
}

/**
 * Checks that evidence is bound to a key.
 *
 * @throws AttestationError when it is not.
 */
export async function checkBinding(reportData: Uint8Array, publicKey: Uint8Array<ArrayBuffer>): Promise<void> {
  if (!sameBytes(reportData, await reportDataOf(publicKey))) throw new AttestationError('The evidence is not bound to the key.')
}

/**
 * Checks a statement's signature.
 *
 * @throws AttestationError when the key did not sign it.
 */
export async function checkStatement(
  statement: Statement,
  signature: Uint8Array<ArrayBuffer>,
  publicKey: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const good = await crypto.subtle
    .importKey('spki', publicKey, algorithm, false, ['verify'])
    .then((key) => crypto.subtle.verify(signing, key, signature, bytesOf(statement)))
    .catch(() => false)
  if (!good) throw new AttestationError('The signature is not of this task, payload and result by this key.')
}

/** One statement has one text: fields in a fixed order, as JSON. */
function bytesOf({ taskId, function: name, payloadSha256, resultSha256 }: Statement): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify([context, taskId, name, payloadSha256, resultSha256]))
}
