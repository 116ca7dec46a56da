import { beforeEach } from 'vitest'
import { whyMissing } from './why-missing.ts'

/**
 * Skips a file's tests, with the reason, where a program is not installed.
 *
 * @param version - throws what to install when it is missing.
 */
export function skipWhereMissing(version: () => string): void {
  const reason = whyMissing(version)
  beforeEach(({ skip }) => {
    if (reason) skip(reason)
  })
}
