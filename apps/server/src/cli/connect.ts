import { ClusterServiceDefinition, KeyServiceDefinition, QueueServiceDefinition, TaskServiceDefinition } from '@millrace/protocol'
import type { ErrorDetails } from '@millrace/protocol/errors'
import { decodeErrorDetails, grpcDefinition, statusDetailsTrailer } from '@millrace/protocol/grpc'
import { ChannelCredentials, ClientError, type ClientMiddleware, createChannel, createClientFactory, Metadata } from 'nice-grpc'
import { type Invocation, UsageError } from './command.ts'

/** A call failed; what is known of why. */
export class CallError extends Error {
  override readonly name = 'CallError'
  /** The error as the server told it. */
  readonly details: ErrorDetails

  /** @param message - for people. @param details - as the server told it. */
  constructor(message: string, details: ErrorDetails) {
    super(message)
    this.details = details
  }
}

/** Largest answer taken, in bytes. */
const mostBytes = 64 * 1024 * 1024

/**
 * Connects to the server that the flags or the environment name.
 *
 * @returns clients of its services; close them when done.
 * @throws {@link UsageError} when there is no key.
 */
export function connect({ flags, env }: Pick<Invocation, 'flags' | 'env'>) {
  const given = (flag: string, variable: string) => (flags[flag] as string | undefined) ?? env[variable]
  const endpoint = given('endpoint', 'MILLRACE_ENDPOINT') || 'localhost:50051'
  const key = given('key', 'MILLRACE_API_KEY')
  if (!key) throw new UsageError('There is no API key: give --key KEY, or set MILLRACE_API_KEY')
  const metadata = Metadata({ 'x-api-key': key, 'millrace-namespace': given('namespace', 'MILLRACE_NAMESPACE') || 'default' })
  const secure = endpoint.startsWith('https://')
  const channel = createChannel(endpoint, secure ? ChannelCredentials.createSsl() : ChannelCredentials.createInsecure(), {
    'grpc.max_receive_message_length': mostBytes,
    'grpc.enable_channelz': 0,
  })
  const factory = createClientFactory().use(callWith(metadata, endpoint))
  return {
    tasks: factory.create(grpcDefinition(TaskServiceDefinition), channel),
    queues: factory.create(grpcDefinition(QueueServiceDefinition), channel),
    cluster: factory.create(grpcDefinition(ClusterServiceDefinition), channel),
    keys: factory.create(grpcDefinition(KeyServiceDefinition), channel),
    [Symbol.dispose]: () => channel.close(),
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
      const message = silent ? `There is no answer from ${endpoint} (${error.details}). Is the server running?` : details.message
      throw new CallError(message, details)
    }
  }
}

/** Clients of a server's services. */
export type Server = ReturnType<typeof connect>
