import type { Clock } from '../clock.ts'
import { CircuitOpenError, type MillraceError } from '../errors/errors.ts'
import type { CompiledBreaker } from './breaker-options.ts'

/**
 * Holds calls back while the server fails. Closed: all pass. Open, after `failureThreshold` failures in a row: none pass.
 * Half open, after `resetMs`: one at a time passes; `successThreshold` successes in a row close it, a failure opens it again.
 */
export class CircuitBreaker {
  readonly #options: CompiledBreaker
  readonly #clock: Clock
  #state: 'closed' | 'open' | 'half-open' = 'closed'
  /** Failures in a row while closed, successes in a row while half open. */
  #count = 0
  #opensUntil = 0
  #trying = false

  constructor(options: CompiledBreaker, clock: Clock) {
    this.#options = options
    this.#clock = clock
  }

  /** Lets a call pass, which then must report `succeeded` or `failed`; or throws `CircuitOpenError`. */
  enter(): void {
    if (this.#state === 'closed') return
    const wait = this.#opensUntil - this.#clock.now()
    if (wait > 0 || this.#trying) throw new CircuitOpenError(Math.max(wait, 0))
    this.#state = 'half-open'
    this.#trying = true
  }

  /** The call went well. */
  succeeded(): void {
    this.#trying = false
    if (this.#state === 'closed') this.#count = 0
    else if (this.#state === 'half-open' && ++this.#count >= this.#options.successThreshold) this.#become('closed')
  }

  /** The call failed. An answer that blames the caller says that the server works. */
  failed(error: MillraceError): void {
    if (error.code === 'ABORTED') this.#trying = false
    else if (!this.#counts(error)) this.succeeded()
    else if (this.#state === 'half-open' || (this.#state === 'closed' && ++this.#count >= this.#options.failureThreshold)) {
      this.#become('open')
      this.#opensUntil = this.#clock.now() + this.#options.resetMs
    }
  }

  #counts(error: MillraceError): boolean {
    if (error.statusCode < 500 && error.statusCode !== 429) return false
    return !this.#options.ignore.some((type) => error instanceof type)
  }

  #become(state: 'closed' | 'open'): void {
    this.#state = state
    this.#count = 0
    this.#trying = false
  }
}
