import { MillraceError } from '../errors.ts'

/** What a stream shares with the one that it was forked from. */
export interface StreamFork {
  /** The number of the stream that it was forked from. */
  readonly source: number
  /** Messages with smaller offsets are the source's, the others its own. */
  readonly inherited: number
  /** How far into what follows the offset the fork was asked for: messages, or bytes of one. */
  readonly sub: number
  /** 1 for a fork of a stream that is none, 2 for a fork of a fork. */
  readonly depth: number
}

/** Forks of forks at most: a read may have to ask each. */
export const mostForks = 32

/** What a stream is beside its messages; none of it is so for a stream that nobody said it of. */
export interface StreamTraits {
  /** Of all that is in it; '' says each message for itself. */
  readonly contentType: string
  /** It ends this long after it was used last, in milliseconds; 0: not for that. */
  readonly ttlMs: number
  /** When it ends; 0: never. */
  readonly expiresAt: number
  /** Nothing more is written to it. */
  readonly closed: boolean
  /** The largest order that a writer gave; '' for none. */
  readonly order: string
  readonly fork?: StreamFork
  /** Deleted, and kept for its forks, for whom its name stays taken. */
  readonly gone: boolean
}

/** Those of a stream that nobody said anything of. */
export const plainTraits: StreamTraits = { contentType: '', ttlMs: 0, expiresAt: 0, closed: false, order: '', gone: false }

/** The stream was closed: nothing more is written to it. */
export class StreamClosed extends MillraceError {
  constructor(name: string) {
    super('FAILED_PRECONDITION', `The stream '${name}' is closed: nothing can be written to it any more. Write to another one.`)
  }
}

/** The stream was deleted, but there are forks of it. */
export class StreamGone extends MillraceError {
  constructor(name: string) {
    super('FAILED_PRECONDITION', `The stream '${name}' was deleted, but forks of it live: its name is free again when they are deleted.`)
  }
}

/** A write that a producer must not make: another has taken its place, or writes before it are missing. */
export class ProducerRefusal extends MillraceError {
  /** The epoch that is over all others; undefined when it is not the epoch that is wrong. */
  readonly epoch?: number
  /** The number that the next write must have; undefined when it is not the number that is wrong. */
  readonly expected?: number

  constructor(message: string, { epoch, expected }: { readonly epoch?: number; readonly expected?: number }) {
    super('CONFLICT', message)
    this.epoch = epoch
    this.expected = expected
  }
}

/** True for a stream that must have one partition. */
export function isOneSequence({ contentType, fork }: StreamTraits): boolean {
  return contentType !== '' || fork !== undefined
}

/** True for a stream whose time is over. */
export function hasEnded({ expiresAt }: StreamTraits, now: number): boolean {
  return expiresAt > 0 && expiresAt <= now
}
