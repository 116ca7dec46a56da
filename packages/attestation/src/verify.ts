import { AttestationError, type Evidence, type Policy, type TcbStatus, type Verdict } from './evidence.ts'
import { readSimulated } from './simulated.ts'

const goodEnough: readonly TcbStatus[] = ['UpToDate', 'SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded']

/**
 * Verifies evidence offline: signatures up to the maker's root key, validity at the policy's time, revocation lists, state of
 * the platform.
 *
 * @throws AttestationError that says what is wrong.
 */
export async function verifyEvidence(evidence: Evidence, policy: Policy): Promise<Verdict> {
  // Nothing is before or after what is no time: all that is out of date would pass.
  if (!(policy.at instanceof Date && Number.isFinite(policy.at.getTime()))) {
    throw new AttestationError('The time of the verification is not a valid Date.')
  }
  const verdict = await verdictOf(evidence, policy)
  const { acceptTcb = goodEnough, acceptDebug = false } = policy
  if (!acceptTcb.includes(verdict.tcbStatus)) {
    const advisories = verdict.advisories.length > 0 ? ` (${verdict.advisories.join(', ')})` : ''
    throw new AttestationError(`The platform's state is ${verdict.tcbStatus}${advisories}, which is not accepted.`)
  }
  if (verdict.debug && !acceptDebug) throw new AttestationError('The code may be debugged: the owner of the machine can look inside.')
  return verdict
}

async function verdictOf(evidence: Evidence, policy: Policy): Promise<Verdict> {
  switch (evidence.platform) {
    case 'sgx':
    case 'tdx':
      return (await import('./intel.ts')).verifyIntel(evidence, policy)
    case 'sev-snp':
      return (await import('./sev-snp.ts')).verifySevSnp(evidence, policy)
    case 'simulated':
      if (!policy.acceptSimulated) throw new AttestationError('Simulated evidence proves nothing and is not accepted here.')
      return readSimulated(evidence)
    default:
      throw new AttestationError(`'${String(evidence.platform)}' is not one of sgx, tdx, sev-snp, simulated.`)
  }
}
