import { type Client, connectivityState as State } from '@grpc/grpc-js'
import { TimeoutError, UnavailableError } from '@millrace/core'
import type { GrpcOptions } from '../options.ts'
import { createChannels } from './channel.ts'
import { parseEndpoints } from './endpoint.ts'

/** How long one endpoint has to take a connection before the next one is asked, in milliseconds. */
const connectMs = 2000

/** A channel of one of the endpoints. */
export interface Channel {
  readonly client: Client
  /** The endpoint, as {@link Endpoints.leave} takes it. */
  readonly index: number
}

/**
 * The servers a client may use. It stays with one while that one works, so that calls made together travel together, and
 * goes on to the next when it fails. The order is the client's own: clients of one system spread over its servers, and so
 * do those of a server that died.
 */
export class Endpoints {
  readonly #names: string
  readonly #endpoints: readonly (readonly Client[])[]
  #current = 0
  #turn = 0

  constructor(options: GrpcOptions) {
    this.#names = options.endpoint
    this.#endpoints = shuffle(parseEndpoints(options.endpoint)).map((endpoint) => createChannels(endpoint, options))
  }

  /**
   * A channel for a call: at once when there is a choice of one, or when it is connected; else when one is.
   *
   * @param timeoutMs - the call's.
   * @throws UnavailableError when no endpoint takes a connection, TimeoutError when none does in time.
   */
  channel(timeoutMs: number | undefined): Channel | Promise<Channel> {
    const channel = this.#next()
    if (this.#endpoints.length === 1 || channel.client.getChannel().getConnectivityState(false) === State.READY) return channel
    return this.#connect(timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs)
  }

  /** The endpoint failed: calls go to the next one from now on. */
  leave(index: number): void {
    if (this.#current === index) this.#current = (index + 1) % this.#endpoints.length
  }

  /** Resolves when a connection stands, false when none does before `deadline`, in milliseconds since 1970. */
  async ready(deadline: number): Promise<boolean> {
    for (;;) {
      const { client, index } = this.#next()
      const until = this.#endpoints.length === 1 ? deadline : Math.min(deadline, Date.now() + connectMs)
      if (await new Promise<boolean>((resolve) => client.waitForReady(until, (error) => resolve(!error)))) return true
      if (Date.now() >= deadline) return false
      this.leave(index)
    }
  }

  close(): void {
    for (const client of this.#endpoints.flat()) client.close()
  }

  async #connect(deadline: number): Promise<Channel> {
    for (let tried = 0; tried < this.#endpoints.length; tried++) {
      const channel = this.#next()
      if (await connects(channel.client, Math.min(deadline, Date.now() + connectMs))) return channel
      if (Date.now() >= deadline)
        throw new TimeoutError({ reason: 'DEADLINE_EXCEEDED', message: `No connection to '${this.#names}' in time.` })
      this.leave(channel.index)
    }
    const message = `None of the servers '${this.#names}' can be reached. Does one run there?`
    throw new UnavailableError({ reason: 'UNAVAILABLE', message })
  }

  #next(): Channel {
    const clients = this.#endpoints[this.#current]!
    this.#turn = (this.#turn + 1) % clients.length
    return { client: clients[this.#turn]!, index: this.#current }
  }
}

/** True when the channel is connected, false when it cannot be, or not before `deadline`. */
function connects(client: Client, deadline: number): Promise<boolean> {
  const channel = client.getChannel()
  return new Promise((resolve) => {
    const look = (): void => {
      const state = channel.getConnectivityState(true)
      if (state === State.READY) resolve(true)
      else if (state === State.TRANSIENT_FAILURE || state === State.SHUTDOWN) resolve(false)
      else channel.watchConnectivityState(state, deadline, (error) => (error ? resolve(false) : look()))
    }
    look()
  })
}

function shuffle<T>(items: readonly T[]): T[] {
  return items
    .map((item) => [Math.random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}
