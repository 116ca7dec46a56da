import type { DeleteOptions, IncrementOptions, KvSet } from '../kv/types.ts'
import type { CallOptions } from '../options.ts'
import type { EnqueueResult, NewJob } from '../queues/types.ts'
import type { NewStreamMessage, ReceivedMessage } from '../streams/types.ts'

/** Messages for one stream. */
export interface TransactionMessages {
  /** The stream; it is made when it does not exist. */
  readonly stream: string
  /** The messages. */
  readonly messages: readonly NewStreamMessage[]
}

/** A job for a queue. */
export interface TransactionJob extends NewJob {
  /** The queue. */
  readonly queue: string
}

/** A key to set. */
export interface TransactionSet extends KvSet {
  /** The store. */
  readonly store: string
}

/** A key to delete. */
export interface TransactionDelete extends DeleteOptions {
  /** The store. */
  readonly store: string
  /** The key. One that is not there stays so. */
  readonly key: string
  /** Says that it is to be deleted. */
  readonly delete: true
}

/** A number to add to. */
export interface TransactionIncrement extends IncrementOptions {
  /** The store. */
  readonly store: string
  /** The key. One that is not there counts as 0. */
  readonly key: string
  /** What to add; may be negative. */
  readonly increment: number
}

/** How far a group has come that shares no partitions: whoever takes part in a shared group gives the message itself. */
export interface TransactionCommit {
  /** The stream it reads. */
  readonly stream: string
  /** The group. */
  readonly group: string
  /** The partition. Default 0. */
  readonly partition?: number
  /** The last message processed. */
  readonly offset: number
}

/** What a transaction changes: at least one part, at most 10,000, with at most 10,000 messages in all. */
export interface TransactionParts {
  /** Messages to write. */
  readonly streams?: readonly TransactionMessages[]
  /** Jobs to add. */
  readonly jobs?: readonly TransactionJob[]
  /** Keys to change, in this order. */
  readonly kv?: readonly (TransactionSet | TransactionDelete | TransactionIncrement)[]
  /** Messages that were processed, as a subscription with a group gave them, or how far a group has come. */
  readonly commits?: readonly (ReceivedMessage | TransactionCommit)[]
}

/** How a transaction is written. */
export interface TransactionOptions extends CallOptions {
  /**
   * Names this transaction: the same again, within 24 hours, changes nothing and returns the first answer. At most 64 characters.
   * Default: a new name for each call, so that a repeat after a broken connection changes nothing twice.
   */
  readonly idempotencyKey?: string
}

/** What became of a key. */
export interface TransactionKvResult {
  /** The store's revision with this change; 0 when a key to delete was not there. */
  readonly revision: number
  /** Of a key to delete: it was there. */
  readonly deleted?: boolean
  /** Of a number that was added to: the sum. */
  readonly number?: number
}

/** What became of each part, in the order in which they were given. */
export interface TransactionResult {
  /** The offset of each message in its partition. */
  readonly streams: readonly (readonly number[])[]
  /** The jobs. */
  readonly jobs: readonly EnqueueResult[]
  /** The keys. */
  readonly kv: readonly TransactionKvResult[]
  /** The committed offsets now: the largest of all commits. */
  readonly commits: readonly number[]
}
