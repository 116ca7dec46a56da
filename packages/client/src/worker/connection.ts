import { type MillraceError, UnavailableError } from '@millrace/core'
import { type Clock, type CompiledOptions, type DuplexCall, errorFrom, Outage, type Transport } from '@millrace/core/adapter'
import type {
  ProcessJobsResponse_Deliveries as Deliveries,
  ProcessJobsRequest,
  ProcessJobsResponse,
  ProcessJobsResponse_Revoked as Revoked,
  ProcessJobsResponse_Settled as Settled,
  ProcessJobsRequest_Subscribe as Subscribe,
} from '@millrace/protocol'

/** What a worker's connection tells. */
export interface ConnectionHandlers {
  /** How to subscribe now. */
  subscription(): Subscribe
  connected(workerId: string): void
  disconnected(error: MillraceError): void
  /** The server refused the worker; trying again helps only when somebody changes something. */
  refused(error: MillraceError): void
  deliveries(message: Deliveries): void
  settled(message: Settled): void
  revoked(message: Revoked): void
}

/** Silence after which the server is asked for a sign of life. */
const quietMs = 10_000
/** Silence after which the connection counts as dead. */
const deadMs = 25_000

/** A worker's stream to the server: opened again after a break, with growing waits, until it is closed. */
export class Connection {
  readonly #transport: Transport
  readonly #options: CompiledOptions
  readonly #clock: Clock
  readonly #handlers: ConnectionHandlers
  #call: DuplexCall<ProcessJobsRequest> | undefined
  #subscribed = false
  #closed = false
  readonly #outage: Outage
  #version = 0
  #heardAt = 0
  #askedAt = 0
  #heartbeats = 0
  #cancelTimer: (() => void) | undefined
  #onFinished: (() => void) | undefined

  constructor(transport: Transport, options: CompiledOptions, clock: Clock, handlers: ConnectionHandlers) {
    this.#transport = transport
    this.#options = options
    this.#clock = clock
    this.#handlers = handlers
    this.#outage = new Outage(clock, options.credentials)
  }

  /** Opens the stream. */
  open(): void {
    if (this.#closed) return
    this.#cancelTimer = undefined
    this.#subscribed = false
    this.#heardAt = this.#clock.now()
    this.#version = this.#options.credentials.version
    const call = this.#transport.duplex!('WorkerService/ProcessJobs', {
      message: (message) => {
        if (this.#call === call) this.#onMessage(message)
      },
      end: (error) => {
        if (this.#call !== call) return
        if (this.#onFinished) this.#finished()
        else this.#onBreak(error ? errorFrom(error) : ended())
      },
    })
    this.#call = call
    call.send({ message: { $case: 'subscribe', value: this.#handlers.subscription() } })
  }

  /** Sends a message; false when no subscription stands. */
  send(message: NonNullable<ProcessJobsRequest['message']>): boolean {
    if (!this.#call || !this.#subscribed) return false
    this.#call.send({ message })
    return true
  }

  /** Opens the stream again after `finish`. */
  reopen(): void {
    if (!this.#call && !this.#cancelTimer) this.open()
  }

  /**
   * Ends this side of the stream, after what was sent. What the server sent before it noticed still comes.
   *
   * @returns resolves when the server has ended its side too, or no stream stands.
   */
  async finish(): Promise<void> {
    if (!this.#call) return
    this.#subscribed = false
    const ended = new Promise<void>((resolve) => {
      this.#onFinished = resolve
    })
    this.#call.finish()
    await ended
  }

  /** Ends the stream for good. */
  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
    this.#call?.finish()
    this.#call?.cancel()
    this.#call = undefined
    this.#subscribed = false
  }

  /** Looks after a silent connection. Call it at least every few seconds. */
  tick(now: number): void {
    if (!this.#call) return
    const silence = now - this.#heardAt
    if (silence >= deadMs) {
      this.#call.cancel()
      const message = `The server was silent for ${Math.round(silence)} ms.`
      this.#onBreak(new UnavailableError({ reason: 'UNAVAILABLE', message }))
    } else if (silence >= quietMs && now - this.#askedAt >= quietMs) {
      this.#askedAt = now
      this.send({ $case: 'heartbeat', value: { sequence: ++this.#heartbeats } })
    }
  }

  #onMessage({ message }: ProcessJobsResponse): void {
    this.#heardAt = this.#clock.now()
    switch (message?.$case) {
      case 'deliveries':
        this.#handlers.deliveries(message.value)
        break
      case 'settled':
        this.#handlers.settled(message.value)
        break
      case 'revoked':
        this.#handlers.revoked(message.value)
        break
      case 'subscribed':
        this.#subscribed = true
        this.#outage.over()
        this.#handlers.connected(message.value.workerId)
        break
    }
  }

  #finished(): void {
    this.#call = undefined
    this.#onFinished?.()
    this.#onFinished = undefined
  }

  #onBreak(error: MillraceError): void {
    const subscribed = this.#subscribed
    this.#call = undefined
    this.#subscribed = false
    if (subscribed) this.#handlers.disconnected(error)
    if (!this.#outage.mends(error, this.#version)) this.#handlers.refused(error)
    if (this.#closed) return
    const delay = this.#outage.next(error, this.#version)
    this.#options.logger.warn(`The worker has no connection; trying again in ${Math.round(delay)} ms`, { error: error.message })
    this.#cancelTimer = this.#clock.timer(delay, () => this.open())
  }
}

function ended(): UnavailableError {
  return new UnavailableError({ reason: 'UNAVAILABLE', message: 'The server ended the stream.' })
}
