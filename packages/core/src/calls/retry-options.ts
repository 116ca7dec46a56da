import { type ErrorReason, httpStatuses } from '@millrace/protocol/errors'
import { type Duration, toMs } from '../durations.ts'
import { invalid } from '../errors/errors.ts'
import type { Backoff } from './backoff.ts'

/** How failed calls are tried again. Only calls that are safe to repeat are: reads, and writes that the server recognises when they come again. */
export interface RetryOptions {
  /** Further tries after the first. Default 3. */
  readonly maxRetries?: number
  /** Wait before the first further try. Default 200 ms. */
  readonly initialDelay?: Duration
  /** Longest wait between two tries. Default 10 s. */
  readonly maxDelay?: Duration
  /** Growth of the wait. 1 to 100, default 2. */
  readonly multiplier?: number
  /** Random spread: the wait is multiplied by a number drawn from [1 - jitter, 1 + jitter]. 0 to 1, default 0.2. */
  readonly jitter?: number
  /** Codes of errors to try again after. Default `UNAVAILABLE` and `RATE_LIMITED`. */
  readonly retryOn?: readonly ErrorReason[]
}

/** Retry options after defaults. */
export interface CompiledRetry extends Backoff {
  readonly maxRetries: number
  readonly retryOn: ReadonlySet<string>
}

/** Fills in defaults and checks; undefined when retry is off. */
export function compileRetry(options: RetryOptions | false): CompiledRetry | undefined {
  if (options === false) return undefined
  const { maxRetries = 3, multiplier = 2, jitter = 0.2, retryOn = ['UNAVAILABLE', 'RATE_LIMITED'] } = options
  if (!Number.isInteger(maxRetries) || maxRetries < 0) throw invalid('retry.maxRetries', `${maxRetries} is not a whole number from 0 on.`)
  if (!(multiplier >= 1 && multiplier <= 100)) throw invalid('retry.multiplier', `${multiplier} is not between 1 and 100.`)
  if (!(jitter >= 0 && jitter <= 1)) throw invalid('retry.jitter', `${jitter} is not between 0 and 1.`)
  for (const code of retryOn) {
    if (!(code in httpStatuses)) throw invalid('retry.retryOn', `'${code}' is not one of ${Object.keys(httpStatuses).join(', ')}.`)
  }
  return {
    maxRetries,
    multiplier,
    jitter,
    initialMs: toMs('retry.initialDelay', options.initialDelay ?? 200),
    maxMs: toMs('retry.maxDelay', options.maxDelay ?? '10s'),
    retryOn: new Set(retryOn),
  }
}
