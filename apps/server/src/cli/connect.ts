import { readFileSync } from 'node:fs'
import {
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
  VectorServiceDefinition,
  WebhookServiceDefinition,
} from '@millrace/protocol'
import { decodeErrorDetails, grpcDefinition, statusDetailsTrailer, whyNotConnected } from '@millrace/protocol/grpc'
import { ChannelCredentials, ClientError, type ClientMiddleware, createChannel, createClientFactory, Metadata } from 'nice-grpc'
import { HealthDefinition } from 'nice-grpc-server-health'
import { CallError, type Invocation, UsageError } from './command.ts'

/** Largest answer taken, in bytes. */
const mostBytes = 64 * 1024 * 1024

/**
 * Connects to the server that the flags or the environment name.
 *
 * @returns clients of its services; close them when done.
 * @throws {@link UsageError} when there is no key.
 */
export function connect({ flags, env }: Pick<Invocation, 'flags' | 'env'>) {
  if (!keyOf({ flags, env })) throw new UsageError('There is no API key: give --key KEY, or set MILLRACE_API_KEY')
  return connectAnyway({ flags, env })
}

/** The key that the flags or the environment give. */
export function keyOf({ flags, env }: Pick<Invocation, 'flags' | 'env'>): string | undefined {
  return (flags.key as string | undefined) ?? env.MILLRACE_API_KEY
}

/** Connects, if need be without a key: for what servers tell everybody. */
export function connectAnyway({ flags, env }: Pick<Invocation, 'flags' | 'env'>) {
  const given = (flag: string, variable: string) => (flags[flag] as string | undefined) ?? env[variable]
  const endpoint = withPort(given('endpoint', 'MILLRACE_ENDPOINT') || 'localhost')
  // The variable is shared with programs, whose clients take several.
  if (endpoint.includes(','))
    throw new UsageError(`A command asks one server, and '${endpoint}' names several: give one with --endpoint HOST:PORT`)
  const key = keyOf({ flags, env })
  const metadata = Metadata({
    ...(key && { 'x-api-key': key }),
    'millrace-namespace': given('namespace', 'MILLRACE_NAMESPACE') || 'default',
    // Of bytes that are sent: without the digest after them they are not whole.
    'millrace-digest': 'trailer',
  })
  const channel = createChannel(endpoint, endpoint.startsWith('https://') ? tlsCredentials(flags) : ChannelCredentials.createInsecure(), {
    'grpc.max_receive_message_length': mostBytes,
    'grpc.enable_channelz': 0,
  })
  const factory = createClientFactory().use(callWith(metadata, endpoint))
  return {
    tasks: factory.create(grpcDefinition(TaskServiceDefinition), channel),
    queues: factory.create(grpcDefinition(QueueServiceDefinition), channel),
    pipelines: factory.create(grpcDefinition(PipelineServiceDefinition), channel),
    schedules: factory.create(grpcDefinition(ScheduleServiceDefinition), channel),
    states: factory.create(grpcDefinition(StateServiceDefinition), channel),
    cluster: factory.create(grpcDefinition(ClusterServiceDefinition), channel),
    streams: factory.create(grpcDefinition(StreamServiceDefinition), channel),
    kv: factory.create(grpcDefinition(KvServiceDefinition), channel),
    objects: factory.create(grpcDefinition(ObjectServiceDefinition), channel),
    account: factory.create(grpcDefinition(AccountServiceDefinition), channel),
    keys: factory.create(grpcDefinition(KeyServiceDefinition), channel),
    databases: factory.create(grpcDefinition(DatabaseServiceDefinition), channel),
    schemas: factory.create(grpcDefinition(SchemaServiceDefinition), channel),
    webhooks: factory.create(grpcDefinition(WebhookServiceDefinition), channel),
    tables: factory.create(grpcDefinition(TableServiceDefinition), channel),
    vectors: factory.create(grpcDefinition(VectorServiceDefinition), channel),
    probe: factory.create(grpcDefinition(HealthDefinition), channel),
    [Symbol.dispose]: () => channel.close(),
  }
}

/** The port of gRPC where none is given, as clients have it; nice-grpc would take that of HTTP. */
function withPort(endpoint: string): string {
  return /^(http:\/\/)?(\[[^\]]+\]|[^:/,]+)$/.test(endpoint) ? `${endpoint}:50051` : endpoint
}

function tlsCredentials(flags: Invocation['flags']): ChannelCredentials {
  const read = (flag: string): Buffer | null => {
    const path = flags[flag]
    if (typeof path !== 'string') return null
    try {
      return readFileSync(path)
    } catch (error) {
      throw new UsageError(`--${flag}: ${path} cannot be read (${(error as Error).message})`)
    }
  }
  try {
    return ChannelCredentials.createSsl(read('tls-ca'), read('tls-key'), read('tls-cert'))
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`The TLS files cannot be used (${(error as Error).message}); --tls-cert and --tls-key belong together`)
  }
}

/** Sends the headers with each call and makes its error one for people. */
function callWith(headers: Metadata, endpoint: string): ClientMiddleware {
  return async function* (call, options) {
    let trailer: Metadata | undefined
    const onTrailer = (received: Metadata) => {
      trailer = received
    }
    try {
      return yield* call.next(call.request, { ...options, metadata: headers, onTrailer })
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
      const details = decodeErrorDetails(error.code, error.details, trailer?.get(statusDetailsTrailer))
      const silent = details.reason === 'UNAVAILABLE' && !trailer?.has(statusDetailsTrailer)
      throw new CallError(silent ? noAnswer(endpoint, error.details) : details.message)
    }
  }
}

function noAnswer(endpoint: string, details: string): string {
  const why = whyNotConnected(details) ?? details
  // A server of HTTP alone answers gRPC's first bytes so; one without TLS, those of TLS.
  const hint = why.includes('Protocol error')
    ? ' The endpoint is the address of gRPC, not that of HTTP.'
    : why.includes('wrong version number')
      ? ' Without TLS, leave out https://.'
      : ''
  return `There is no answer from ${endpoint} (${why}). Is the server running?${hint}`
}

/** Clients of a server's services. */
export type Server = ReturnType<typeof connect>
