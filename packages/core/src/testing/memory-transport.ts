import type { Clock } from '../clock.ts'
import type { Credentials } from '../credentials.ts'
import { AbortError, TimeoutError } from '../errors/errors.ts'
import { DuplexSource } from '../follow/duplex-source.ts'
import type { FollowEvents, FollowSource } from '../follow/follow-source.ts'
import { SetSource } from '../follow/set-source.ts'
import { shareRowCalls } from '../tables/shared-row-calls.ts'
import type {
  DuplexCall,
  DuplexHandlers,
  DuplexMethod,
  MethodMap,
  RequestOf,
  ResponseOf,
  ServerStreamMethod,
  Transport,
  TransportCall,
  UnaryMethod,
} from '../transport.ts'

/** A call that a test's transport has seen. */
export interface SeenCall<P extends keyof MethodMap = keyof MethodMap> {
  readonly method: P
  readonly request: RequestOf<P>
  readonly call: TransportCall
}

/** The server's end of a duplex call. */
export class MemoryDuplex<P extends DuplexMethod> implements DuplexCall<RequestOf<P>> {
  readonly sent: RequestOf<P>[] = []
  readonly #handlers: DuplexHandlers<ResponseOf<P>>
  over = false

  constructor(handlers: DuplexHandlers<ResponseOf<P>>) {
    this.#handlers = handlers
  }

  send(message: RequestOf<P>): void {
    if (!this.over) this.sent.push(message)
  }

  finish(): void {
    this.over = true
  }

  cancel(): void {
    this.over = true
  }

  /** The server says something. */
  say(message: ResponseOf<P>): void {
    if (!this.over) this.#handlers.message(message)
  }

  /** The call breaks, or the server ends it. */
  break(error?: Error): void {
    if (this.over) return
    this.over = true
    this.#handlers.end(error)
  }
}

type UnaryHandler<P extends UnaryMethod> = (request: RequestOf<P>, call: TransportCall) => ResponseOf<P> | Promise<ResponseOf<P>>
type StreamHandler<P extends ServerStreamMethod> = (request: RequestOf<P>, call: TransportCall) => AsyncIterable<ResponseOf<P>>

/** A transport whose server is the test. */
export class MemoryTransport implements Transport {
  readonly calls: SeenCall[] = []
  readonly duplexes: MemoryDuplex<DuplexMethod>[] = []
  readonly #clock: Clock
  readonly #unary = new Map<string, UnaryHandler<UnaryMethod>>()
  readonly #streams = new Map<string, StreamHandler<ServerStreamMethod>>()
  closed = false
  /** What real transports put into each call. */
  credentials: Credentials | undefined
  duplex: Transport['duplex']
  readonly shareRowCalls = shareRowCalls

  constructor(clock: Clock, options: { readonly duplex?: boolean } = {}) {
    this.#clock = clock
    if (options.duplex ?? true) {
      this.duplex = (_method, handlers) => {
        const duplex = new MemoryDuplex(handlers as DuplexHandlers<ResponseOf<DuplexMethod>>)
        this.duplexes.push(duplex)
        return duplex
      }
    }
  }

  /** Answers a method. */
  on<P extends UnaryMethod>(method: P, handler: UnaryHandler<P>): this {
    this.#unary.set(method, handler as unknown as UnaryHandler<UnaryMethod>)
    return this
  }

  /** Answers a streaming method. */
  onStream<P extends ServerStreamMethod>(method: P, handler: StreamHandler<P>): this {
    this.#streams.set(method, handler as unknown as StreamHandler<ServerStreamMethod>)
    return this
  }

  /** What was asked of a method, in order. */
  requests<P extends keyof MethodMap>(method: P): RequestOf<P>[] {
    return this.calls.filter((seen) => seen.method === method).map((seen) => seen.request as RequestOf<P>)
  }

  async unary<P extends UnaryMethod>(method: P, request: RequestOf<P>, call: TransportCall): Promise<ResponseOf<P>> {
    this.calls.push({ method, request, call })
    const handler = this.#unary.get(method)
    if (!handler) throw new Error(`The test does not answer ${method}.`)
    const answer = new Promise<ResponseOf<P>>((resolve) => resolve(handler(request as RequestOf<UnaryMethod>, call) as ResponseOf<P>))
    let cancel: (() => void) | undefined
    const end = new Promise<never>((_resolve, reject) => {
      cancel = this.#clock.timer(call.timeoutMs ?? Number.POSITIVE_INFINITY, () => {
        reject(new TimeoutError({ reason: 'DEADLINE_EXCEEDED', message: `No answer within ${call.timeoutMs} ms.` }))
      })
      call.signal?.addEventListener('abort', () => reject(new AbortError(call.signal?.reason)))
    })
    return Promise.race([answer, end]).finally(cancel)
  }

  serverStream<P extends ServerStreamMethod>(method: P, request: RequestOf<P>, call: TransportCall): AsyncIterable<ResponseOf<P>> {
    this.calls.push({ method, request, call })
    const handler = this.#streams.get(method)
    if (!handler) throw new Error(`The test does not answer ${method}.`)
    return handler(request as RequestOf<ServerStreamMethod>, call) as AsyncIterable<ResponseOf<P>>
  }

  follow(events: FollowEvents, clock: Clock): FollowSource {
    return this.duplex ? new DuplexSource(this, events, clock) : new SetSource(this, events, clock)
  }

  async ready(): Promise<void> {}

  async close(): Promise<void> {
    this.closed = true
  }
}
