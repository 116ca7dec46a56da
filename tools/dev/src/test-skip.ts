import { beforeEach } from 'vitest'

/**
 * Skips a file's tests, with the reason, where a program is not installed.
 *
 * @param version - throws what to install when it is missing.
 */
export function skipWhereMissing(version: () => string): void {
  let reason: string | undefined
  try {
    version()
  } catch (error) {
    reason = (error as Error).message
  }
  beforeEach(({ skip }) => {
    if (reason) skip(reason)
  })
}
