import type { Duration } from '../durations.ts'

/** How a key is set. */
export interface SetOptions {
  /** Time to live from now on, 1 ms to 10 years. Default: for ever, also when the key had one before. */
  readonly ttl?: Duration
  /** Only when the key is at this revision, else `ConflictError`; 0: only when it is not there. Not together with `ifAbsent`. */
  readonly ifRevision?: number
  /** Only when the key is not there, else `ConflictError`. */
  readonly ifAbsent?: boolean
}

/** One key of many to set. */
export interface KvSet<T = unknown> extends SetOptions {
  /** 1 to 512 bytes of UTF-8 without control characters. */
  readonly key: string
  /** Any JSON value or a `Uint8Array`. At most the server's limit, 4 MiB by default. */
  readonly value: T
}

/** What became of a key that was set. */
export interface SetResult {
  /** Its revision: grows with each change of the store. */
  readonly revision: number
}

/** How a key is deleted. */
export interface DeleteOptions {
  /** Only when the key is at this revision, else `ConflictError`. */
  readonly ifRevision?: number
}

/** Which keys are deleted. */
export interface ClearOptions {
  /** Only keys that begin with this. Default: all. */
  readonly prefix?: string
  /** Must be true: the values are gone for good. */
  readonly confirm: true
}

/** How a number is added to. */
export interface IncrementOptions {
  /** Time to live, for a key that is made by this alone; one that is there keeps its own. Default: for ever. */
  readonly ttl?: Duration
}

/** A key with its value. */
export interface KvEntry<T = unknown> {
  /** The key. */
  readonly key: string
  /** The value. */
  readonly value: T
  /** Its revision: grows with each change of the store. */
  readonly revision: number
  /** When it will be gone; absent: never. */
  readonly expiresAt?: Date
  /** When it got this value. */
  readonly updatedAt: Date
}

/** A change of a key. */
export interface KvChange<T = unknown> {
  /** What happened: it got a value, somebody deleted it, or its time to live ended. */
  readonly type: 'set' | 'deleted' | 'expired'
  /** The key. */
  readonly key: string
  /** Its value now; of a key that was set. */
  readonly value?: T
  /** The revision of the change: where a watch can go on (`after`). */
  readonly revision: number
  /** When it will be gone; of a key that was set with a time to live. */
  readonly expiresAt?: Date
  /** When it happened. */
  readonly at: Date
}

/** Which keys are listed. */
export interface ListKeysOptions {
  /** Only keys that begin with this. */
  readonly prefix?: string
  /** Keys on one page. 1 to 1000, default 100. */
  readonly limit?: number
  /** Where to begin: `nextCursor` of an earlier page. */
  readonly cursor?: string
}

/** Which keys are watched, from when on. */
export interface WatchKeysOptions {
  /** Only keys that begin with this. */
  readonly prefix?: string
  /** Changes after this revision; 0: all present keys first, then what changes. Default: only changes from now on. */
  readonly after?: number
  /**
   * Called when deletions were missed, because the watch was away for more than a day, or the store was replaced by an older copy:
   * forget what you know; all present keys follow.
   */
  readonly onReset?: () => void
  /** Ends the iteration with an `AbortError`. */
  readonly signal?: AbortSignal
}

/** A store. */
export interface KvStoreInfo {
  /** Its name. */
  readonly name: string
  /** Versions kept of each key, the present one included. 1 to 64. */
  readonly history: number
  /** The revision of its last change. */
  readonly revision: number
  /** When it was first used; absent when it was not. */
  readonly createdAt?: Date
}

/** What to change of a store. */
export interface UpdateKvStoreOptions {
  /** Versions to keep of each key, the present one included. 1 to 64; a new store keeps 1. */
  readonly history?: number
}
