import type {
  AccountServiceDefinition,
  ClusterServiceDefinition,
  DatabaseServiceDefinition,
  KeyServiceDefinition,
  KvServiceDefinition,
  ObjectServiceDefinition,
  PipelineServiceDefinition,
  QueueServiceDefinition,
  ScheduleServiceDefinition,
  SchemaServiceDefinition,
  StateServiceDefinition,
  StreamServiceDefinition,
  TableServiceDefinition,
  TaskServiceDefinition,
  TokenServiceDefinition,
  TransactionServiceDefinition,
  VectorServiceDefinition,
  WebhookServiceDefinition,
  WorkerServiceDefinition,
} from '@millrace/protocol'
import type { Clock } from './clock.ts'
import type { ClientContext } from './context.ts'
import type { FollowEvents, FollowSource } from './follow/follow-source.ts'
import type { RowCalls } from './tables/row-calls.ts'

type MessageOf<C> = C extends { decode(input: never, length?: number): infer T } ? T : never

/** One method of the contract. */
interface Method<Req, Res, ReqStream, ResStream> {
  readonly request: Req
  readonly response: Res
  readonly requestStream: ReqStream
  readonly responseStream: ResStream
}

type MethodsOf<S extends { readonly name: string; readonly methods: object }> = {
  [M in keyof S['methods'] as S['methods'][M] extends { readonly name: infer N extends string }
    ? `${S['name']}/${N}`
    : never]: S['methods'][M] extends {
    readonly requestType: infer Req
    readonly responseType: infer Res
    readonly requestStream: infer ReqStream
    readonly responseStream: infer ResStream
  }
    ? Method<MessageOf<Req>, MessageOf<Res>, ReqStream, ResStream>
    : never
}

/** Every method of the contract by its path, such as `TaskService/GetTask`. */
export interface MethodMap
  extends MethodsOf<AccountServiceDefinition>,
    MethodsOf<ClusterServiceDefinition>,
    MethodsOf<DatabaseServiceDefinition>,
    MethodsOf<KeyServiceDefinition>,
    MethodsOf<PipelineServiceDefinition>,
    MethodsOf<KvServiceDefinition>,
    MethodsOf<ObjectServiceDefinition>,
    MethodsOf<StreamServiceDefinition>,
    MethodsOf<QueueServiceDefinition>,
    MethodsOf<ScheduleServiceDefinition>,
    MethodsOf<SchemaServiceDefinition>,
    MethodsOf<StateServiceDefinition>,
    MethodsOf<TableServiceDefinition>,
    MethodsOf<TaskServiceDefinition>,
    MethodsOf<TokenServiceDefinition>,
    MethodsOf<TransactionServiceDefinition>,
    MethodsOf<VectorServiceDefinition>,
    MethodsOf<WebhookServiceDefinition>,
    MethodsOf<WorkerServiceDefinition> {}

type Shaped<ReqStream extends boolean, ResStream extends boolean> = {
  [P in keyof MethodMap]: MethodMap[P] extends { requestStream: ReqStream; responseStream: ResStream } ? P : never
}[keyof MethodMap]

/** Paths of methods with one request and one response. */
export type UnaryMethod = Shaped<false, false>
/** Paths of methods with one request and many responses. */
export type ServerStreamMethod = Shaped<false, true>
/** Paths of methods with many requests and one response. */
export type ClientStreamMethod = Shaped<true, false>
/** Paths of methods with many of both. */
export type DuplexMethod = Shaped<true, true>
/** What a method is asked. */
export type RequestOf<P extends keyof MethodMap> = MethodMap[P]['request']
/** What a method answers. */
export type ResponseOf<P extends keyof MethodMap> = MethodMap[P]['response']

/** What a transport is told about one call. */
export interface TransportCall {
  /** Ends the call with `TimeoutError` after so many milliseconds. Absent: never. */
  readonly timeoutMs?: number
  /** Ends the call with `AbortError`. */
  readonly signal?: AbortSignal
}

/** What an open duplex call tells. Called in order; nothing after `end`. Must not throw. */
export interface DuplexHandlers<Res> {
  /** A message came. */
  message(message: Res): void
  /** The call is over: well, or with an error. */
  end(error?: Error): void
}

/**
 * An open duplex call. It buffers what the network does not take at once: whoever sends bounds what is under way by the
 * answers that come back.
 */
export interface DuplexCall<Req> {
  /** Sends a message; does nothing when the call is over. */
  send(message: Req): void
  /** Says that no more messages follow. */
  finish(): void
  /** Breaks the call off. `end` is not called. */
  cancel(): void
}

/** A request over HTTP whose body is no message. */
export interface RawRequest {
  /** `GET`, `PUT`. */
  readonly verb: string
  /** Path and query. */
  readonly path: string
  /** Headers beside those that every call has. */
  readonly headers: Readonly<Record<string, string>>
  /** The body. */
  readonly body?: Uint8Array<ArrayBuffer> | Blob | string
}

/** A call over HTTP under way. */
export interface RawCall {
  /** Makes a request of it; resolves with a good answer, or 304, whose body is not read yet. */
  fetch(request: RawRequest): Promise<Response>
  /** Whatever was thrown by it, or while a body was read, as an error. */
  failure(thrown: unknown): Error
  /** Ends it, when the body is read or not wanted. */
  close(): void
}

/** Computes a SHA-256 bit by bit. */
export interface Hasher {
  /** Adds bytes. */
  update(bytes: Uint8Array): void
  /** The digest in hex; after it nothing is added. */
  digest(): string
}

/**
 * Carries calls to a server. Messages are complete objects of `@millrace/protocol`: every field is there. Whatever goes
 * wrong becomes a `MillraceError`. Connects by itself when first used and again after a break. Calls are made once: who
 * calls decides what is tried again.
 */
export interface Transport {
  /** Makes a call with one answer. */
  unary<P extends UnaryMethod>(method: P, request: RequestOf<P>, call: TransportCall): Promise<ResponseOf<P>>
  /** Makes a call with many answers. They are read as fast as they are asked for; `return()` breaks the call off. */
  serverStream<P extends ServerStreamMethod>(method: P, request: RequestOf<P>, call: TransportCall): AsyncIterable<ResponseOf<P>>
  /** Follows tasks in the way that suits the transport: a `DuplexSource` where there are duplex calls, else a `SetSource`. */
  follow(events: FollowEvents, clock: Clock): FollowSource
  /** Opens a call with many messages both ways. Absent when the transport has none. */
  duplex?<P extends DuplexMethod>(method: P, handlers: DuplexHandlers<ResponseOf<P>>): DuplexCall<RequestOf<P>>
  /** Makes a call with many requests and one answer; asks for the next one when the network has taken the one before. Absent when the transport has none. */
  clientStream?<P extends ClientStreamMethod>(method: P, requests: AsyncIterable<RequestOf<P>>, call: TransportCall): Promise<ResponseOf<P>>
  /** Begins a call whose body, or whose answer's, is no message. Absent when the transport is not HTTP. */
  begin?(call: TransportCall): RawCall
  /** @internal Lets calls on rows that are made at the same time share requests. Absent: each is a request of its own. */
  readonly shareRowCalls?: (context: ClientContext) => RowCalls
  /** Begins a SHA-256. Absent where the platform has none that is fed bit by bit. */
  readonly createHasher?: () => Hasher
  /** Resolves when a connection stands; rejects with `UnavailableError` when none does in time. */
  ready(call: TransportCall): Promise<void>
  /** Ends every call and connection. */
  close(): Promise<void>
}
