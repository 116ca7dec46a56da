import type { RetryPlanner, RetryPolicy } from '../../store/ports.ts'

/** The policy of queues that were given none: three attempts, about 1 s and 2 s apart. */
export const defaultRetryPolicy: RetryPolicy = {
  maxAttempts: 3,
  initialBackoffMs: 1000,
  maxBackoffMs: 300_000,
  multiplier: 2,
  strategy: 'exponential',
  jitter: 0.2,
}

/** How long to wait after the given failed attempt (from 1), before the random spread. */
export function backoffMs(policy: RetryPolicy, attempt: number): number {
  const { initialBackoffMs, maxBackoffMs, multiplier, strategy } = policy
  const grown =
    strategy === 'fixed'
      ? initialBackoffMs
      : strategy === 'linear'
        ? initialBackoffMs * attempt
        : initialBackoffMs * multiplier ** (attempt - 1)
  return Math.min(grown, maxBackoffMs)
}

/**
 * The retry rule of every job.
 *
 * @param random - draws from [0, 1), for the spread.
 */
export function retryPlanner(random: () => number = Math.random): RetryPlanner {
  return ({ attempt, maxAttempts, policy, now }) => {
    if (attempt >= maxAttempts) return undefined
    const spread = 1 + policy.jitter * (2 * random() - 1)
    return now + Math.round(backoffMs(policy, attempt) * spread)
  }
}
