import type { Clock } from '../clock.ts'
import { AbortError, AuthenticationError, type MillraceError } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import type { CompiledOptions } from '../options.ts'
import type { RequestOf, ResponseOf, Transport, TransportCall, UnaryMethod } from '../transport.ts'
import { backoffDelay } from './backoff.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import { sleep } from './sleep.ts'

/** How one call is made. */
export interface UnaryCall {
  /** Longest time, retries and waits included. Absent: the client's default. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** True when making the call twice does what making it once does. */
  readonly safe: boolean
  /** True: when the server says it has no room now, wait as long as it says and go on. Implies `safe`. */
  readonly waitForRoom?: boolean
}

/** Makes calls: deadline, retry, circuit breaker, renewal of tokens. */
export class Caller {
  readonly #transport: Transport
  readonly #options: CompiledOptions
  readonly #clock: Clock
  readonly #breaker: CircuitBreaker | undefined
  readonly #closed = new AbortController()

  constructor(transport: Transport, options: CompiledOptions, clock: Clock) {
    this.#transport = transport
    this.#options = options
    this.#clock = clock
    this.#breaker = options.breaker && new CircuitBreaker(options.breaker, clock)
  }

  /** Makes a call with one answer; rejects with a `MillraceError`. */
  unary<P extends UnaryMethod>(method: P, request: RequestOf<P>, call: UnaryCall): Promise<ResponseOf<P>> {
    return this.make(method, call, (bounds) => this.#transport.unary(method, request, bounds))
  }

  /** Makes a call by what tries once. */
  async make<T>(method: string, call: UnaryCall, attempt: (bounds: TransportCall) => Promise<T>): Promise<T> {
    if (call.signal?.aborted) throw new AbortError(call.signal.reason)
    this.#closed.signal.throwIfAborted()
    this.#breaker?.enter()
    const begun = this.#clock.now()
    try {
      const response = await this.#attempts(method, call, attempt)
      this.#breaker?.succeeded()
      this.#options.logger.debug(`${method} took ${this.#clock.now() - begun} ms`)
      return response
    } catch (thrown) {
      const error = errorFrom(thrown)
      this.#breaker?.failed(error)
      this.#options.logger.debug(`${method} failed after ${this.#clock.now() - begun} ms`, { code: error.code, error: error.message })
      throw error
    }
  }

  /** Nothing is tried again from now on: calls that wait for it, and those to come, reject with `error`. */
  close(error: MillraceError): void {
    this.#closed.abort(error)
  }

  /** Waits. Rejects with `AbortError` when `signal` ends it, and with what to say of a client that is closed when that does. */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const closed = this.#closed.signal
    await sleep(this.#clock, ms, signal ? AbortSignal.any([signal, closed]) : closed).catch((aborted: unknown) => {
      closed.throwIfAborted()
      throw aborted
    })
  }

  async #attempts<T>(method: string, call: UnaryCall, attempt: (bounds: TransportCall) => Promise<T>): Promise<T> {
    const { credentials, logger, timeoutMs: defaultMs } = this.#options
    const deadline = this.#clock.now() + (call.timeoutMs ?? defaultMs)
    let failures = 0
    let renewed = false
    let refusal: MillraceError | undefined
    for (;;) {
      const remaining = deadline - this.#clock.now()
      const { version } = credentials
      try {
        return await attempt({ timeoutMs: Math.max(remaining, 1), signal: call.signal })
      } catch (thrown) {
        const error = errorFrom(thrown)
        if (error instanceof AuthenticationError && credentials.renewable && !renewed) {
          renewed = true
          credentials.renew(version)
          continue
        }
        this.#closed.signal.throwIfAborted()
        const forRoom = waitsForRoom(error, call)
        if (forRoom) refusal = error
        const wait = forRoom ? error.details.retryAfterMs : this.#retryDelay(error, call, ++failures)
        // What the time ran out over says more than that it did.
        if (wait === undefined || wait >= deadline - this.#clock.now())
          throw error.code === 'DEADLINE_EXCEEDED' ? (refusal ?? error) : error
        logger.debug(`${method} failed with ${error.code}; trying again in ${Math.round(wait)} ms`, { error: error.message })
        await this.sleep(wait, call.signal)
      }
    }
  }

  /** The wait before a further try, or undefined when there shall be none. */
  #retryDelay(error: MillraceError, call: UnaryCall, failures: number): number | undefined {
    const { retry } = this.#options
    if (!retry || !call.safe || failures > retry.maxRetries || !retry.retryOn.has(error.code)) return undefined
    return Math.max(backoffDelay(retry, failures), error.details.retryAfterMs ?? 0)
  }
}

/** True when the server refused for lack of room and said when to come again, and the call wants to wait. */
function waitsForRoom(error: MillraceError, call: UnaryCall): boolean {
  return call.waitForRoom === true && isLackOfRoom(error)
}

/** True when the server refused for lack of room and said when to come again. */
export function isLackOfRoom(error: MillraceError): boolean {
  return (error.code === 'QUOTA_EXCEEDED' || error.code === 'RATE_LIMITED') && (error.details.retryAfterMs ?? 0) > 0
}
