import type { Clock } from '../clock.ts'
import type { Credentials } from '../credentials.ts'
import { AuthenticationError, type MillraceError } from '../errors/errors.ts'
import { type Backoff, backoffDelay } from './backoff.ts'

/** How streams are opened again after a break. */
const reconnectBackoff: Backoff = { initialMs: 100, maxMs: 3000, multiplier: 2, jitter: 0.3 }

/** What counts at most of the time from one try to the next. */
const longestTryMs = 5000

/** Says when a broken stream is opened again. One for each stream, or for streams that break together. */
export class Outage {
  readonly #clock: Clock
  readonly #credentials: Credentials
  #failures = 0
  /** How long it has lasted up to the last failure, and when that was. */
  #lasted = 0
  #failedAt: number | undefined
  #renewed = false

  constructor(clock: Clock, credentials: Credentials) {
    this.#clock = clock
    this.#credentials = credentials
  }

  /**
   * How long the stream has been broken, in milliseconds; 0 when it is not. Between two tries no more than some seconds
   * count: a machine that slept, or a page that was offline, did not try.
   */
  get lastsMs(): number {
    return this.#failedAt === undefined ? 0 : this.#lasted + Math.min(this.#clock.now() - this.#failedAt, longestTryMs)
  }

  /** The stream works. */
  over(): void {
    this.#failures = 0
    this.#lasted = 0
    this.#failedAt = undefined
    this.#renewed = false
  }

  /**
   * The stream broke, or could not be opened. A refused token is replaced, once.
   *
   * @param version - of the credentials, just before the stream was opened.
   * @returns the wait before it is opened again, in milliseconds.
   */
  next(error: MillraceError, version: number): number {
    this.#lasted = this.lastsMs
    this.#failedAt = this.#clock.now()
    if (error instanceof AuthenticationError && version === this.#credentials.version) {
      this.#renewed = true
      this.#credentials.renew(version)
    }
    return Math.max(backoffDelay(reconnectBackoff, ++this.#failures), error.details.retryAfterMs ?? 0)
  }

  /** False for an error that does not mend by itself: of refused tokens the second in a row. Ask before `next`. */
  mends(error: MillraceError, version: number): boolean {
    if (!(error instanceof AuthenticationError)) return error.statusCode >= 500 || error.statusCode === 429
    const { renewable, version: present } = this.#credentials
    return renewable && (!this.#renewed || version !== present)
  }
}
