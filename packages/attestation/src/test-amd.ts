import type { webcrypto } from 'node:crypto'
import { Integer, PrintableString } from 'asn1js'
import { AttributeTypeAndValue, Certificate, CertificateRevocationList, Extension, RevokedCertificate, Time } from 'pkijs'

// Certificates and reports as AMD's chips have them, with keys of our own: published ones are of Milan alone, and none is revoked.

/** Chips whose certificates and reports differ. */
export type Generation = 'genoa' | 'turin'

/** A chip's key, and the certificates that lead from it to a root. */
export interface Chain {
  readonly vcek: Certificate
  readonly ask: Certificate
  readonly ark: Certificate
  readonly vcekKeys: webcrypto.CryptoKeyPair
  readonly askKeys: webcrypto.CryptoKeyPair
  readonly arkKeys: webcrypto.CryptoKeyPair
  /** 64 bytes, hexadecimal, as reports have it. */
  readonly chipId: string
  /** The reported TCB. */
  readonly tcb: Uint8Array
}

const rsa = { name: 'RSA-PSS', modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1), hash: 'SHA-384' } as const
const ecdsa = { name: 'ECDSA', namedCurve: 'P-384' } as const
const oid = '1.3.6.1.4.1.3704.1'

/** Makes a chip of a generation, and its maker. */
export async function createChain(generation: Generation, maker = 'Test'): Promise<Chain> {
  const [arkKeys, askKeys, vcekKeys] = await Promise.all([
    crypto.subtle.generateKey(rsa, true, ['sign', 'verify']),
    crypto.subtle.generateKey(rsa, true, ['sign', 'verify']),
    crypto.subtle.generateKey(ecdsa, true, ['sign', 'verify']),
  ])
  const turin = generation === 'turin'
  const tcb = turin ? Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 200) : Uint8Array.of(3, 0, 0, 0, 0, 0, 8, 115)
  const own = crypto.getRandomValues(new Uint8Array(turin ? 8 : 64))
  own[own.length - 1] = 0x77
  const parts: readonly (readonly [string, number])[] = turin
    ? [
        ['9', 0],
        ['1', 1],
        ['2', 2],
        ['3', 3],
        ['8', 7],
      ]
    : [
        ['1', 0],
        ['2', 1],
        ['3', 6],
        ['8', 7],
      ]
  const extensions = [
    extension(`${oid}.1`, new Integer({ value: turin ? 1 : 0 }).toBER()),
    ...parts.map(([id, byte]) => extension(`${oid}.3.${id}`, new Integer({ value: tcb[byte]! }).toBER())),
    extension(`${oid}.4`, own.slice().buffer),
  ]
  const [arkName, askName] = [`ARK-${maker}`, `SEV-${maker}`]
  const ark = await certificate({ subject: arkName, issuer: arkName, serial: 1 }, arkKeys.publicKey, arkKeys.privateKey)
  const ask = await certificate({ subject: askName, issuer: arkName, serial: 2 }, askKeys.publicKey, arkKeys.privateKey)
  const vcek = await certificate({ subject: 'SEV-VCEK', issuer: askName, serial: 3 }, vcekKeys.publicKey, askKeys.privateKey, extensions)
  const chipId = Buffer.from(own).toString('hex').padEnd(128, '0')
  return { vcek, ask, ark, vcekKeys, askKeys, arkKeys, chipId, tcb }
}

/** Makes a report of a chain's chip; what is given here differs from what the certificates say. */
export async function createReport(
  { vcekKeys, ...chain }: Chain,
  { measurement = '00'.repeat(48), chipId = chain.chipId, tcb = chain.tcb }: { measurement?: string; chipId?: string; tcb?: Uint8Array },
): Promise<Uint8Array> {
  const report = new Uint8Array(1184)
  report[0x34] = 1
  report.set(Buffer.from(measurement, 'hex'), 0x90)
  report.set(tcb, 0x180)
  report.set(Buffer.from(chipId, 'hex'), 0x1a0)
  const signature = new Uint8Array(
    await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-384' }, vcekKeys.privateKey, report.slice(0, 0x2a0)),
  )
  report.set(signature.slice(0, 48).reverse(), 0x2a0)
  report.set(signature.slice(48).reverse(), 0x2a0 + 72)
  return report
}

/** Makes a revocation list. */
export async function revoke(
  { privateKey }: webcrypto.CryptoKeyPair,
  issuer: Certificate,
  revoked: readonly Certificate[],
  { from, until }: { readonly from: Date; readonly until: Date },
): Promise<Uint8Array> {
  const list = new CertificateRevocationList({ version: 1, thisUpdate: new Time({ value: from }), nextUpdate: new Time({ value: until }) })
  list.issuer = issuer.subject
  if (revoked.length > 0) {
    list.revokedCertificates = revoked.map(
      ({ serialNumber }) => new RevokedCertificate({ userCertificate: serialNumber, revocationDate: new Time({ value: from }) }),
    )
  }
  await list.sign(privateKey, 'SHA-384')
  return new Uint8Array(list.toSchema(true).toBER())
}

/** A certificate as everybody writes it. */
export function pem(certificate: Certificate): string {
  const base64 = Buffer.from(certificate.toSchema(true).toBER()).toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`
}

interface Names {
  readonly subject: string
  readonly issuer: string
  readonly serial: number
}

async function certificate(
  { subject, issuer, serial }: Names,
  publicKey: webcrypto.CryptoKey,
  signer: webcrypto.CryptoKey,
  extensions: Extension[] = [],
): Promise<Certificate> {
  const made = new Certificate({ version: 2 })
  made.serialNumber = new Integer({ value: serial })
  made.subject.typesAndValues.push(commonName(subject))
  made.issuer.typesAndValues.push(commonName(issuer))
  made.notBefore.value = new Date('2025-01-01')
  made.notAfter.value = new Date('2045-01-01')
  if (extensions.length > 0) made.extensions = extensions
  await made.subjectPublicKeyInfo.importKey(publicKey)
  await made.sign(signer, 'SHA-384')
  // As a reader has it.
  return Certificate.fromBER(made.toSchema(true).toBER())
}

function commonName(value: string): AttributeTypeAndValue {
  return new AttributeTypeAndValue({ type: '2.5.4.3', value: new PrintableString({ value }) })
}

function extension(extnID: string, extnValue: ArrayBuffer): Extension {
  return new Extension({ extnID, critical: false, extnValue })
}
