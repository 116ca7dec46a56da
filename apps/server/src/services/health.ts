import type { Clock } from '../clock.ts'

/** How long one look at the store counts, in milliseconds. */
const freshMs = 1000

/** Knows whether the server can do its work. */
export interface Health {
  /** What is wrong; '' when nothing is. */
  problem(): Promise<string>
  /** Says that the server stops: it counts as unhealthy from now on. */
  stop(): void
}

/**
 * Looks at the store when asked, at most once a second.
 *
 * @param check - resolves when a write would succeed.
 */
export function createHealth({ check, clock }: { readonly check: () => Promise<void>; readonly clock: Clock }): Health {
  let stopped = false
  let last: { readonly at: number; readonly problem: Promise<string> } | undefined
  return {
    problem() {
      if (stopped) return Promise.resolve('The server is stopping.')
      const now = clock.now()
      if (!last || now - last.at >= freshMs || now < last.at) {
        const problem = check().then(
          () => '',
          (error: unknown) => (error instanceof Error ? error.message : String(error)),
        )
        last = { at: now, problem }
      }
      return last.problem
    },
    stop() {
      stopped = true
    },
  }
}
