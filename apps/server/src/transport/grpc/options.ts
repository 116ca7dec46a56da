import type { ChannelOptions } from '@grpc/grpc-js'

const minute = 60_000
const mebibyte = 1024 ** 2

/** Bytes a request may have beyond one payload: the room of a batch. */
const batchRoom = 28 * mebibyte

/**
 * How the gRPC server treats connections: a peer that vanished is noticed within half a minute, connections that nobody
 * uses are closed, and all are renewed now and then, so that none leaks and load spreads over servers.
 *
 * @param payloadLimit - largest payload, in bytes.
 */
export function channelOptions(payloadLimit: number): ChannelOptions {
  return {
    'grpc.enable_channelz': 0, // it keeps a record of each call
    'grpc.max_receive_message_length': payloadLimit + batchRoom,
    'grpc.max_send_message_length': -1, // answers are bounded where they are made
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.max_connection_idle_ms': 30 * minute,
    'grpc.max_connection_age_ms': 4 * 60 * minute,
    'grpc.max_connection_age_grace_ms': 10 * minute,
  }
}
