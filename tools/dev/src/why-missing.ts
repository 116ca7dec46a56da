/**
 * Why a program cannot be used.
 *
 * @param version - throws what to install when it is missing.
 * @returns undefined when it is there.
 */
export function whyMissing(version: () => string): string | undefined {
  try {
    version()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
