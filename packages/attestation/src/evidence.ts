/** Where code can run so that others can verify what runs there. */
export type Platform = 'sgx' | 'tdx' | 'sev-snp' | 'simulated'

/** What a platform says about the code that runs on it. */
export interface Evidence {
  /** What made it. */
  readonly platform: Platform
  /** The quote (SGX, TDX) or report (SEV-SNP), as the platform gave it. */
  readonly quote: Uint8Array
  /**
   * What the maker of the platform says about it, signed by them. Intel: the collateral as JSON, with the names of
   * `sgx_ql_qve_collateral_t` as PCCS clients write it. AMD: the VCEK and the ASK and ARK that lead to it, as PEM. Empty: the
   * verifier must know it.
   */
  readonly endorsements: Uint8Array
}

/** How up to date a platform is, in Intel's words; AMD's and simulated ones are `UpToDate`. */
export type TcbStatus =
  | 'UpToDate'
  | 'SWHardeningNeeded'
  | 'ConfigurationNeeded'
  | 'ConfigurationAndSWHardeningNeeded'
  | 'OutOfDate'
  | 'OutOfDateConfigurationNeeded'

/** What verified evidence proves. */
export interface Verdict {
  /** What made the evidence. `simulated` proves nothing. */
  readonly platform: Platform
  /** The code: MRENCLAVE (SGX), MRTD (TDX), the launch measurement (SEV-SNP); lower-case hexadecimal. */
  readonly measurement: string
  /** Who signed the code: MRSIGNER (SGX), MROWNER (TDX), the digest of the identity key (SEV-SNP); lower-case hexadecimal. */
  readonly signer: string
  /** 64 bytes that the code chose: what it wants to be known by. */
  readonly reportData: Uint8Array
  /** How up to date the platform is. */
  readonly tcbStatus: TcbStatus
  /** Advisories of the maker that concern it, such as `INTEL-SA-00289`. */
  readonly advisories: readonly string[]
  /** True: the owner of the machine can look inside. */
  readonly debug: boolean
}

/** What a verifier trusts and accepts. */
export interface Policy {
  /** The time of the verification: certificates and collateral are valid for a while. */
  readonly at: Date
  /** Intel collateral that the verifier knows, for evidence that brings none. */
  readonly collateral?: readonly Uint8Array[]
  /** Root keys of AMD (ARK) to trust beside those of Milan, Genoa and Turin, as PEM. */
  readonly amdRoots?: string
  /** Revocation lists of AMD in DER. When there are any, evidence needs one of its root that is valid at the time. */
  readonly amdRevocationLists?: readonly Uint8Array[]
  /** Statuses that are good enough. Default: all but the `OutOfDate…`. */
  readonly acceptTcb?: readonly TcbStatus[]
  /** Accept code whose owner lets the machine look inside. Default false. */
  readonly acceptDebug?: boolean
  /** Accept simulated evidence, which proves nothing. Default false. */
  readonly acceptSimulated?: boolean
}

/** Evidence that does not prove what it says, or a statement that does not belong to it. */
export class AttestationError extends Error {
  override readonly name = 'AttestationError'
}
