import { type Collateral, type EnclaveReport, Quote, type TDReport10, type TDReport15, verify } from '@phala/dcap-qvl'
import { CertificateRevocationList } from 'pkijs'
import { fromHex, sameBytes, toHex } from './bytes.ts'
import { checkChain, readPem } from './certificates.ts'
import { AttestationError, type Evidence, type Policy, type TcbStatus, type Verdict } from './evidence.ts'
import { fingerprint, intelRoot } from './roots.ts'

const fields = [
  'pck_crl_issuer_chain',
  'root_ca_crl',
  'pck_crl',
  'tcb_info_issuer_chain',
  'tcb_info',
  'tcb_info_signature',
  'qe_identity_issuer_chain',
  'qe_identity',
  'qe_identity_signature',
] as const
type Field = (typeof fields)[number]

/** Bytes of the quote's signature, and of the key that made it. */
const signatureBytes = 64
const keyBytes = 64
/** Type of the frame that holds the quoting enclave's report and the certificates. Source: Intel TDX DCAP Quoting Library API, appendix A.4. */
const qeReportData = 6

/**
 * Verifies an SGX or TDX quote offline.
 *
 * Quotes, certificates and collateral are Intel's DCAP; `@phala/dcap-qvl` verifies them. What it is lenient about is
 * checked here: bytes that no signature covers, and the signatures of revocation lists.
 * Source: Intel SGX ECDSA QuoteLibReference; Intel TDX DCAP Quoting Library API.
 */
export async function verifyIntel(evidence: Evidence, policy: Policy): Promise<Verdict> {
  const { platform, endorsements } = evidence
  const quote = Buffer.from(evidence.quote)
  const parsed = await parse(quote, policy.at)
  if (parsed.header.isSgx() !== (platform === 'sgx')) throw new AttestationError(`The quote is not of ${platform}.`)
  const known = endorsements.length > 0 ? [endorsements] : (policy.collateral ?? [])
  if (known.length === 0) throw new AttestationError('There is no collateral for the quote: bring it as endorsements, or configure it.')
  let failure: unknown
  for (const bytes of known) {
    try {
      const collateral = await readCollateral(bytes, policy.at)
      const { status, advisory_ids: advisories } = verify(quote, collateral, policy.at.getTime() / 1000)
      return { platform, ...contentOf(parsed), tcbStatus: status as TcbStatus, advisories, debug: false }
    } catch (error) {
      failure = error
    }
  }
  if (failure instanceof AttestationError) throw failure
  throw new AttestationError(`The quote is refused: ${failure instanceof Error ? failure.message : failure}.`, { cause: failure })
}

/** Parses a quote of which every byte counts. */
async function parse(quote: Buffer, at: Date): Promise<Quote> {
  let parsed: Quote
  let chain: string
  let end: number
  try {
    parsed = Quote.parse(quote)
    chain = Buffer.from(parsed.rawCertChain()).toString('latin1')
    end = parsed.signedLength() + 4 + quote.readUInt32LE(parsed.signedLength())
  } catch (cause) {
    throw new AttestationError('The quote cannot be read.', { cause })
  }
  checkFrame(quote, parsed, end)
  // Buffers of makers are longer than quotes may be; what is left is empty.
  if (quote.subarray(end).some((byte) => byte !== 0)) throw new AttestationError('Something follows the quote.')
  // Their text ends as C has it.
  const pem = chain.endsWith('\0') ? chain.slice(0, -1) : chain
  await checkChain(readPem(pem, 'The quote'), isIntelRoot, at, 'The quote')
  return parsed
}

/** The certificates end where the quote does; in later versions they are in a frame, which says what it holds and how much. */
function checkFrame(quote: Buffer, parsed: Quote, end: number): void {
  const chain = parsed.rawCertChain()
  const frame = parsed.signedLength() + 4 + signatureBytes + keyBytes
  const isFramed =
    parsed.header.version === 3 || (quote.readUInt16LE(frame) === qeReportData && quote.readUInt32LE(frame + 2) === end - frame - 6)
  if (!isFramed || !sameBytes(quote.subarray(end - chain.length, end), chain))
    throw new AttestationError('The quote is not put together as it should be.')
}

function contentOf({ report }: Quote): Pick<Verdict, 'measurement' | 'signer' | 'reportData'> {
  if (report.type === 'sgx') {
    const { mrEnclave, mrSigner, reportData } = report.data as EnclaveReport
    return { measurement: toHex(mrEnclave), signer: toHex(mrSigner), reportData: Uint8Array.from(reportData) }
  }
  const { mrTd, mrOwner, reportData } = report.type === 'td15' ? (report.data as TDReport15).base : (report.data as TDReport10)
  return { measurement: toHex(mrTd), signer: toHex(mrOwner), reportData: Uint8Array.from(reportData) }
}

async function readCollateral(bytes: Uint8Array, at: Date): Promise<Collateral> {
  let collateral: Record<Field, string>
  try {
    collateral = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    for (const field of fields) if (typeof collateral[field] !== 'string') throw new Error(`${field} is missing`)
  } catch (cause) {
    throw new AttestationError(`The collateral cannot be read: ${cause instanceof Error ? cause.message : cause}.`, { cause })
  }
  for (const field of ['tcb_info_signature', 'qe_identity_signature'] as const) hexOf(collateral, field)
  for (const field of ['tcb_info_issuer_chain', 'qe_identity_issuer_chain'] as const) {
    await checkChain(readPem(collateral[field], `The collateral's ${field}`), isIntelRoot, at, `The collateral's ${field}`)
  }
  const what = "The collateral's pck_crl_issuer_chain"
  const [issuer, root] = await checkChain(readPem(collateral.pck_crl_issuer_chain, what), isIntelRoot, at, what)
  for (const [field, signedBy] of [
    ['pck_crl', issuer],
    ['root_ca_crl', root],
  ] as const) {
    const der = hexOf(collateral, field)
    const list = readList(der)
    if (!list || !signedBy || !(await list.verify({ issuerCertificate: signedBy }).catch(() => false))) {
      throw new AttestationError(`The collateral's ${field} is not signed by its issuer.`)
    }
    if (at < list.thisUpdate.value || (list.nextUpdate && at > list.nextUpdate.value)) {
      throw new AttestationError(`The collateral's ${field} is not valid at ${at.toISOString()}.`)
    }
  }
  return Object.fromEntries(fields.map((field) => [field, collateral[field]])) as unknown as Collateral
}

function hexOf(collateral: Record<Field, string>, field: Field): Uint8Array<ArrayBuffer> {
  const bytes = fromHex(collateral[field])
  if (!bytes) throw new AttestationError(`The collateral's ${field} is not lower-case hexadecimal.`)
  return bytes
}

function readList(der: Uint8Array<ArrayBuffer>): CertificateRevocationList | undefined {
  try {
    const list = CertificateRevocationList.fromBER(der)
    const { unusedBits, valueHexView } = list.signatureValue.valueBlock
    const isWhole = sameBytes(new Uint8Array(list.toSchema().toBER()), der) && unusedBits === 0 && isEcdsaSignature(valueHexView)
    return isWhole ? list : undefined
  } catch {
    return undefined
  }
}

/** True for a SEQUENCE of two INTEGERs and nothing else: verifiers read over what is wrong with lengths. */
function isEcdsaSignature(der: Uint8Array): boolean {
  if (der[0] !== 0x30 || der[1] !== der.length - 2) return false
  let at = 2
  for (let numbers = 0; numbers < 2; numbers++) {
    const length = der[at + 1]
    if (der[at] !== 0x02 || length === undefined || length === 0) return false
    // As short as can be: a zero in front stands for a sign alone.
    if (length > 1 && der[at + 2] === 0 && der[at + 3]! < 0x80) return false
    at += 2 + length
  }
  return at === der.length
}

async function isIntelRoot(der: Uint8Array<ArrayBuffer>): Promise<boolean> {
  return (await fingerprint(der)) === intelRoot
}
