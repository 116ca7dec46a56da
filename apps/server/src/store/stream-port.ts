import type { MillraceError } from '../errors.ts'
import type { Scope } from './ports.ts'

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

/** Messages that follow each other, written at one time. */
export interface StreamSlice {
  readonly firstOffset: number
  readonly timestamp: number
  readonly messages: readonly StreamMessage[]
}

export interface StreamWriteRequest {
  readonly scope: Scope
  readonly stream: string
  /** Each is written whole or refused, in this order. */
  readonly batches: readonly (readonly NewStreamMessage[])[]
  /** A repeat within the retention of answers answers as the first did. '' means none. */
  readonly requestId: string
  readonly now: number
}

/** Where the messages of a batch are, in order; or why it was refused. */
export type StreamWriteOutcome =
  | { readonly partitions: readonly number[]; readonly offsets: readonly number[] }
  | { readonly error: MillraceError }

export interface StreamReading {
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
  readonly createdAt: number
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
 * means durable. Offsets of a partition begin at 0 and have no holes; what is read at any offset costs the same.
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
  /** Creates or changes a stream; rejects with FAILED_PRECONDITION when it would have fewer partitions. */
  put(
    scope: Scope,
    stream: string,
    change: { readonly partitions?: number; readonly retention?: StreamRetention },
    now: number,
  ): Promise<StreamInfo>
  /** By name, those after `after`. */
  list(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly StreamInfo[]>
  /** Gone at once for everybody; its room is freed by `trim`. False when there was none. */
  delete(scope: Scope, stream: string): Promise<boolean>
  /** Drops messages past their retention, and those of deleted streams; returns how many steps it took, at most `limit`. */
  trim(now: number, limit: number): Promise<number>
  /** Sets the one listener. */
  listen(listener: StreamListener): void
}
