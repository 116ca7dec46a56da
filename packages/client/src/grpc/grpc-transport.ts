import { createHash } from 'node:crypto'
import { type ClientReadableStream, type ClientUnaryCall, type ClientWritableStream, Metadata, type ServiceError } from '@grpc/grpc-js'
import { AbortError, type MillraceError, UnavailableError } from '@millrace/core'
import {
  type ClientStreamMethod,
  type Clock,
  type DuplexCall,
  type DuplexHandlers,
  type DuplexMethod,
  DuplexSource,
  errorFrom,
  type FollowEvents,
  type FollowSource,
  type Hasher,
  type RequestOf,
  type ResponseOf,
  type ServerStreamMethod,
  shareRowCalls,
  type Transport,
  type TransportCall,
  type UnaryMethod,
} from '@millrace/core/adapter'
import type { GrpcOptions } from '../options.ts'
import { type Channel, Endpoints } from './endpoints.ts'
import { GrpcDuplex } from './grpc-duplex.ts'
import { errorFromGrpc } from './grpc-error.ts'
import { grpcMethods } from './methods.ts'

/** A call under way. */
interface Active {
  fail(error: Error): void
}

/** Carries calls over gRPC, spread over the client's connections. */
export class GrpcTransport implements Transport {
  readonly createHasher = createSha256
  readonly shareRowCalls = shareRowCalls
  readonly #options: GrpcOptions
  readonly #endpoints: Endpoints
  readonly #active = new Set<Active>()
  #metadata: { readonly token: string | undefined; readonly value: Metadata } | undefined
  #closed = false

  constructor(options: GrpcOptions) {
    this.#options = options
    this.#endpoints = new Endpoints(options)
  }

  unary<P extends UnaryMethod>(method: P, request: RequestOf<P>, call: TransportCall): Promise<ResponseOf<P>> {
    const { path, serialize, deserialize } = grpcMethods[method]
    const { signal, timeoutMs } = call
    const deadline = deadlineOf(call)
    return new Promise((resolve, reject) => {
      let grpcCall: ClientUnaryCall | undefined
      let over = false
      const finish = (): void => {
        over = true
        this.#active.delete(active)
        signal?.removeEventListener('abort', onAbort)
      }
      const active: Active = {
        fail(error) {
          finish()
          reject(error)
          grpcCall?.cancel()
        },
      }
      const onAbort = (): void => active.fail(new AbortError(signal?.reason))
      const start = (metadata: Metadata, { client, index }: Channel): void => {
        if (over) return
        grpcCall = client.makeUnaryRequest(path, serialize, deserialize, request, metadata, { deadline }, (error, response) => {
          finish()
          if (error) reject(this.#failure(error, index))
          else resolve(response as ResponseOf<P>)
        })
      }
      if (signal?.aborted) return reject(new AbortError(signal.reason))
      this.#active.add(active)
      signal?.addEventListener('abort', onAbort)
      this.#prepare(timeoutMs, start, (error) => active.fail(errorFrom(error)))
    })
  }

  async *serverStream<P extends ServerStreamMethod>(
    method: P,
    request: RequestOf<P>,
    call: TransportCall,
  ): AsyncGenerator<ResponseOf<P>, void, undefined> {
    const { path, serialize, deserialize } = grpcMethods[method]
    const { signal, timeoutMs } = call
    const deadline = deadlineOf(call)
    if (signal?.aborted) throw new AbortError(signal.reason)
    let failure: Error | undefined
    let cancel = (): void => {}
    const active: Active = {
      fail(error) {
        failure ??= error
        cancel()
      },
    }
    const onAbort = (): void => active.fail(new AbortError(signal?.reason))
    this.#active.add(active)
    signal?.addEventListener('abort', onAbort)
    try {
      const [metadata, { client, index }] = await new Promise<[Metadata, Channel]>((resolve, reject) => {
        cancel = () => reject(failure)
        this.#prepare(timeoutMs, (...prepared) => resolve(prepared), reject)
      })
      const stream: ClientReadableStream<ResponseOf<P>> = client.makeServerStreamRequest(path, serialize, deserialize, request, metadata, {
        deadline,
      })
      cancel = () => stream.cancel()
      stream.on('error', (error: ServiceError) => {
        failure ??= this.#failure(error, index)
      })
      yield* stream as AsyncIterable<ResponseOf<P>>
    } catch (thrown) {
      throw failure ?? thrown
    } finally {
      this.#active.delete(active)
      signal?.removeEventListener('abort', onAbort)
      cancel()
    }
  }

  async clientStream<P extends ClientStreamMethod>(
    method: P,
    requests: AsyncIterable<RequestOf<P>>,
    call: TransportCall,
  ): Promise<ResponseOf<P>> {
    const { path, serialize, deserialize } = grpcMethods[method]
    const { signal, timeoutMs } = call
    if (signal?.aborted) throw new AbortError(signal.reason)
    const deadline = deadlineOf(call)
    let cancel = (): void => {}
    let active: Active | undefined
    let failed = false
    const onAbort = (): void => active?.fail(new AbortError(signal?.reason))
    signal?.addEventListener('abort', onAbort)
    try {
      return await new Promise<ResponseOf<P>>((resolve, reject) => {
        active = {
          fail(error) {
            failed = true
            reject(error)
            cancel()
          },
        }
        this.#active.add(active)
        const start = (metadata: Metadata, { client, index }: Channel): void => {
          if (failed) return
          // When the call is cancelled, Node ends its stream first, as though all had been said: without the digest that is announced
          // here, the server keeps nothing.
          const announced = metadata.clone()
          announced.set('millrace-digest', 'trailer')
          const stream = client.makeClientStreamRequest(path, serialize, deserialize, announced, { deadline }, (error, response) => {
            if (error) reject(this.#failure(error, index))
            else resolve(response as ResponseOf<P>)
          })
          cancel = () => stream.cancel()
          // What the source fails with is what the caller sees; the server forgets what has come.
          send(stream, requests).catch((error: unknown) => active!.fail(errorFrom(error)))
        }
        this.#prepare(timeoutMs, start, (error) => reject(errorFrom(error)))
      })
    } finally {
      this.#active.delete(active!)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  duplex<P extends DuplexMethod>(method: P, handlers: DuplexHandlers<ResponseOf<P>>): DuplexCall<RequestOf<P>> {
    const { path, serialize, deserialize } = grpcMethods[method]
    const duplex = new GrpcDuplex<RequestOf<P>, ResponseOf<P>>(handlers, (call) => this.#active.delete(call))
    this.#active.add(duplex)
    const start = (metadata: Metadata, { client, index }: Channel): void =>
      duplex.open(client.makeBidiStreamRequest(path, serialize, deserialize, metadata), (error) => this.#failure(error, index))
    this.#prepare(undefined, start, (error) => duplex.fail(error))
    return duplex
  }

  follow(events: FollowEvents, clock: Clock): FollowSource {
    return new DuplexSource(this, events, clock)
  }

  async ready({ signal, timeoutMs }: TransportCall): Promise<void> {
    signal?.throwIfAborted()
    const aborted = new Promise<never>((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new AbortError(signal.reason)), { once: true })
    })
    const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs
    if (await Promise.race([this.#endpoints.ready(deadline), aborted])) return
    const message = `No connection to '${this.#options.endpoint}' within ${timeoutMs} ms. Does the server run there?`
    throw new UnavailableError({ reason: 'UNAVAILABLE', message })
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const active of [...this.#active]) active.fail(closedError())
    this.#endpoints.close()
  }

  /** Gets what a call needs and starts it: in the same turn when the secret is known and a connection stands. */
  #prepare(timeoutMs: number | undefined, start: (metadata: Metadata, channel: Channel) => void, fail: (error: unknown) => void): void {
    const metadata = this.#closed ? Promise.reject(closedError()) : this.#authorize()
    const channel = this.#closed ? Promise.reject(closedError()) : this.#endpoints.channel(timeoutMs)
    if (!(metadata instanceof Promise) && !(channel instanceof Promise)) start(metadata, channel)
    else {
      Promise.all([metadata, channel]).then((prepared) => {
        if (this.#closed) fail(closedError())
        else start(...prepared)
      }, fail)
    }
  }

  /** A call failed. A server that cannot be reached, stops, or cannot work now is left for another. */
  #failure(failure: ServiceError, index: number): MillraceError {
    const error = errorFromGrpc(failure, this.#options.endpoint)
    if (error.code === 'UNAVAILABLE') this.#endpoints.leave(index)
    return error
  }

  /** The call's metadata: at once when the secret is known, else a promise. */
  #authorize(): Metadata | Promise<Metadata> {
    const token = this.#options.credentials.get()
    if (!(token instanceof Promise)) return this.#metadataFor(token)
    return token.then((fetched) => this.#metadataFor(fetched))
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

/** Sends requests as fast as the network takes them; stops asking for more when the call is over. */
async function send<Req>(stream: ClientWritableStream<Req>, requests: AsyncIterable<Req>): Promise<void> {
  let isOver = false
  let wake = (): void => {}
  const over = (): void => {
    isOver = true
    wake()
  }
  stream.on('close', over).on('error', over).on('status', over)
  for await (const request of requests) {
    if (isOver) return
    if (stream.write(request)) continue
    await new Promise<void>((resolve) => {
      wake = resolve
      stream.once('drain', resolve)
      if (isOver) resolve()
    })
  }
  stream.end()
}

function createSha256(): Hasher {
  const hash = createHash('sha256')
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('hex') }
}

function deadlineOf({ timeoutMs }: TransportCall): number | undefined {
  return timeoutMs === undefined ? undefined : Date.now() + timeoutMs
}

function closedError(): UnavailableError {
  return new UnavailableError({ reason: 'UNAVAILABLE', message: 'This client is closed.' })
}
