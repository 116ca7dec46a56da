import { type Duration, toMs } from '../durations.ts'
import { invalid, type MillraceError, QuotaExceededError } from '../errors/errors.ts'

/** When calls are held back after failures. */
export interface CircuitBreakerOptions {
  /** Failed calls in a row that open the circuit. Default 5. */
  readonly failureThreshold?: number
  /** Successful calls in a row that close it again. Default 3. */
  readonly successThreshold?: number
  /** How long it stays open before it lets single calls through to try. Default 30 s. */
  readonly resetTimeout?: Duration
  /** Classes of errors that do not count as failures. Default `QuotaExceededError`. What the caller did wrong (4xx but 429) never counts. */
  readonly ignore?: readonly ErrorType[]
}

/** A class of errors, such as `QuotaExceededError`. */
export type ErrorType = abstract new (...args: never) => MillraceError

/** Breaker options after defaults. */
export interface CompiledBreaker {
  readonly failureThreshold: number
  readonly successThreshold: number
  readonly resetMs: number
  readonly ignore: readonly ErrorType[]
}

/** Fills in defaults and checks; undefined when the breaker is off. */
export function compileBreaker(options: CircuitBreakerOptions | false): CompiledBreaker | undefined {
  if (options === false) return undefined
  const { failureThreshold = 5, successThreshold = 3, ignore = [QuotaExceededError] } = options
  for (const [name, value] of Object.entries({ failureThreshold, successThreshold })) {
    if (!Number.isInteger(value) || value < 1) throw invalid(`circuitBreaker.${name}`, `${value} is not a whole number from 1 on.`)
  }
  return { failureThreshold, successThreshold, ignore, resetMs: toMs('circuitBreaker.resetTimeout', options.resetTimeout ?? '30s') }
}
