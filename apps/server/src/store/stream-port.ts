import type { MillraceError } from '../errors.ts'
import type { Scope } from './ports.ts'
import type { StreamTraits } from './trait-port.ts'

/** A message, as its writer made it. */
export interface StreamMessage {
  readonly payload: Uint8Array
  /** '' means JSON. */
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  /** '' means none. */
  readonly key: string
}

/** A message to write. */
export interface NewStreamMessage extends StreamMessage {
  /** Absent: by the key, or in turn. */
  readonly partition?: number
}

/** Which of a producer's writes it is: one that was made already is answered as it was then, and nothing is written. */
export interface StreamProducer {
  readonly id: string
  /** Whoever begins a higher one takes the place of who wrote before. */
  readonly epoch: number
  /** Counts the writes of an epoch, from 0 without holes. */
  readonly seq: number
}

/** Messages that are written together or not at all. */
export interface StreamBatch {
  readonly messages: readonly NewStreamMessage[]
  /** Absent: a repeat is written again. */
  readonly producer?: StreamProducer
  /** The stream is closed with it. Then there may be no messages. Default: false. */
  readonly closes?: boolean
  /** Must come after that of every write before, as texts compare; else the batch is refused with CONFLICT. */
  readonly order?: string
}

/** Messages that follow each other, written at one time. */
export interface StreamSlice {
  readonly firstOffset: number
  readonly timestamp: number
  readonly messages: readonly StreamMessage[]
}

export interface StreamWriteRequest {
  readonly scope: Scope
  readonly stream: string
  /** The number that the stream must have: batches are refused with NOT_FOUND when there is another one of its name, or none. Absent: any; made when there is none. */
  readonly to?: number
  /** Each is written whole or refused, in this order. */
  readonly batches: readonly StreamBatch[]
  /** A repeat within the retention of answers answers as the first did. '' means none. */
  readonly requestId: string
  readonly now: number
}

/** Where the messages of a batch are, in order; or why it was refused. */
export type StreamWriteOutcome =
  | {
      readonly partitions: readonly number[]
      readonly offsets: readonly number[]
      /** The last write of the producer, when this one is a repeat. Where its messages are is kept of the last five writes. */
      readonly repeatOf?: number
    }
  | { readonly error: MillraceError }

export interface StreamReading {
  /** That of the stream that was read: one that is made anew under its name has another. */
  readonly number: number
  readonly slices: readonly StreamSlice[]
  /** Where to go on. */
  readonly next: number
  /** -1 when none was written. */
  readonly latest: number
}

/** The last message a group processed of a partition. */
export interface StreamCommit {
  readonly group: string
  readonly partition: number
  readonly offset: number
  /** Refused with CONFLICT when the partition is not this member's. '' means no member of a balanced group. */
  readonly member?: string
}

export type StreamCommitOutcome = { readonly committed: number } | { readonly error: MillraceError }

/** How long messages are kept; 0 means for ever. */
export interface StreamRetention {
  readonly maxAgeMs: number
  readonly maxBytes: number
}

export interface PartitionInfo {
  /** The oldest kept message; that of the next one when there is none. */
  readonly earliest: number
  /** The newest message; -1 when none was written. */
  readonly latest: number
  /** Of the kept messages. */
  readonly bytes: number
}

export interface StreamInfo {
  readonly name: string
  readonly partitions: readonly PartitionInfo[]
  readonly retention: StreamRetention
  /** Of each key the newest message is kept, and others only for a while. */
  readonly compaction: boolean
  readonly createdAt: number
}

/** What of a stream is set by `put`; what is absent stays. */
export interface StreamChange {
  /** Default of a new stream: 1. */
  readonly partitions?: number
  /** Default of a new stream: for ever. */
  readonly retention?: StreamRetention
  /** Default of a new stream: false. */
  readonly compaction?: boolean
}

/** A stream with what it is beside its messages. */
export interface StreamState extends StreamTraits {
  /** No other stream of the tenant has it, also not one of the same name before or after. */
  readonly number: number
  readonly createdAt: number
  readonly partitions: number
  /** Of the first partition: the oldest kept message, and the one that comes next. */
  readonly earliest: number
  readonly next: number
}

/** A stream to create with what it is. */
export interface StreamCreateRequest {
  readonly scope: Scope
  readonly stream: string
  readonly traits: StreamTraits
  /** The first ones of its own. */
  readonly messages: readonly StreamMessage[]
  readonly now: number
}

/** A stream by its name. */
export interface StreamName extends Scope {
  readonly stream: string
}

/** What is told of streams. Handlers must not throw. */
export interface StreamListener {
  /** Messages were written; called after the commit. */
  written(stream: StreamName): void
  /** A group's partitions were shared anew; called after the commit. */
  regrouped(stream: StreamName, group: string): void
  /** Messages that other servers wrote may have gone unseen. */
  missed(): void
}

/**
 * Streams of messages. As for jobs: each method is one atomic change or one consistent read, and a promise that resolves
 * means durable. Offsets of a partition begin at 0 and have no holes but those of compaction; what is read at any offset costs the same.
 */
export interface StreamStorage {
  /** Makes the stream when it is new, with one partition. Batches with a partition that there is not are refused with VALIDATION. */
  write(request: StreamWriteRequest): Promise<readonly StreamWriteOutcome[]>
  /** Messages from an offset on, or from the oldest kept one; at least one when there is one. Rejects with NOT_FOUND, and VALIDATION for a partition that there is not. */
  read(
    scope: Scope,
    stream: string,
    partition: number,
    from: { readonly offset: number; readonly maxMessages: number; readonly maxBytes: number },
  ): Promise<StreamReading>
  /** The offset of the first kept message written at a time or later; that of the next message when there is none. Rejects as `read`. */
  offsetAt(scope: Scope, stream: string, partition: number, time: number): Promise<number>
  /** Each commit on its own. A committed offset never goes back; one of a message that was not written is refused with VALIDATION. Rejects with NOT_FOUND. */
  commit(scope: Scope, stream: string, commits: readonly StreamCommit[], now: number): Promise<readonly StreamCommitOutcome[]>
  /** What a group has committed of each partition, -1 for nothing. Rejects with NOT_FOUND for an unknown stream. */
  committed(scope: Scope, stream: string, group: string): Promise<readonly number[]>
  /** Makes somebody a member of a group until a time, or a member for longer; the partitions are shared anew when somebody joined. Rejects with NOT_FOUND. */
  join(scope: Scope, stream: string, group: string, member: string, until: number): Promise<void>
  /** Ends a membership; the partitions are shared anew. */
  leave(scope: Scope, stream: string, group: string, member: string): Promise<void>
  /** Which member each partition belongs to. Rejects with NOT_FOUND. */
  owners(scope: Scope, stream: string, group: string): Promise<readonly (string | undefined)[]>
  /** Ends memberships that are over; returns how many, at most `limit`. */
  expireMembers(now: number, limit: number): Promise<number>
  describe(scope: Scope, stream: string): Promise<StreamInfo | undefined>
  /**
   * Creates or changes a stream; rejects with FAILED_PRECONDITION when it would have fewer partitions, and when one that was
   * created as a durable stream would have several, or compaction.
   */
  put(scope: Scope, stream: string, change: StreamChange, now: number): Promise<StreamInfo>
  /** The stream, also one that is gone or has ended. */
  state(scope: Scope, stream: string): Promise<StreamState | undefined>
  /** Creates a stream with one partition, unless there is one of its name, also one that is gone. Rejects with NOT_FOUND when that it is a fork of is not there, or gone. */
  create(request: StreamCreateRequest): Promise<{ readonly created: boolean; readonly state: StreamState }>
  /** The stream, whose state was just asked for, is used: it ends later, if it ends when it is not used. */
  use(scope: Scope, stream: string, state: StreamState, now: number): Promise<void>
  /** Deletes streams whose time is over; returns how many, at most `limit`. */
  expire(now: number, limit: number): Promise<number>
  /** By name, those after `after`. */
  list(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly StreamInfo[]>
  /**
   * Gone at once for everybody; its room is freed by `trim`. One that has forks keeps its messages for them, and its name is
   * free only when they are deleted. False when there was none.
   */
  delete(scope: Scope, stream: string): Promise<boolean>
  /** Drops messages past their retention, those that compaction removes, and those of deleted streams; returns how many steps it took, at most `limit`. */
  trim(now: number, limit: number): Promise<number>
  /** Sets the one listener. */
  listen(listener: StreamListener): void
}
