import { Certificate } from 'pkijs'
import { sameBytes } from './bytes.ts'
import { AttestationError } from './evidence.ts'

const begin = '-----BEGIN CERTIFICATE-----\n'
const end = '-----END CERTIFICATE-----\n'

/** The certificates of a PEM text that holds nothing else and is written as everybody writes it. */
export function readPem(text: string, what: string): Uint8Array<ArrayBuffer>[] {
  const blocks = text.split(begin)
  if (blocks.shift() !== '' || blocks.length === 0) throw new AttestationError(`${what}: there are no certificates in PEM.`)
  return blocks.map((block) => {
    const base64 = block.endsWith(end) ? block.slice(0, -end.length) : ''
    const der = fromBase64(base64.replaceAll('\n', ''))
    // What decodes to the same bytes but reads otherwise was changed by somebody.
    if (!der || wrap(toBase64(der)) !== base64) throw new AttestationError(`${what}: a certificate is not proper PEM.`)
    return der
  })
}

/** Reads a certificate in DER, of which every byte counts. */
function readCertificate(der: Uint8Array<ArrayBuffer>, what: string): Certificate {
  try {
    const certificate = Certificate.fromBER(der)
    // The algorithm stands inside and outside of what is signed.
    const inner = new Uint8Array(certificate.signature.toSchema().toBER())
    const outer = new Uint8Array(certificate.signatureAlgorithm.toSchema().toBER())
    if (sameBytes(new Uint8Array(certificate.toSchema().toBER()), der) && sameBytes(inner, outer)) return certificate
  } catch {
    // Said below.
  }
  throw new AttestationError(`${what}: a certificate cannot be read.`)
}

/**
 * Checks that each certificate is valid at a time and signed by the next, and that the last one is trusted.
 *
 * @param isRoot - says whether a certificate in DER is trusted by itself.
 */
export async function checkChain(
  chain: readonly Uint8Array<ArrayBuffer>[],
  isRoot: (der: Uint8Array<ArrayBuffer>) => boolean | Promise<boolean>,
  at: Date,
  what: string,
): Promise<Certificate[]> {
  const last = chain.at(-1)
  if (!last || !(await isRoot(last))) throw new AttestationError(`${what}: the certificates do not lead to a root that is trusted.`)
  const certificates = chain.map((der) => readCertificate(der, what))
  for (const [i, certificate] of certificates.entries()) {
    if (at < certificate.notBefore.value || at > certificate.notAfter.value) {
      throw new AttestationError(`${what}: a certificate is not valid at ${at.toISOString()}.`)
    }
    const issuer = certificates[i + 1] ?? certificate
    if (!(await certificate.verify(issuer).catch(() => false))) throw new AttestationError(`${what}: a certificate's signature is wrong.`)
  }
  return certificates
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
  } catch {
    return undefined
  }
}

function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
}

function wrap(base64: string): string {
  return base64.replaceAll(/.{1,64}/g, '$&\n')
}
