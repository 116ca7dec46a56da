import type { Clock } from '../clock.ts'
import type { Credentials } from '../credentials.ts'
import { AuthenticationError, type MillraceError } from '../errors/errors.ts'
import { type Backoff, backoffDelay } from './backoff.ts'

/** How streams are opened again after a break. */
const reconnectBackoff: Backoff = { initialMs: 100, maxMs: 3000, multiplier: 2, jitter: 0.3 }

/** Says when a broken stream is opened again. One for each stream, or for streams that break together. */
export class Outage {
  readonly #clock: Clock
  readonly #credentials: Credentials
  #failures = 0
  #since: number | undefined
  #renewed = false

  constructor(clock: Clock, credentials: Credentials) {
    this.#clock = clock
    this.#credentials = credentials
  }

  /** How long the stream has been broken, in milliseconds; 0 when it is not. */
  get lastsMs(): number {
    return this.#since === undefined ? 0 : this.#clock.now() - this.#since
  }

  /** The stream works. */
  over(): void {
    this.#failures = 0
    this.#since = undefined
    this.#renewed = false
  }

  /**
   * The stream broke, or could not be opened. A refused token is replaced, once.
   *
   * @returns the wait before it is opened again, in milliseconds.
   */
  next(error: MillraceError): number {
    this.#since ??= this.#clock.now()
    if (this.#canRenew(error)) {
      this.#renewed = true
      this.#credentials.renew()
    }
    return backoffDelay(reconnectBackoff, ++this.#failures)
  }

  /** False for an error that does not mend by itself. Ask before `next`. */
  mends(error: MillraceError): boolean {
    return error.statusCode >= 500 || error.statusCode === 429 || this.#canRenew(error)
  }

  #canRenew(error: MillraceError): boolean {
    return error instanceof AuthenticationError && this.#credentials.renewable && !this.#renewed
  }
}
