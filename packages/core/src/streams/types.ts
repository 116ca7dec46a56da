import type { Duration } from '../durations.ts'
import type { CallOptions } from '../options.ts'
import type { SchemaVersion } from '../schemas.ts'

/** A message to write. */
export interface NewStreamMessage<T = unknown> {
  /** Any JSON value or a `Uint8Array`. At most the server's limit, 4 MiB by default. */
  readonly payload: T
  /** Headers for the reader. At most 64. */
  readonly headers?: Readonly<Record<string, string>>
  /** Messages with one key go to one partition, in the order they are written. At most 512 bytes. */
  readonly key?: string
  /** The partition, from 0. Default: by the key; without a key, the messages of a call go to one partition, those of the next call to the next. */
  readonly partition?: number
}

/** How messages are written. */
export interface WriteOptions extends CallOptions {
  /**
   * Names this write: the same again, within 24 hours, writes nothing and returns the first offsets. At most 64 characters. With a
   * producer's name and a number that it keeps, a producer that begins anew after a crash writes nothing twice.
   */
  readonly idempotencyKey?: string
  /** Which of a producer's writes it is. Not together with `idempotencyKey`. */
  readonly producer?: ProducerWrite
}

/**
 * One write of a producer. The same again writes nothing and returns the first offsets (none, when the producer has made more
 * than five writes since), until the producer has written nothing for 30 days: then it begins anew, with `seq` 0.
 */
export interface ProducerWrite {
  /** Names the producer within the stream: 1 to 255 characters of `A-Z a-z 0-9 . _ : / -`. */
  readonly id: string
  /** Counts its writes, from 0 without holes: one that leaves out others is a `ConflictError`. */
  readonly seq: number
  /** Whoever begins a higher one, with `seq` 0, takes the place of who wrote before, whose writes are a `ConflictError` from then on. Default 0. */
  readonly epoch?: number
}

/** A message as it was written. */
export interface StreamMessage<T = unknown> {
  /** Its place in its partition, from 0; without holes, but where compaction removed messages. */
  readonly offset: number
  /** Its partition, from 0. */
  readonly partition: number
  /** The payload. */
  readonly payload: T
  /** Headers given by the writer. */
  readonly headers: Readonly<Record<string, string>>
  /** The key, when it has one. */
  readonly key?: string
  /** When it was written. */
  readonly timestamp: Date
  /** The schema that the payload was checked against; absent when the stream had none. */
  readonly schema?: SchemaVersion
}

/**
 * Where reading begins: an offset; a time; the oldest kept message (`'earliest'`); after the newest (`'latest'`); after the last
 * that the group has processed (`'committed'`), or at the oldest when it has processed none.
 */
export type StartFrom = 'latest' | 'earliest' | 'committed' | number | Date

/** What is read. */
export interface ReadOptions extends CallOptions {
  /** Default 0. */
  readonly partition?: number
  /** Where to begin; below the oldest kept message, it begins with that one. Default 0. */
  readonly offset?: number
  /** Instead of `offset`. */
  readonly from?: StartFrom
  /** For `from: 'committed'`. */
  readonly group?: string
  /** Most messages looked at. 1 to 10,000, default 100; fewer when they are large. */
  readonly max?: number
  /**
   * Only messages for which this expression in [CEL](https://cel.dev) is true, such as `payload.amount > 100 && headers.type == "paid"`. It
   * knows `payload`, `headers`, `key`, `partition`, `offset` and `timestamp`; a message without a field it asks for is left out.
   * At most 1024 characters.
   */
  readonly filter?: string
}

/** What is subscribed to. */
export interface SubscribeOptions {
  /**
   * For whom offsets are committed. Without `partition`, subscriptions of one group share the partitions: each gets as many as
   * the others, anew when one comes, ends or dies.
   */
  readonly group?: string
  /** The partition. Default: 0 without a group; with one, this subscription's share. */
  readonly partition?: number
  /**
   * Where to begin. Default: `'committed'` with a group, else `'latest'`. Of shared partitions it says where to begin when the
   * group has committed nothing: at the oldest message, or with `'latest'` after the newest, which is committed then.
   */
  readonly from?: StartFrom
  /**
   * Only messages for which this expression in [CEL](https://cel.dev) is true, such as `payload.amount > 100 && headers.type == "paid"`. It
   * knows `payload`, `headers`, `key`, `partition`, `offset` and `timestamp`; a message without a field it asks for is left out.
   * At most 1024 characters.
   */
  readonly filter?: string
  /** Called when the partitions were shared anew, with those that are this subscription's now. */
  readonly onAssigned?: (partitions: readonly number[]) => void
  /** Ends the iteration with an `AbortError`. */
  readonly signal?: AbortSignal
}

/** A message that a subscription gave. */
export interface ReceivedMessage<T = unknown> extends StreamMessage<T> {
  /**
   * Says that the group has processed this message and those before it. Needs a `group`.
   *
   * @returns the committed offset now; it never goes back.
   * @throws ConflictError when the partition has gone to another subscription of the group meanwhile.
   */
  commit(call?: CallOptions): Promise<number>
}

/** How long messages are kept. */
export interface StreamRetention {
  /** Messages older than this are dropped. Default 0: never. */
  readonly maxAge?: Duration
  /** When a partition has more bytes than this, its oldest messages are dropped. Default 0: never. */
  readonly maxBytes?: number
}

/** What a stream is created with, or changed to. */
export interface CreateStreamOptions {
  /** Partitions, 1 to 256; they can become more, never fewer. Default 1. */
  readonly partitions?: number
  /** How long messages are kept. Default: for ever. */
  readonly retention?: StreamRetention
  /**
   * Of each key the newest message is kept: one that was replaced is removed, a minute later or more. A message without a key
   * stays; one whose payload is `null`, or has no bytes, removes those before it, and goes itself after a day. Offsets stay as
   * they are. Default: as it is; `false` for a new stream.
   *
   * @throws ConflictError for a stream that was created as a durable stream.
   */
  readonly compaction?: boolean
}

/** A stream. */
export interface StreamInfo {
  /** Its name. */
  readonly name: string
  /** Its partitions, by their numbers. */
  readonly partitions: readonly PartitionInfo[]
  /** How long messages are kept, in milliseconds and bytes; 0 means for ever. */
  readonly retention: { readonly maxAge: number; readonly maxBytes: number }
  /** True when of each key only the newest message is kept, and others for a while. */
  readonly compaction: boolean
  /** When it was created. */
  readonly createdAt: Date
}

/** A partition of a stream. */
export interface PartitionInfo {
  /** The offset of the oldest kept message; that of the next one when there is none. */
  readonly earliestOffset: number
  /** The offset of the newest message; -1 when none was written. */
  readonly latestOffset: number
  /** Bytes of the kept messages. */
  readonly bytes: number
}

/** How far a group is in a partition. */
export interface GroupState {
  /** The last message processed; -1 when there is none. */
  readonly committedOffset: number
  /** The newest message; -1 when there is none. */
  readonly latestOffset: number
  /** Messages that are kept and not processed; with compaction, those it removed are counted. */
  readonly lag: number
}
