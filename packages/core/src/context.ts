import { Caller } from './calls/caller.ts'
import type { Clock } from './clock.ts'
import { toMs } from './durations.ts'
import { type MillraceError, unavailable } from './errors/errors.ts'
import type { CallOptions, CompiledOptions } from './options.ts'
import type { RequestOf, ResponseOf, Transport, UnaryMethod } from './transport.ts'

/** What can be ended. */
interface Closable {
  /** Fails what is under way, and what is asked for later. */
  close(error: MillraceError): void
}

/** What the parts of one client share. */
export class ClientContext {
  /** How calls travel. */
  readonly transport: Transport
  /** The client's options, each with its default. */
  readonly options: CompiledOptions
  /** Source of time. */
  readonly clock: Clock
  /** Makes calls as the options say: with retries, timeouts and the circuit breaker. */
  readonly caller: Caller
  /** Called when the client is closed. */
  readonly onClose = new Set<(error: MillraceError) => void>()
  readonly #shared = new Map<unknown, Closable>()
  /** What to say of a client that is closed; undefined while it is open. */
  closed: MillraceError | undefined

  constructor(transport: Transport, options: CompiledOptions, clock: Clock) {
    this.transport = transport
    this.options = options
    this.clock = clock
    this.caller = new Caller(transport, options, clock)
  }

  /**
   * What several parts use, made when the first one asks for it: a page that does not use tasks does not carry what they need.
   *
   * @param make - makes it, and names it.
   */
  shared<T extends Closable>(make: (context: ClientContext) => T): T {
    const known = this.#shared.get(make)
    if (known) return known as T
    const made = make(this)
    this.#shared.set(make, made)
    if (this.closed) made.close(this.closed)
    return made
  }

  /** A call's own bounds, compiled. */
  bounds(call: CallOptions = {}): { readonly timeoutMs: number; readonly signal: AbortSignal | undefined } {
    const { timeout, signal } = call
    return { timeoutMs: timeout === undefined ? this.options.timeoutMs : toMs('timeout', timeout), signal }
  }

  /** Makes a call that does the same when it is made twice: it is tried again after a failure. */
  async safe<P extends UnaryMethod>(method: P, request: RequestOf<P>, call: CallOptions | undefined, safe = true): Promise<ResponseOf<P>> {
    return this.caller.unary(method, request, { ...this.bounds(call), safe })
  }

  /** Makes a call that is not tried again, because it may have been carried out. */
  unsafe<P extends UnaryMethod>(method: P, request: RequestOf<P>, call: CallOptions | undefined): Promise<ResponseOf<P>> {
    return this.safe(method, request, call, false)
  }

  /** Ends everything, and the transport. */
  async close(): Promise<void> {
    const error = unavailable('This client is closed.')
    this.closed = error
    for (const each of [...this.#shared.values(), this.caller]) each.close(error)
    for (const close of this.onClose) close(error)
    await this.transport.close()
  }
}
