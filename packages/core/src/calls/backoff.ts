/** How waits grow. */
export interface Backoff {
  readonly initialMs: number
  readonly maxMs: number
  readonly multiplier: number
  /** Relative spread, 0 to 1. */
  readonly jitter: number
}

/**
 * The wait before a further try.
 *
 * @param failures - failed tries so far, from 1.
 */
export function backoffDelay(backoff: Backoff, failures: number): number {
  const base = Math.min(backoff.initialMs * backoff.multiplier ** (failures - 1), backoff.maxMs)
  return base * (1 + backoff.jitter * (2 * Math.random() - 1))
}
