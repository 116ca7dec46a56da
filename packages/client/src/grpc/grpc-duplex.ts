import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js'
import type { DuplexCall, DuplexHandlers } from '@millrace/core/adapter'
import { errorFrom } from '@millrace/core/adapter'

/** An open duplex call. Messages sent before the call's secret is known wait for it. */
export class GrpcDuplex<Req, Res> implements DuplexCall<Req> {
  readonly #handlers: DuplexHandlers<Res>
  readonly #onOver: (call: GrpcDuplex<Req, Res>) => void
  #stream: ClientDuplexStream<Req, Res> | undefined
  #early: Req[] = []
  #finished = false
  #over = false

  /** @param onOver - called once, when the call has ended. */
  constructor(handlers: DuplexHandlers<Res>, onOver: (call: GrpcDuplex<Req, Res>) => void) {
    this.#handlers = handlers
    this.#onOver = onOver
  }

  /** Starts the call. @param explain - makes what the stream fails with the error to tell. */
  open(stream: ClientDuplexStream<Req, Res>, explain: (error: ServiceError) => Error): void {
    if (this.#over) {
      stream.cancel()
      return
    }
    this.#stream = stream
    stream.on('data', (message: Res) => {
      if (!this.#over) this.#handlers.message(message)
    })
    stream.on('error', (error: ServiceError) => this.fail(explain(error)))
    stream.on('end', () => this.#end(undefined))
    for (const message of this.#early) stream.write(message)
    this.#early = []
    if (this.#finished) stream.end()
  }

  /** Ends the call with an error. */
  fail(error: unknown): void {
    this.#end(errorFrom(error))
    this.#stream?.cancel()
  }

  send(message: Req): void {
    if (this.#over || this.#finished) return
    if (this.#stream) this.#stream.write(message)
    else this.#early.push(message)
  }

  finish(): void {
    this.#finished = true
    this.#stream?.end()
  }

  cancel(): void {
    if (this.#over) return
    this.#over = true
    this.#onOver(this)
    this.#stream?.cancel()
  }

  #end(error: Error | undefined): void {
    if (this.#over) return
    this.#over = true
    this.#onOver(this)
    this.#handlers.end(error)
  }
}
