import type { Scope, TenantId } from './ports.ts'

/** Objects whose key begins with `prefix` end so long after they were written. */
export interface LifecycleRule {
  /** '' is every object. */
  readonly prefix: string
  readonly expireAfterMs: number
}

/** What may be changed of a bucket. */
export interface BucketSettings {
  /** True: anybody may read its objects, without a key. */
  readonly publicRead: boolean
  readonly tags: Readonly<Record<string, string>>
  readonly lifecycle: readonly LifecycleRule[]
}

export interface BucketRecord extends BucketSettings {
  readonly name: string
  readonly createdAt: number
}

/** What a bucket holds. */
export interface BucketUse {
  readonly objects: number
  readonly bytes: number
}

/** A key of a bucket. */
export interface ObjectName extends Scope {
  readonly bucket: string
  readonly key: string
}

/** Bytes that a backend keeps under a name of their own, never changed. */
export interface Blob {
  /** Unique in the whole store. */
  readonly blob: string
  readonly size: number
  /** Of its bytes, in hex. */
  readonly sha256: string
}

/** What is said of an object beside its bytes. */
export interface ObjectHead {
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
}

/** An object in a list. */
export interface ObjectEntry {
  readonly key: string
  /** The SHA-256 of its bytes in hex; of an object of several parts that of their digests, `-`, and their number. */
  readonly etag: string
  readonly size: number
  readonly contentType: string
  readonly updatedAt: number
  readonly expiresAt?: number
}

export interface ObjectRecord extends ObjectEntry, ObjectHead {
  /** Its bytes, one after the other. */
  readonly blobs: readonly Blob[]
}

/** What must hold of the object that is there. */
export interface ObjectCondition {
  /** It is there and has this ETag; `*`: any. */
  readonly ifMatch?: string
  /** True: there is none. */
  readonly ifAbsent?: boolean
}

/** A page of a list by prefix and delimiter. */
export interface ObjectQuery {
  readonly prefix: string
  /** '' lists every key; else keys that have it after the prefix are told of as one common prefix. */
  readonly delimiter: string
  /** Keys and common prefixes after this one; '' from the beginning. */
  readonly after: string
  readonly limit: number
}

export interface ObjectPage {
  readonly objects: readonly ObjectEntry[]
  /** Each ends with the delimiter. */
  readonly prefixes: readonly string[]
  /** Where the next page begins (`after`); absent when there is none. */
  readonly next?: string
}

/** An object that is put together from parts. */
export interface UploadRecord extends ObjectHead {
  readonly upload: string
  readonly key: string
  readonly createdAt: number
  /** When it and its parts are forgotten. */
  readonly expiresAt: number
}

export interface PartRecord extends Blob {
  readonly part: number
}

/** Blobs that nobody needs: bytes to delete. */
export interface Waste {
  readonly tenant: TenantId
  readonly namespace: string
  readonly blob: string
  /** True: it was in use. Otherwise its writer may have left a part of it. */
  readonly whole: boolean
}

/**
 * Buckets, the keys in them, and which blobs they need. Bytes are a backend's. Each blob is announced with `begin` before its
 * first byte is written, so that whatever happens to the writer, what it left is found and collected.
 *
 * What names a bucket that is not there is refused with NOT_FOUND.
 */
export interface ObjectStorage {
  /** ALREADY_EXISTS when there is one of this name. */
  createBucket(scope: Scope, bucket: BucketRecord): Promise<void>
  bucket(scope: Scope, name: string): Promise<BucketRecord | undefined>
  use(scope: Scope, name: string): Promise<BucketUse>
  buckets(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly BucketRecord[]>
  updateBucket(scope: Scope, name: string, change: Partial<BucketSettings>): Promise<BucketRecord>
  /** FAILED_PRECONDITION while it has objects; its uploads are aborted. False when there was none. */
  deleteBucket(scope: Scope, name: string, now: number): Promise<boolean>

  /** Announces a blob: it is not collected before `until`. */
  begin(scope: Scope, blob: string, until: number): Promise<void>
  /** The writer of an announced blob is still at it. UNAVAILABLE when it was collected: what was written of it is lost. */
  renew(scope: Scope, blob: string, until: number): Promise<void>
  /** The blob is not needed after all. It is collected, and once more if it was already: its writer may have gone on meanwhile. */
  drop(scope: Scope, blob: string, now: number): Promise<void>
  /** Blobs are read still: those that nobody needs any more stay as long as if that were so from now on. */
  linger(scope: Scope, blobs: readonly string[], now: number): Promise<void>
  /**
   * Puts an object in the place of whatever the key had. Its one blob was announced with `begin`; equal bytes of the
   * namespace that are there already are used instead.
   *
   * @throws CONFLICT, ALREADY_EXISTS when the condition does not hold; UNAVAILABLE when the blob was collected meanwhile.
   */
  put(name: ObjectName, object: ObjectHead & { readonly content: Blob }, condition: ObjectCondition, now: number): Promise<ObjectRecord>
  get(name: ObjectName): Promise<ObjectRecord | undefined>
  list(scope: Scope, bucket: string, query: ObjectQuery): Promise<ObjectPage>
  /** Which of the keys were there, in their order. */
  delete(scope: Scope, bucket: string, keys: readonly string[], condition: ObjectCondition, now: number): Promise<readonly boolean[]>
  /** Copies without touching bytes. `remove`: the source goes away in the same moment. NOT_FOUND when there is no source. */
  copy(
    from: ObjectName,
    to: ObjectName,
    change: { readonly head?: ObjectHead; readonly remove: boolean; readonly condition: ObjectCondition },
    now: number,
  ): Promise<ObjectRecord>

  createUpload(name: ObjectName, upload: Omit<UploadRecord, 'key'>): Promise<void>
  upload(scope: Scope, bucket: string, upload: string): Promise<UploadRecord | undefined>
  uploads(scope: Scope, bucket: string, page: { readonly limit: number; readonly after: string }): Promise<readonly UploadRecord[]>
  /** Adds a part, or puts it in the place of the one of its number. NOT_FOUND when there is no such upload. */
  putPart(scope: Scope, bucket: string, upload: string, part: PartRecord, now: number): Promise<void>
  /** In the order of their numbers, those after `after`. */
  parts(
    scope: Scope,
    bucket: string,
    upload: string,
    page: { readonly limit: number; readonly after: number },
  ): Promise<readonly PartRecord[]>
  /** Makes the object of these parts; others of the upload are dropped. FAILED_PRECONDITION when one is not there. */
  complete(
    scope: Scope,
    bucket: string,
    upload: string,
    object: {
      /** Numbers of the parts in order; their ETags when they are known. */
      readonly parts: readonly { readonly part: number; readonly sha256?: string }[]
      readonly etagOf: (parts: readonly Blob[]) => string
      readonly condition: ObjectCondition
    },
    now: number,
  ): Promise<ObjectRecord>
  /** False when there was none. */
  abort(scope: Scope, bucket: string, upload: string, now: number): Promise<boolean>

  /** Gives objects of a bucket the time that its rules say, key by key; returns the last key looked at while there are more. */
  retime(scope: Scope, bucket: string, after: string, limit: number): Promise<string | undefined>
  /** Forgets objects and uploads whose time is over; how many, at most `limit` of each. */
  expire(now: number, limit: number): Promise<number>
  /** When the next object, upload or blob is due; absent when none is. */
  nextDue(): Promise<number | undefined>
  /** Takes blobs that nobody needs: from then on nobody can get them back. They come again at `again` unless they are `forget`ed. */
  waste(now: number, again: number, limit: number): Promise<readonly Waste[]>
  /** The backend has deleted their bytes. */
  forget(blobs: readonly Waste[]): Promise<void>
  /** Bytes that a tenant's blobs take. */
  bytes(tenant: TenantId): Promise<number>
}
