/** The one source of time. Everything that waits or compares times reads it, so that tests can move it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Calls `fn` once, `ms` from now. Returns what cancels it. */
  timer(ms: number, fn: () => void): () => void
}

/** Longest delay that `setTimeout` takes. */
const longestTimeout = 2 ** 31 - 1

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: Date.now,
  timer(ms, fn) {
    const timeout = setTimeout(fn, Math.min(Math.max(ms, 0), longestTimeout))
    timeout.unref()
    return () => clearTimeout(timeout)
  },
}
