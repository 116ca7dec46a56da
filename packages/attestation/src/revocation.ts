import { type Certificate, CertificateRevocationList } from 'pkijs'
import { sameBytes } from './bytes.ts'
import { AttestationError } from './evidence.ts'

/**
 * Checks that no certificate of a chain was revoked by the one that signed it.
 *
 * @param chain - each signed by the next, the last by itself; verified.
 * @param lists - revocation lists in DER. None: nothing is checked. Otherwise the root must have one that is valid at the time.
 * @throws AttestationError
 */
export async function checkRevocation(chain: readonly Certificate[], lists: readonly Uint8Array[], at: Date, what: string): Promise<void> {
  if (lists.length === 0) return
  const read = lists.map((list) => readList(list))
  for (const [i, certificate] of chain.entries()) {
    const issuer = chain[i + 1] ?? certificate
    const own = read.filter((list) => list.issuer.isEqual(issuer.subject))
    const current = own.filter(({ thisUpdate, nextUpdate }) => at >= thisUpdate.value && nextUpdate !== undefined && at <= nextUpdate.value)
    for (const list of current) {
      if (!(await list.verify({ issuerCertificate: issuer }).catch(() => false))) {
        throw new AttestationError(`${what}: the signature of a revocation list is wrong.`)
      }
      if (list.isCertificateRevoked(certificate)) throw new AttestationError(`${what}: a certificate was revoked.`)
    }
    const isRoot = i === chain.length - 1
    if (isRoot && current.length === 0) {
      const why = own.length > 0 ? 'is not valid' : 'is missing'
      throw new AttestationError(`${what}: the revocation list of their root ${why} at ${at.toISOString()}.`)
    }
  }
}

/** Reads a list in DER, of which every byte counts. */
function readList(list: Uint8Array): CertificateRevocationList {
  const der = Uint8Array.from(list)
  try {
    const read = CertificateRevocationList.fromBER(der)
    const inner = new Uint8Array(read.signature.toSchema().toBER())
    const outer = new Uint8Array(read.signatureAlgorithm.toSchema().toBER())
    if (sameBytes(new Uint8Array(read.toSchema().toBER()), der) && sameBytes(inner, outer)) return read
  } catch {
    // Said below.
  }
  throw new AttestationError('A revocation list cannot be read. Give it in DER, as AMD does.')
}
