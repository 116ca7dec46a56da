import type { MillraceError } from '../errors.ts'
import type { Scope } from './ports.ts'

/** Position of a change in the order of a store's changes; grows by one with each. */
export type Revision = number

/** A key with its value. */
export interface KvEntry {
  readonly key: string
  /** Absent when it was not asked for, and for a key that is gone. */
  readonly value?: Uint8Array
  /** '' means JSON. */
  readonly contentType: string
  readonly revision: Revision
  readonly expiresAt?: number
  readonly updatedAt: number
}

/** What happened to a key; the numbers are those of the protocol's `EntryChangeType`. */
export const KvChangeType = { set: 1, deleted: 2, expired: 3 } as const
export type KvChangeType = (typeof KvChangeType)[keyof typeof KvChangeType]

/** A key's latest change, or a version of it. */
export interface KvChange {
  readonly type: KvChangeType
  readonly entry: KvEntry
}

/** A change to make. */
export type KvWrite =
  | {
      readonly type: 'set'
      readonly key: string
      readonly value: Uint8Array
      readonly contentType: string
      readonly expiresAt?: number
      /** 0: only when the key is not there. */
      readonly ifRevision?: Revision
      readonly ifAbsent: boolean
    }
  | { readonly type: 'delete'; readonly key: string; readonly ifRevision?: Revision }
  | { readonly type: 'increment'; readonly key: string; readonly by: number /** Of a new key alone. */; readonly expiresAt?: number }

export interface KvWriteRequest {
  readonly scope: Scope
  readonly store: string
  readonly writes: readonly KvWrite[]
  /** A repeat within the retention of answers answers as the first did. '' means none. */
  readonly requestId: string
  /** True: a refused write has an error in its place. False: one refused write refuses all. */
  readonly partial: boolean
  readonly now: number
}

/** `revision` is 0 when nothing changed; `deleted` answers a deletion, `number` an increment. */
export type KvOutcome =
  | { readonly revision: Revision; readonly deleted?: boolean; readonly number?: number }
  | { readonly error: MillraceError }

/** A page of keys; `next` is absent at the end. A page may be short, even empty, while there is a `next`. */
export interface KvPage {
  readonly items: readonly KvEntry[]
  /** The key to go on after. */
  readonly next?: string
}

/** What happened after a revision. */
export interface KvChanges {
  readonly changes: readonly KvChange[]
  /** Everything up to this revision has been told. */
  readonly upTo: Revision
  /** True when there may be more after that. */
  readonly more: boolean
  /** Deletions up to this revision are forgotten. */
  readonly floor: Revision
}

/** A store of keys and values. */
export interface KvSettings {
  readonly name: string
  /** Versions kept of each key, the present one included. */
  readonly history: number
  readonly revision: Revision
  readonly createdAt?: number
}

/** A store by its name. */
export interface KvStoreName extends Scope {
  readonly store: string
}

/** What is told of keys and values. Handlers must not throw. */
export interface KvListener {
  /** Keys of this store changed; called after the commit. */
  changed(store: KvStoreName): void
  /** Changes that other servers made may have gone unseen. */
  missed(): void
}

/**
 * Keys and values. Keys are ordered by their bytes in UTF-8. As for jobs: each method is one atomic change or one consistent
 * read, and a promise that resolves means durable. A key whose time is over is not there, swept or not.
 */
export interface KvStorage {
  /** Carries out the writes in order, in one transaction. */
  write(request: KvWriteRequest): Promise<readonly KvOutcome[]>
  /** Reads keys in order, as of one moment; fewer than asked for, but at least one, when the values are large. */
  read(
    scope: Scope,
    store: string,
    keys: readonly string[],
    options: { readonly values: boolean; readonly now: number },
  ): Promise<readonly (KvEntry | undefined)[]>
  /** Keys that begin with `prefix` and come after `after`, in order. */
  list(
    scope: Scope,
    store: string,
    page: { readonly prefix: string; readonly after?: string; readonly limit: number; readonly values: boolean; readonly now: number },
  ): Promise<KvPage>
  /** The kept versions of a key, newest first. */
  history(scope: Scope, store: string, key: string): Promise<readonly KvChange[]>
  /** Latest changes of keys after a revision, in the order of their revisions; at most `limit` are looked at. Keys whose time is over are left out until they are swept. */
  changes(
    scope: Scope,
    store: string,
    from: { readonly prefix: string; readonly after: Revision; readonly limit: number; readonly now: number },
  ): Promise<KvChanges>
  /** Defaults for a store that was never used. */
  settings(scope: Scope, store: string): Promise<KvSettings>
  update(scope: Scope, store: string, change: { readonly history?: number }, now: number): Promise<KvSettings>
  /** By name, those after `after`. */
  stores(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly KvSettings[]>

  /** Turns keys whose time is over into deletions that are told of; returns how many, at most `limit`. */
  expire(now: number, limit: number): Promise<number>
  /** When the next key's time is over. */
  nextExpiry(): Promise<number | undefined>
  /** Forgets deletions, and answers to named requests, of before these times; returns how many, at most `limit`. */
  sweep(before: { readonly deletions: number; readonly answers: number }, limit: number): Promise<number>
  /** Sets the one listener. */
  listen(listener: KvListener): void
}
