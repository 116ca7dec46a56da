import { fromHex } from './bytes.ts'
import { AttestationError, type Evidence, type Verdict } from './evidence.ts'

/** What simulated evidence says. */
export interface Simulation {
  /** The measurement to claim, lower-case hexadecimal. Default: 64 zeros. */
  readonly measurement?: string
  /** The signer to claim, lower-case hexadecimal. Default: 64 zeros. */
  readonly signer?: string
}

const zeros = '0'.repeat(64)

/**
 * Makes evidence that proves nothing, for development. Verifiers refuse it unless they are told to accept it, and always say
 * that it is simulated.
 *
 * @param reportData - what the code wants to be known by.
 */
export function simulateEvidence(reportData: Uint8Array, { measurement = zeros, signer = zeros }: Simulation = {}): Evidence {
  const quote = { simulated: true, measurement, signer, reportData: Array.from(reportData) }
  return { platform: 'simulated', quote: new TextEncoder().encode(JSON.stringify(quote)), endorsements: new Uint8Array() }
}

/** Reads simulated evidence. */
export function readSimulated({ quote }: Evidence): Verdict {
  try {
    const said = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(quote)) as Record<string, unknown>
    const { simulated, measurement, signer, reportData } = said
    const bytes = Uint8Array.from(reportData as number[])
    if (simulated === true && typeof measurement === 'string' && fromHex(measurement) && typeof signer === 'string' && fromHex(signer)) {
      return { platform: 'simulated', measurement, signer, reportData: bytes, tcbStatus: 'UpToDate', advisories: [], debug: false }
    }
  } catch {
    // Said below.
  }
  throw new AttestationError('The simulated evidence cannot be read.')
}
