import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AccountServiceDefinition,
  ClusterServiceDefinition,
  DatabaseServiceDefinition,
  KeyServiceDefinition,
  KvServiceDefinition,
  type NewJob,
  type NewTask,
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
  WebhookServiceDefinition,
  WorkerServiceDefinition,
} from '@millrace/protocol'
import type { ErrorDetails } from '@millrace/protocol/errors'
import { decodeErrorDetails, grpcDefinition, statusDetailsTrailer } from '@millrace/protocol/grpc'
import { type CallOptions, ClientError, type ClientMiddleware, createChannel, createClientFactory, Metadata } from 'nice-grpc'
import { onTestFinished } from 'vitest'
import type { Clock } from '../src/clock.ts'
import type { ServerSettings } from '../src/config/settings.ts'
import { type RunningServer, startServer } from '../src/serve.ts'

/** A new empty folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A server on a free port and an empty folder, stopped after the test; `admin` is a client with every scope. */
export async function startTestServer(settings: ServerSettings = {}, clock?: Clock) {
  const data = await temporaryFolder()
  const server = await startServer(
    { data, grpc: '127.0.0.1:0', dev: true, logLevel: 'silent', shutdownGrace: '2s', ...settings },
    { clock },
  )
  onTestFinished(() => server.stop())
  return { server, data, admin: connectTo(server, server.key) }
}

/** A call failed, with what the server said of it. */
export class Failure extends Error {
  readonly code: number
  readonly details: ErrorDetails
  /** Size of the trailers, as headers count it. */
  readonly trailerBytes: number
  constructor(error: ClientError, trailer: Metadata | undefined) {
    super(error.message)
    const bytes = trailer?.get(statusDetailsTrailer)
    this.code = error.code
    this.details = decodeErrorDetails(error.code, error.details, bytes)
    this.trailerBytes = encodeURI(error.details).length + Math.ceil((bytes?.length ?? 0) / 3) * 4
  }
}

const explain: ClientMiddleware = async function* (call, options: CallOptions) {
  let trailer: Metadata | undefined
  try {
    return yield* call.next(call.request, { ...options, onTrailer: (received) => (trailer = received) })
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
    throw new Failure(error, trailer)
  }
}

/** Clients of every service of a server, closed after the test. */
export function connectTo(server: Pick<RunningServer, 'grpc'>, key: string | undefined, namespace?: string) {
  const channel = createChannel(server.grpc, undefined, {
    'grpc.max_receive_message_length': 64 << 20,
    'grpc.use_local_subchannel_pool': 1,
  })
  onTestFinished(() => channel.close())
  const metadata = Metadata({ ...(key ? { 'x-api-key': key } : {}), ...(namespace ? { 'millrace-namespace': namespace } : {}) })
  const factory = createClientFactory().use(explain)
  const options = { '*': { metadata } }
  return {
    channel,
    tasks: factory.create(grpcDefinition(TaskServiceDefinition), channel, options),
    queues: factory.create(grpcDefinition(QueueServiceDefinition), channel, options),
    pipelines: factory.create(grpcDefinition(PipelineServiceDefinition), channel, options),
    schedules: factory.create(grpcDefinition(ScheduleServiceDefinition), channel, options),
    states: factory.create(grpcDefinition(StateServiceDefinition), channel, options),
    workers: factory.create(grpcDefinition(WorkerServiceDefinition), channel, options),
    cluster: factory.create(grpcDefinition(ClusterServiceDefinition), channel, options),
    streams: factory.create(grpcDefinition(StreamServiceDefinition), channel, options),
    kv: factory.create(grpcDefinition(KvServiceDefinition), channel, options),
    tables: factory.create(grpcDefinition(TableServiceDefinition), channel, options),
    account: factory.create(grpcDefinition(AccountServiceDefinition), channel, options),
    keys: factory.create(grpcDefinition(KeyServiceDefinition), channel, options),
    databases: factory.create(grpcDefinition(DatabaseServiceDefinition), channel, options),
    schemas: factory.create(grpcDefinition(SchemaServiceDefinition), channel, options),
    objects: factory.create(grpcDefinition(ObjectServiceDefinition), channel, options),
    webhooks: factory.create(grpcDefinition(WebhookServiceDefinition), channel, options),
    tokens: factory.create(grpcDefinition(TokenServiceDefinition), channel, options),
  }
}

/** Clients of a server. */
export type Clients = ReturnType<typeof connectTo>

/** How a call failed. */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  try {
    await call
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('the call succeeded')
}

/** A task with nothing special about it. */
export function newTask(task: Partial<NewTask> = {}): NewTask {
  return {
    function: 'work',
    payload: Buffer.from('null'),
    contentType: '',
    queue: '',
    priority: 0,
    timeoutMs: 0,
    idempotencyKey: '',
    labels: {},
    headers: {},
    delayMs: 0,
    runAt: undefined,
    retry: undefined,
    concurrency: undefined,
    rateLimit: undefined,
    fairKey: '',
    debounce: undefined,
    deduplicate: undefined,
    expiresInMs: 0,
    stateKey: '',
    initialState: undefined,
    stateTtlMs: 0,
    teeRequired: false,
    ...task,
  }
}

/** A job with nothing special about it. */
export function newJob(job: Partial<NewJob> = {}): NewJob {
  return {
    payload: Buffer.from('null'),
    contentType: '',
    priority: 0,
    maxAttempts: 0,
    timeoutMs: 0,
    idempotencyKey: '',
    headers: {},
    delayMs: 0,
    runAt: undefined,
    concurrency: undefined,
    rateLimit: undefined,
    fairKey: '',
    debounce: undefined,
    deduplicate: undefined,
    expiresInMs: 0,
    ...job,
  }
}

/** What a client sends over a stream, one message after the other. */
export class Outgoing<T> implements AsyncIterable<T> {
  readonly #messages: T[] = []
  #ended = false
  #wake = () => {}

  /** Sends a message. */
  send(message: T): void {
    this.#messages.push(message)
    this.#wake()
  }

  /** Closes the client's side. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#messages.length > 0) yield this.#messages.shift()!
      if (this.#ended) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
