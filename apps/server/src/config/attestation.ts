import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { AttestationPolicy } from '../domain/attestation/attestor.ts'
import { StartError } from '../start-error.ts'
import type { ServerConfig } from './settings.ts'

/** Reads the files that the settings of attestation name. @throws StartError when there are none, or they cannot be read. */
export async function readAttestationPolicy(config: ServerConfig): Promise<AttestationPolicy> {
  const { attestationSimulated, attestationCollateral, attestationAmdRoots, attestationAmdCrls, attestationMeasurements } = config
  return {
    acceptSimulated: attestationSimulated,
    collateral: await readAll('--attestation-collateral', attestationCollateral, '.json'),
    amdRoots: Buffer.concat(await readAll('--attestation-amd-roots', attestationAmdRoots, '.pem')).toString(),
    amdRevocationLists: await readAll('--attestation-amd-crls', attestationAmdCrls, '.crl'),
    measurements: (attestationMeasurements ?? '')
      .split(',')
      .map((text) => text.trim().toLowerCase())
      .filter((text) => text !== ''),
  }
}

/** A file, or the files of a directory that end so. */
async function readAll(flag: string, path: string | undefined, extension: string): Promise<Uint8Array[]> {
  if (path === undefined) return []
  try {
    if (!(await stat(path)).isDirectory()) return [await readFile(path)]
    const names = (await readdir(path)).filter((name) => name.endsWith(extension)).sort()
    // Nothing in it is nothing that is checked: not what was meant.
    if (names.length === 0) throw new Error(`no file in it ends in ${extension}`)
    return await Promise.all(names.map((name) => readFile(join(path, name))))
  } catch (error) {
    throw new StartError(`${flag} '${path}' cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
