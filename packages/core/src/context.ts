import { Caller } from './calls/caller.ts'
import type { Clock } from './clock.ts'
import { toMs } from './durations.ts'
import { type MillraceError, UnavailableError } from './errors/errors.ts'
import type { CallOptions, CompiledOptions } from './options.ts'
import type { Transport } from './transport.ts'

/** What can be ended. */
interface Closable {
  /** Fails what is under way, and what is asked for later. */
  close(error: MillraceError): void
}

/** What the parts of one client share. */
export class ClientContext {
  readonly transport: Transport
  readonly options: CompiledOptions
  readonly clock: Clock
  readonly caller: Caller
  /** Called when the client is closed. */
  readonly onClose = new Set<(error: MillraceError) => void>()
  readonly #shared = new Map<unknown, Closable>()
  #closed: MillraceError | undefined

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
    if (this.#closed) made.close(this.#closed)
    return made
  }

  /** What to say of a client that is closed; undefined while it is open. */
  get closed(): MillraceError | undefined {
    return this.#closed
  }

  /** Ends everything, and the transport. */
  async close(): Promise<void> {
    const error = new UnavailableError({ reason: 'UNAVAILABLE', message: 'This client is closed.' })
    this.#closed = error
    for (const each of [...this.#shared.values(), this.caller]) each.close(error)
    for (const close of this.onClose) close(error)
    await this.transport.close()
  }
}

/** A call's own bounds, compiled. */
export function compileCall(
  options: CompiledOptions,
  call: CallOptions | undefined,
): { readonly timeoutMs: number; readonly signal: AbortSignal | undefined } {
  if (!call) return { timeoutMs: options.timeoutMs, signal: undefined }
  return { timeoutMs: call.timeout === undefined ? options.timeoutMs : toMs('timeout', call.timeout), signal: call.signal }
}
