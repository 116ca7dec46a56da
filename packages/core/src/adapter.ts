// What a transport and a runtime such as the worker are built with.

export { Account } from './account.ts'
export { Outage } from './calls/outage.ts'
export { ClientBase, contextOf } from './client-base.ts'
export { type Clock, systemClock } from './clock.ts'
export { Cluster } from './cluster.ts'
export type { ClientContext } from './context.ts'
export { type Credentials, createCredentials } from './credentials.ts'
export { Database } from './databases/database.ts'
export { Databases } from './databases/databases.ts'
export { toMs } from './durations.ts'
export { Emitter } from './emitter.ts'
export { invalid, noAnswer, unavailable } from './errors/errors.ts'
export { errorFrom, errorFromDetails, errorFromItem } from './errors/to-error.ts'
export { DuplexSource } from './follow/duplex-source.ts'
export type { FollowEvents, FollowedTask, FollowSource } from './follow/follow-source.ts'
export { SetSource } from './follow/set-source.ts'
export { Keys } from './keys.ts'
export { Kv } from './kv/kv.ts'
export { KvStores } from './kv/kv-stores.ts'
export { MillraceBase } from './millrace-base.ts'
export { Bucket } from './objects/bucket.ts'
export { Buckets } from './objects/buckets.ts'
export { type CompiledOptions, compileOptions, type Environment } from './options.ts'
export { decodePayload, type EncodedPayload, encodePayload } from './payload.ts'
export { Pipelines } from './pipelines/pipelines.ts'
export { Queue } from './queues/queue.ts'
export { Queues } from './queues/queues.ts'
export { Schedules } from './schedules/schedules.ts'
export { Schemas } from './schemas.ts'
export { States } from './states.ts'
export { Stream } from './streams/stream.ts'
export { Streams } from './streams/streams.ts'
export type { RowCalls } from './tables/row-calls.ts'
export { shareRowCalls } from './tables/shared-row-calls.ts'
export { type AnyRow, Table } from './tables/table.ts'
export { Tables } from './tables/tables.ts'
export type { TableOptions } from './tables/types.ts'
export { toStateValue } from './tasks/convert.ts'
export { Tasks } from './tasks/tasks.ts'
export { Tokens } from './tokens.ts'
export { writeTransaction } from './transactions/write-transaction.ts'
export type {
  ClientStreamMethod,
  DuplexCall,
  DuplexHandlers,
  DuplexMethod,
  Hasher,
  MethodMap,
  RawCall,
  RawRequest,
  RequestOf,
  ResponseOf,
  ServerStreamMethod,
  Transport,
  TransportCall,
  UnaryMethod,
} from './transport.ts'
export { VectorCollections } from './vectors/vector-collections.ts'
export { Vectors } from './vectors/vectors.ts'
export { Webhooks } from './webhooks.ts'
export { toInt, toJobError, toText } from './wire.ts'
