import type { Certificate } from 'pkijs'
import { sameBytes, toHex } from './bytes.ts'
import { checkChain, readPem } from './certificates.ts'
import { AttestationError, type Evidence, type Policy, type Verdict } from './evidence.ts'
import { checkRevocation } from './revocation.ts'
import { amdRoots, fingerprint } from './roots.ts'

/** Layout of a report. Source: AMD SEV-SNP ABI specification (publication 56860), table "ATTESTATION_REPORT". */
const layout = {
  bytes: 1184,
  policy: 0x08,
  signatureAlgorithm: 0x34,
  reportData: [0x50, 0x90],
  measurement: [0x90, 0xc0],
  idKeyDigest: [0xe0, 0x110],
  reportedTcb: 0x180,
  chipId: [0x1a0, 0x1e0],
  signature: 0x2a0,
} as const
/** Numbers of a signature are little endian, in fields longer than they are. */
const numberBytes = 48
const numberField = 72
/** The only algorithm there is: ECDSA P-384 with SHA-384. */
const ecdsaP384 = 1
/** Bit of the policy: the host may read the memory. */
const debugAllowed = 1n << 19n

/** Extensions of a VCEK. Source: AMD VCEK certificate and KDS interface specification (publication 57230), tables 8 to 11. */
const extensions = {
  structVersion: '1.3.6.1.4.1.3704.1.1',
  chipId: '1.3.6.1.4.1.3704.1.4',
} as const
/** By the version of their structure: bytes of the chip's id, and versions of the firmware with their bytes in the reported TCB. */
const structures = [
  // Milan and Genoa: boot loader, TEE, SNP, microcode.
  {
    chipIdBytes: 64,
    firmware: [
      ['1.3.6.1.4.1.3704.1.3.1', 0],
      ['1.3.6.1.4.1.3704.1.3.2', 1],
      ['1.3.6.1.4.1.3704.1.3.3', 6],
      ['1.3.6.1.4.1.3704.1.3.8', 7],
    ],
  },
  // Turin: FMC, boot loader, TEE, SNP, microcode.
  {
    chipIdBytes: 8,
    firmware: [
      ['1.3.6.1.4.1.3704.1.3.9', 0],
      ['1.3.6.1.4.1.3704.1.3.1', 1],
      ['1.3.6.1.4.1.3704.1.3.2', 2],
      ['1.3.6.1.4.1.3704.1.3.3', 3],
      ['1.3.6.1.4.1.3704.1.3.8', 7],
    ],
  },
] as const

const what = 'The certificates of the report'

/** Verifies a SEV-SNP report offline: signed by the chip's key (VCEK), for this firmware, which AMD signed. */
export async function verifySevSnp(evidence: Evidence, policy: Policy): Promise<Verdict> {
  const report = Uint8Array.from(evidence.quote)
  if (report.length !== layout.bytes) throw new AttestationError(`A SEV-SNP report has ${layout.bytes} bytes; this has ${report.length}.`)
  const view = new DataView(report.buffer)
  if (evidence.endorsements.length === 0) throw new AttestationError('The VCEK is missing: bring it with the ASK and ARK as endorsements.')
  const trusted = new Set<string>(Object.values(amdRoots))
  for (const der of policy.amdRoots ? readPem(policy.amdRoots, 'The roots of AMD') : []) trusted.add(await fingerprint(der))
  const chain = readPem(new TextDecoder().decode(evidence.endorsements), what)
  const certificates = await checkChain(chain, async (der) => trusted.has(await fingerprint(der)), policy.at, what)
  await checkRevocation(certificates, policy.amdRevocationLists ?? [], policy.at, what)
  const [vcek] = certificates
  checkChip(vcek!, report)
  if (view.getUint32(layout.signatureAlgorithm, true) !== ecdsaP384 || !(await isSigned(vcek!, report))) {
    throw new AttestationError("The report's signature is wrong.")
  }
  return {
    platform: 'sev-snp',
    measurement: toHex(report.slice(...layout.measurement)),
    signer: toHex(report.slice(...layout.idKeyDigest)),
    reportData: report.slice(...layout.reportData),
    tcbStatus: 'UpToDate',
    advisories: [],
    debug: (view.getBigUint64(layout.policy, true) & debugAllowed) !== 0n,
  }
}

/** The VCEK is of the chip that made the report, and of the firmware it ran. */
function checkChip(vcek: Certificate, report: Uint8Array): void {
  const structure = structures[extension(vcek, extensions.structVersion).at(-1)!]
  if (!structure) throw new AttestationError(`${what}: the structure of the VCEK is not known.`)
  const { chipIdBytes, firmware } = structure
  const id = report.slice(...layout.chipId)
  // What an id does not need is zero.
  const isOther =
    !sameBytes(extension(vcek, extensions.chipId), id.slice(0, chipIdBytes)) || id.slice(chipIdBytes).some((byte) => byte !== 0)
  if (isOther) throw new AttestationError('The VCEK is of another chip.')
  for (const [id, byte] of firmware) {
    // An INTEGER of one byte, or of two when its first bit is set.
    if (extension(vcek, id).at(-1) !== report[layout.reportedTcb + byte]) throw new AttestationError('The VCEK is of another firmware.')
  }
}

function extension(certificate: Certificate, id: string): Uint8Array {
  const found = certificate.extensions?.find(({ extnID }) => extnID === id)
  if (!found) throw new AttestationError(`${what}: the first is no VCEK.`)
  return found.extnValue.valueBlock.valueHexView
}

async function isSigned(vcek: Certificate, report: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const field = (index: number) => report.slice(layout.signature + index * numberField, layout.signature + (index + 1) * numberField)
  const [r, s] = [field(0), field(1)]
  const unused = [...r.slice(numberBytes), ...s.slice(numberBytes), ...report.slice(layout.signature + 2 * numberField)]
  if (unused.some((byte) => byte !== 0)) return false
  const signature = Uint8Array.from([...r.slice(0, numberBytes).reverse(), ...s.slice(0, numberBytes).reverse()])
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384' }
  const key = await vcek.getPublicKey({ algorithm: { algorithm, usages: ['verify'] } })
  return crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-384' }, key, signature, report.slice(0, layout.signature))
}
