import { type Clock, systemClock } from './clock.ts'
import { ClientContext } from './context.ts'
import { CircuitOpenError, UnavailableError, unavailable } from './errors/errors.ts'
import type { CallOptions, CompiledOptions } from './options.ts'
import type { Transport } from './transport.ts'

/** Wait between two questions whether the server is ready. */
const readyIntervalMs = 100

/** What the parts of a client share, for what is not part of the class, so that who does not use it does not carry it. */
export let contextOf: (client: ClientBase) => ClientContext

/** What every client is before it has anything to work with. Makes no connection before the first call. */
export class ClientBase {
  readonly #context: ClientContext

  static {
    contextOf = (client) => client.#context
  }

  constructor(transport: Transport, options: CompiledOptions, clock: Clock = systemClock) {
    this.#context = new ClientContext(transport, options, clock)
  }

  /**
   * Waits until the server can be reached, takes the key and can do its work.
   *
   * @throws UnavailableError when it does not within the call's time; AuthenticationError.
   */
  async ready(call?: CallOptions): Promise<void> {
    const { caller, clock, transport } = this.#context
    const { timeoutMs, signal } = this.#context.bounds(call)
    const deadline = clock.now() + timeoutMs
    for (;;) {
      const remaining = Math.max(deadline - clock.now(), 1)
      await transport.ready({ timeoutMs: remaining, signal })
      const health = await caller
        .unary('ClusterService/GetHealth', {}, { timeoutMs: remaining, signal, safe: false })
        .catch((error: unknown) => {
          if (error instanceof UnavailableError || error instanceof CircuitOpenError) return { healthy: false, detail: error.message }
          throw error
        })
      if (health.healthy) return
      if (clock.now() >= deadline) throw unavailable(`The server is not ready: ${health.detail}`)
      await this.#context.caller.sleep(readyIntervalMs, signal)
    }
  }

  /** Ends every call and connection. Calls that have no answer yet reject with `UnavailableError`. */
  async close(): Promise<void> {
    await this.#context.close()
  }

  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
