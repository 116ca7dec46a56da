import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { AttestationPolicy } from '../domain/attestation/attestor.ts'
import type { ServerConfig } from './settings.ts'

/** Reads the files that the settings of attestation name. @throws Error of the file system. */
export async function readAttestationPolicy(config: ServerConfig): Promise<AttestationPolicy> {
  const { attestationSimulated, attestationCollateral, attestationAmdRoots, attestationMeasurements } = config
  return {
    acceptSimulated: attestationSimulated,
    collateral: attestationCollateral ? await readAll(attestationCollateral) : [],
    amdRoots: attestationAmdRoots && (await readFile(attestationAmdRoots, 'utf8')),
    measurements: (attestationMeasurements ?? '')
      .split(',')
      .map((text) => text.trim().toLowerCase())
      .filter((text) => text !== ''),
  }
}

async function readAll(path: string): Promise<Uint8Array[]> {
  if (!(await stat(path)).isDirectory()) return [await readFile(path)]
  const names = (await readdir(path)).filter((name) => name.endsWith('.json')).sort()
  return Promise.all(names.map((name) => readFile(join(path, name))))
}
