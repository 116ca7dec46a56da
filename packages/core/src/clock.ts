/** The one source of time of a client, so that tests can move it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Calls `fn` once, `ms` from now. Returns what cancels it. */
  timer(ms: number, fn: () => void): () => void
}

/** Longest delay that `setTimeout` takes. */
const longestTimeout = 2 ** 31 - 1

/** The machine's clock. */
export const systemClock: Clock = {
  now: Date.now,
  timer(ms, fn) {
    const timeout = setTimeout(fn, Math.min(Math.max(ms, 0), longestTimeout))
    return () => clearTimeout(timeout)
  },
}
