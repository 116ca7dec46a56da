import { type ChannelOptions, Client, compressionAlgorithms, credentials } from '@grpc/grpc-js'
import type { TlsOptions } from '@millrace/core'
import type { GrpcOptions } from '../options.ts'
import type { Endpoint } from './endpoint.ts'

/** Largest answer that is taken: a batch of jobs with their payloads. */
const maxReceiveBytes = 64 << 20
/** Bytes that may be under way on one stream or connection before the reader says it has read them. */
const flowControlWindow = 4 << 20

/** Opens the client's channels to one endpoint. They connect when they are first used. */
export function createChannels({ target, tls }: Endpoint, options: GrpcOptions): Client[] {
  const channelCredentials = tls || options.tls ? createTls(options.tls ?? {}) : credentials.createInsecure()
  const channelOptions = createChannelOptions(options)
  return Array.from({ length: options.maxConnections }, () => new Client(target, channelCredentials, channelOptions))
}

function createChannelOptions({ keepalive, compression, tls }: GrpcOptions): ChannelOptions {
  return {
    'grpc.max_receive_message_length': maxReceiveBytes,
    'grpc.max_send_message_length': -1,
    'grpc-node.flow_control_window': flowControlWindow,
    'grpc.enable_channelz': 0,
    // Calls are tried again by the client, which knows what is safe.
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
    // Channels would else share a connection, and the waits of one that cannot connect would be those of all clients.
    'grpc.use_local_subchannel_pool': 1,
    ...(keepalive && {
      'grpc.keepalive_time_ms': keepalive.intervalMs,
      'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
      'grpc.keepalive_permit_without_calls': 1,
    }),
    ...(compression === 'gzip' && { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip }),
    ...(tls?.serverName && { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName }),
  }
}

function createTls({ ca, key, cert }: TlsOptions) {
  return credentials.createSsl(toBuffer(ca), toBuffer(key), toBuffer(cert))
}

function toBuffer(pem: string | Uint8Array | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem)
}
