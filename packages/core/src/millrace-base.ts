import { sleep } from './calls/sleep.ts'
import { type Clock, systemClock } from './clock.ts'
import { Cluster, type ClusterHealth } from './cluster.ts'
import { type ClientContext, closeContext, compileCall, createContext } from './context.ts'
import { CircuitOpenError, UnavailableError } from './errors/errors.ts'
import { Keys } from './keys.ts'
import { Kv } from './kv/kv.ts'
import { KvStores } from './kv/kv-stores.ts'
import type { CallOptions, CompiledOptions } from './options.ts'
import { Queue } from './queues/queue.ts'
import { Queues } from './queues/queues.ts'
import { States } from './states.ts'
import { Tasks } from './tasks/tasks.ts'
import { Tokens } from './tokens.ts'
import type { Transport } from './transport.ts'

/** Wait between two questions whether the server is ready. */
const readyIntervalMs = 100

/** What the parts of a client share, for what is not part of the class, so that who does not use it does not carry it. */
export let contextOf: (client: MillraceBase) => ClientContext

/** What every Millrace client has, whatever its transport. Makes no connection before the first call. */
export class MillraceBase {
  readonly #context: ClientContext
  /** Submits units of work by function name and follows them to their end. */
  readonly tasks: Tasks
  /** What stateful tasks keep between executions. */
  readonly states: States
  /** The queues of the namespace. */
  readonly queues: Queues
  /** The stores of keys and values of the namespace. */
  readonly kvStores: KvStores
  /** API keys. */
  readonly keys: Keys
  /** Short-lived tokens. */
  readonly tokens: Tokens
  /** How the servers are. */
  readonly cluster: Cluster

  static {
    contextOf = (client) => client.#context
  }

  constructor(transport: Transport, options: CompiledOptions, clock: Clock = systemClock) {
    this.#context = createContext(transport, options, clock)
    this.tasks = new Tasks(this.#context)
    this.states = new States(this.#context)
    this.queues = new Queues(this.#context)
    this.kvStores = new KvStores(this.#context)
    this.keys = new Keys(this.#context)
    this.tokens = new Tokens(this.#context)
    this.cluster = new Cluster(this.#context)
  }

  /**
   * A queue by its name. Makes no call.
   *
   * @typeParam T - what its payloads are.
   */
  queue<T = unknown>(name: string): Queue<T> {
    return new Queue<T>(this.#context, name)
  }

  /**
   * A store of keys and values by its name. Makes no call.
   *
   * @typeParam T - what its values are.
   */
  kv<T = unknown>(name: string): Kv<T> {
    return new Kv<T>(this.#context, name)
  }

  /** How the server is; the same as `cluster.health()`. */
  health(call?: CallOptions): Promise<ClusterHealth> {
    return this.cluster.health(call)
  }

  /**
   * Waits until the server can be reached, takes the key and can do its work.
   *
   * @throws UnavailableError when it does not within the call's time; AuthenticationError.
   */
  async ready(call?: CallOptions): Promise<void> {
    const { caller, clock, options, transport } = this.#context
    const { timeoutMs, signal } = compileCall(options, call)
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
      if (clock.now() >= deadline)
        throw new UnavailableError({ reason: 'UNAVAILABLE', message: `The server is not ready: ${health.detail}` })
      await sleep(clock, readyIntervalMs, signal)
    }
  }

  /** Ends every call and connection. Calls that have no answer yet reject with `UnavailableError`. */
  async close(): Promise<void> {
    await closeContext(this.#context)
  }

  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
