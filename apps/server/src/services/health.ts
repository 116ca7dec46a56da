import type { Clock } from '../clock.ts'

/** How long one look counts, in milliseconds. */
const freshMs = 1000

/** The longest that one may take to say whether it works, in milliseconds: who asks wants to know now. */
const answerMs = 3000

/** Knows whether the server, or a part of it, can do its work. */
export interface Health {
  /** What is wrong; '' when nothing is. */
  problem(): Promise<string>
  /** Says that the server stops: it counts as unhealthy from now on. */
  stop(): void
}

/** What is looked at. */
export interface Checked {
  /** What it is called where it does not answer: `The store`. */
  readonly name: string
  /** Resolves when it would do its work. */
  check(): Promise<void>
  readonly clock: Clock
}

/** Looks at something when asked, at most once a second. */
export function createHealth(checked: Checked): Health {
  const { name, clock } = checked
  let stopped = false
  let last: { readonly at: number; readonly problem: Promise<string> } | undefined
  const look = () =>
    new Promise<string>((resolve) => {
      const cancel = clock.timer(answerMs, () => resolve(`${name} has not answered for ${answerMs / 1000} s.`))
      checked
        .check()
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
