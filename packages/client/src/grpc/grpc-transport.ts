import { type CallOptions, type Client, type ClientReadableStream, Metadata, type ServiceError } from '@grpc/grpc-js'
import { AbortError, AuthenticationError, UnavailableError } from '@millrace/core'
import type {
  CompiledOptions,
  DuplexCall,
  DuplexHandlers,
  DuplexMethod,
  RequestOf,
  ResponseOf,
  ServerStreamMethod,
  Transport,
  TransportCall,
  UnaryMethod,
} from '@millrace/core/adapter'
import { createChannels } from './channel.ts'
import { GrpcDuplex } from './grpc-duplex.ts'
import { errorFromGrpc } from './grpc-error.ts'
import { grpcMethods } from './methods.ts'

/** A call under way. */
interface Active {
  fail(error: Error): void
}

/** Carries calls over gRPC, spread over the client's connections. */
export class GrpcTransport implements Transport {
  readonly #options: CompiledOptions
  readonly #channels: readonly Client[]
  readonly #active = new Set<Active>()
  #turn = 0
  #metadata: { readonly token: string | undefined; readonly value: Metadata } | undefined
  #closed = false

  constructor(options: CompiledOptions) {
    this.#options = options
    this.#channels = createChannels(options)
  }

  async unary<P extends UnaryMethod>(method: P, request: RequestOf<P>, call: TransportCall): Promise<ResponseOf<P>> {
    const metadata = await this.#authorize()
    const { path, serialize, deserialize } = grpcMethods[method]
    const { signal } = call
    if (signal?.aborted) throw new AbortError(signal.reason)
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#active.delete(active)
        signal?.removeEventListener('abort', onAbort)
      }
      const active: Active = {
        fail(error) {
          finish()
          reject(error)
          grpcCall.cancel()
        },
      }
      const onAbort = (): void => active.fail(new AbortError(signal?.reason))
      const onAnswer = (error: ServiceError | null, response?: ResponseOf<P>): void => {
        finish()
        if (error) reject(errorFromGrpc(error))
        else resolve(response as ResponseOf<P>)
      }
      const grpcCall = this.#channel().makeUnaryRequest(path, serialize, deserialize, request, metadata, toCallOptions(call), onAnswer)
      this.#active.add(active)
      signal?.addEventListener('abort', onAbort)
    })
  }

  async *serverStream<P extends ServerStreamMethod>(
    method: P,
    request: RequestOf<P>,
    call: TransportCall,
  ): AsyncGenerator<ResponseOf<P>, void, undefined> {
    const metadata = await this.#authorize()
    const { path, serialize, deserialize } = grpcMethods[method]
    const { signal } = call
    if (signal?.aborted) throw new AbortError(signal.reason)
    const stream: ClientReadableStream<ResponseOf<P>> = this.#channel().makeServerStreamRequest(
      path,
      serialize,
      deserialize,
      request,
      metadata,
      toCallOptions(call),
    )
    let failure: Error | undefined
    const active: Active = {
      fail(error) {
        failure = error
        stream.cancel()
      },
    }
    const onAbort = (): void => active.fail(new AbortError(signal?.reason))
    stream.on('error', (error: ServiceError) => {
      failure ??= errorFromGrpc(error)
    })
    this.#active.add(active)
    signal?.addEventListener('abort', onAbort)
    try {
      yield* stream as AsyncIterable<ResponseOf<P>>
    } catch (thrown) {
      throw failure ?? thrown
    } finally {
      this.#active.delete(active)
      signal?.removeEventListener('abort', onAbort)
      stream.cancel()
    }
  }

  duplex<P extends DuplexMethod>(method: P, handlers: DuplexHandlers<ResponseOf<P>>): DuplexCall<RequestOf<P>> {
    const { path, serialize, deserialize } = grpcMethods[method]
    const duplex = new GrpcDuplex<RequestOf<P>, ResponseOf<P>>(handlers, (call) => this.#active.delete(call))
    this.#active.add(duplex)
    const open = (metadata: Metadata): void => {
      duplex.open(this.#channel().makeBidiStreamRequest(path, serialize, deserialize, metadata))
    }
    const metadata = this.#authorize()
    if (metadata instanceof Metadata && !this.#closed) open(metadata)
    else
      Promise.resolve(metadata)
        .then(open)
        .catch((error: unknown) => duplex.fail(error))
    return duplex
  }

  ready(call: TransportCall): Promise<void> {
    const { signal, timeoutMs } = call
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new AbortError(signal.reason))
      const onAbort = (): void => reject(new AbortError(signal?.reason))
      signal?.addEventListener('abort', onAbort)
      const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs
      this.#channel().waitForReady(deadline, (error) => {
        signal?.removeEventListener('abort', onAbort)
        if (!error) return resolve()
        const message = `No connection to '${this.#options.endpoint}' within ${timeoutMs} ms. Does the server run there?`
        reject(new UnavailableError({ reason: 'UNAVAILABLE', message }, { cause: error }))
      })
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const active of [...this.#active]) active.fail(closedError())
    for (const channel of this.#channels) channel.close()
  }

  #channel(): Client {
    if (this.#closed) throw closedError()
    this.#turn = (this.#turn + 1) % this.#channels.length
    return this.#channels[this.#turn]!
  }

  /** The call's metadata: at once when the secret is known, else a promise. */
  #authorize(): Metadata | Promise<Metadata> {
    const token = this.#options.credentials.get()
    if (!(token instanceof Promise)) return this.#metadataFor(token)
    return token.then(
      (fetched) => this.#metadataFor(fetched),
      (cause) => {
        const message = `The option 'token' gave no token: ${cause instanceof Error ? cause.message : String(cause)}`
        throw new AuthenticationError({ reason: 'UNAUTHENTICATED', message }, { cause })
      },
    )
  }

  #metadataFor(token: string | undefined): Metadata {
    if (this.#metadata && this.#metadata.token === token) return this.#metadata.value
    const value = new Metadata()
    if (token !== undefined) value.set('authorization', `Bearer ${token}`)
    value.set('millrace-namespace', this.#options.namespace)
    this.#metadata = { token, value }
    return value
  }
}

function toCallOptions({ timeoutMs }: TransportCall): CallOptions {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs }
}

function closedError(): UnavailableError {
  return new UnavailableError({ reason: 'UNAVAILABLE', message: 'This client is closed.' })
}
