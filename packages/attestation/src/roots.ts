import { toHex } from './bytes.ts'

/** SHA-256 of the certificate of Intel's SGX Root CA. Source: https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.cer */
export const intelRoot = '44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3'

/** SHA-256 of the certificates of AMD's root keys (ARK). Sources: https://kdsintf.amd.com/vcek/v1/Milan/cert_chain, and so on. */
export const amdRoots = {
  milan: '69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd',
  genoa: '4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1',
  turin: '1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a',
} as const

/** SHA-256 of a certificate in DER, lower-case hexadecimal. */
export async function fingerprint(der: Uint8Array<ArrayBuffer>): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', der)))
}
