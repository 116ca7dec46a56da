import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as grpc from '@grpc/grpc-js'
import * as protoLoader from '@grpc/proto-loader'

/** How proto-loader shows messages in these tests: `longs` as text, enums by name, oneofs by the field that is set. */
const loaderOptions = { keepCase: false, longs: String, enums: String, defaults: true, oneofs: true } as const

/** The folder of the .proto files that `@millrace/protocol` ships. */
export const protoFolder = join(dirname(fileURLToPath(import.meta.resolve('@millrace/protocol/package.json'))), 'proto')

/** The services of the contract by name. */
export type ServiceName =
  | 'PipelineService'
  | 'QueueService'
  | 'ScheduleService'
  | 'StateService'
  | 'TaskService'
  | 'WorkerService'
  | 'KeyService'
  | 'KvService'
  | 'StreamService'
  | 'TokenService'
  | 'AccountService'
  | 'ClusterService'
  | 'TransactionService'
  | 'SchemaService'
  | 'WebhookService'
  | 'DatabaseService'
  | 'TableService'
  | 'VectorService'
  | 'ObjectService'

const definition = protoLoader.loadSync(
  [
    'pipeline',
    'queue',
    'schedule',
    'state',
    'task',
    'worker',
    'key',
    'kv',
    'stream',
    'token',
    'account',
    'cluster',
    'transaction',
    'schema',
    'webhook',
    'database',
    'table',
    'vector',
    'object',
  ].map((name) => `millrace/v1/${name}_service.proto`),
  { ...loaderOptions, includeDirs: [protoFolder] },
)

/** All of `millrace.v1`. */
export const millrace = (grpc.loadPackageDefinition(definition).millrace as grpc.GrpcObject).v1 as unknown as Readonly<
  Record<ServiceName, grpc.ServiceClientConstructor>
>

/** Every RPC of the contract: `QueueService/EnqueueJobs`. */
export const everyRpc: readonly {
  readonly service: ServiceName
  readonly method: string
  readonly requestStream: boolean
  readonly responseStream: boolean
}[] = Object.entries(millrace).flatMap(([service, client]) =>
  'service' in client
    ? Object.entries(client.service).map(([method, { requestStream, responseStream }]) => ({
        service: service as ServiceName,
        method,
        requestStream,
        responseStream,
      }))
    : [],
)

/** Loads a service of a .proto file of these tests. */
export function loadOwn(file: string, packageName: readonly string[], service: string): grpc.ServiceClientConstructor {
  const loaded = grpc.loadPackageDefinition(protoLoader.loadSync(fileURLToPath(new URL(`protos/${file}`, import.meta.url)), loaderOptions))
  const scope = packageName.reduce<grpc.GrpcObject>((object, name) => object[name] as grpc.GrpcObject, loaded)
  return scope[service] as unknown as grpc.ServiceClientConstructor
}

/** Metadata with a key, and a namespace when one is given. */
export function metadata(key?: string, namespace?: string): grpc.Metadata {
  const result = new grpc.Metadata()
  if (key !== undefined) result.set('x-api-key', key)
  if (namespace !== undefined) result.set('millrace-namespace', namespace)
  return result
}

/** JSON as payload bytes. */
export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

type Unary = (
  request: object,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  callback: (error: grpc.ServiceError | null, response: unknown) => void,
) => grpc.ClientUnaryCall

type Sending = (
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  callback: (error: grpc.ServiceError | null, response: unknown) => void,
) => grpc.ClientWritableStream<object>

/** Where and as whom to call. */
export interface RawOptions {
  readonly endpoint: string
  readonly key?: string
  readonly namespace?: string
  readonly channel?: grpc.ChannelOptions
}

/** A plain client of one service; `Res` is what the test expects the answer to look like. */
export interface RawClient extends Disposable {
  readonly client: grpc.Client
  readonly metadata: grpc.Metadata
  /** Calls a unary method. Rejects with grpc-js's `ServiceError`. */
  call<Res>(method: string, request?: object, options?: grpc.CallOptions): Promise<Res>
  /** Opens a server-streaming method. */
  open(method: string, request: object): grpc.ClientReadableStream<unknown>
  /** Calls a method with many requests and one answer. */
  send<Res>(method: string, requests: readonly object[]): Promise<Res>
  /** Opens a bidirectional method. */
  talk(method: string): grpc.ClientDuplexStream<object, unknown>
}

/** Makes a client of a service. */
export function rawClient(service: ServiceName | grpc.ServiceClientConstructor, options: RawOptions): RawClient {
  const { endpoint, key, namespace, channel } = options
  const Client = typeof service === 'string' ? millrace[service] : service
  const client = new Client(endpoint, grpc.credentials.createInsecure(), channel)
  const meta = metadata(key, namespace)
  const methodOf = <F>(name: string): F => {
    const method = client[name]
    if (!method) throw new TypeError(`The service has no method ${name}.`)
    return method.bind(client) as F
  }
  return {
    client,
    metadata: meta,
    call: <Res>(method: string, request: object = {}, callOptions: grpc.CallOptions = {}) =>
      new Promise<Res>((resolve, reject) => {
        const call = methodOf<Unary>(method)
        call(request, meta, { deadline: Date.now() + 20_000, ...callOptions }, (error, response) => {
          if (error) reject(error)
          else resolve(response as Res)
        })
      }),
    open: (method, request) =>
      methodOf<(request: object, metadata: grpc.Metadata) => grpc.ClientReadableStream<unknown>>(method)(request, meta),
    send: <Res>(method: string, requests: readonly object[]) =>
      new Promise<Res>((resolve, reject) => {
        const call = methodOf<Sending>(method)(meta, { deadline: Date.now() + 20_000 }, (error, response) => {
          if (error) reject(error)
          else resolve(response as Res)
        })
        for (const request of requests) call.write(request)
        call.end()
      }),
    talk: (method) => methodOf<(metadata: grpc.Metadata) => grpc.ClientDuplexStream<object, unknown>>(method)(meta),
    [Symbol.dispose]: () => client.close(),
  }
}

/** Any stream of answers. */
export type Answers = grpc.ClientReadableStream<unknown> | grpc.ClientDuplexStream<object, unknown>

/** Reads a stream message by message. `next` rejects when the stream fails or ends first, or sends nothing in time. */
export function reader<T>(stream: Answers): { next(within?: number): Promise<T> } {
  const iterator = stream[Symbol.asyncIterator]()
  return {
    async next(within = 10_000) {
      const timeout = new AbortController()
      const late = sleep(within, undefined, { signal: timeout.signal }).then(() =>
        Promise.reject(new Error(`No message within ${within} ms.`)),
      )
      try {
        const { done, value } = await Promise.race([iterator.next(), late])
        if (done) throw new Error('The stream ended.')
        return value as T
      } finally {
        late.catch(() => {}) // the timer that was not needed
        timeout.abort()
      }
    },
  }
}

/** How a stream ended. Rejects when it does not end in time. */
export function streamStatus(stream: Answers, within = 10_000): Promise<grpc.StatusObject> {
  stream.on('error', () => {}) // the same news as 'status'
  stream.resume()
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`The stream did not end within ${within} ms.`)), within)
    stream.once('status', (status) => {
      clearTimeout(late)
      resolve(status)
    })
  })
}

/** How a call failed. Rejects when it succeeded. */
export async function failure(call: Promise<unknown>): Promise<grpc.ServiceError> {
  try {
    await call
  } catch (error) {
    if (error instanceof Error && 'code' in error) return error as grpc.ServiceError
    throw error
  }
  throw new Error('The call succeeded.')
}
