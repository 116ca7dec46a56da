import type { Clock } from '../clock.ts'

/** How long one look at the store counts, in milliseconds. */
const freshMs = 1000

/** The longest that the store may take to say whether it works, in milliseconds: who asks wants to know now. */
const answerMs = 3000

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
  const look = () =>
    new Promise<string>((resolve) => {
      const cancel = clock.timer(answerMs, () => resolve(`The store has not answered for ${answerMs / 1000} s.`))
      check()
        .then(
          () => resolve(''),
          (error: unknown) => resolve(error instanceof Error ? error.message : String(error)),
        )
        .finally(cancel)
    })
  return {
    problem() {
      if (stopped) return Promise.resolve('The server is stopping.')
      const now = clock.now()
      if (!last || now - last.at >= freshMs || now < last.at) {
        last = { at: now, problem: look() }
      }
      return last.problem
    },
    stop() {
      stopped = true
    },
  }
}
