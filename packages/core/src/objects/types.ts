import type { Duration } from '../durations.ts'
import type { CallOptions } from '../options.ts'

/** Who may read the objects of a bucket: who has a key, or everybody. */
export type BucketPolicy = 'private' | 'public-read'

/** Objects that end by themselves. */
export interface LifecycleRule {
  /** Only objects whose key begins with this. Default: all. */
  readonly prefix?: string
  /** How long after they were written they end: from a minute to 10 years. */
  readonly expireAfter: Duration
}

/** A bucket to make, or what to change of one; what is left out stays, or has its default. */
export interface BucketOptions extends CallOptions {
  /** Who may read its objects. Default: `private`. */
  readonly policy?: BucketPolicy
  /** Texts by name, at most 32. Default: none. */
  readonly tags?: Readonly<Record<string, string>>
  /** When objects end by themselves, at most 100 rules; of several that concern an object the first to end it counts. Default: never. */
  readonly lifecycle?: readonly LifecycleRule[]
}

/** A bucket. */
export interface BucketInfo {
  /** Its name. */
  readonly name: string
  /** Who may read its objects. */
  readonly policy: BucketPolicy
  /** Texts by name. */
  readonly tags: Readonly<Record<string, string>>
  /** When objects end by themselves; milliseconds. */
  readonly lifecycle: readonly { readonly prefix: string; readonly expireAfter: number }[]
  /** When it was made. */
  readonly createdAt: Date
}

/** A bucket with what it holds. */
export interface BucketDetails extends BucketInfo {
  /** How many objects it has. */
  readonly objects: number
  /** Bytes of its objects together. */
  readonly bytes: number
  /** What the URLs of its objects begin with, for everybody while its policy is `public-read`. */
  readonly publicUrl: string
}

/** An object without its bytes. */
export interface ObjectInfo {
  /** Its bucket. */
  readonly bucket: string
  /** Its key. */
  readonly key: string
  /** Its length in bytes. */
  readonly size: number
  /** Changes with its bytes: their SHA-256 in hex; of an object of several parts that of the parts' digests, `-`, and their number. */
  readonly etag: string
  /** SHA-256 of its bytes in hex; absent for an object of several parts. */
  readonly sha256?: string
  /** Media type. */
  readonly contentType: string
  /** Texts by name; absent in lists. */
  readonly metadata?: Readonly<Record<string, string>>
  /** When it was written. */
  readonly updatedAt: Date
  /** When it will end by itself; absent: never. */
  readonly expiresAt?: Date
}

/** What keys of a list have in common, up to and with the delimiter. */
export interface CommonPrefix {
  /** The prefix; a list with this prefix shows what is inside. */
  readonly prefix: string
}

/** Bytes to write: text is written as UTF-8. Streams of any length are read only as fast as the network takes them. */
export type ObjectBody = string | Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string>

/** What is said of an object that is written. */
export interface ObjectHead {
  /** Media type. Default: that of a `Blob`, `text/plain; charset=utf-8` for text, else `application/octet-stream`. */
  readonly contentType?: string
  /** Texts by name: at most 32, names of a-z 0-9 -, 4 KiB together. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** What must hold of the key's present object. */
export interface WriteCondition {
  /** Only when it has this ETag, else `ConflictError`; `*`: when there is one. */
  readonly ifMatch?: string
  /** `*`: only when there is none, else `ConflictError`. */
  readonly ifNoneMatch?: '*'
}

/** How bytes are sent. */
export interface SendOptions {
  /** SHA-256 that the bytes must have, in hex; when others come, nothing is written. Default: what the client sees while it sends. */
  readonly sha256?: string
  /** Called with how many bytes were handed to the network so far. */
  readonly onProgress?: (sent: number) => void
  /** Ends the call; it rejects with an error whose `name` is `'AbortError'`, and nothing is written. */
  readonly signal?: AbortSignal
  /** Longest time of the call. Default: none, since bytes take as long as they take. */
  readonly timeout?: Duration
}

/** How an object is written. */
export interface PutOptions extends ObjectHead, WriteCondition, SendOptions {}

/** How an object is read. */
export interface GetOptions {
  /** First byte, from 0; negative: so many from the end. Default 0. */
  readonly offset?: number
  /** Bytes at most. Default: to the end. */
  readonly length?: number
  /** Only when it has this ETag, else `ConflictError`. */
  readonly ifMatch?: string
  /** Resolves with undefined when it has this ETag: what the caller has is still right. */
  readonly ifNoneMatch?: string
  /** Ends the call, also while the bytes are read. */
  readonly signal?: AbortSignal
  /** Longest time until all bytes are read. Default: none. */
  readonly timeout?: Duration
}

/** Which objects are listed. */
export interface ListObjectsOptions extends CallOptions {
  /** Only keys that begin with this. */
  readonly prefix?: string
  /** Keys that have this after the prefix are shown as one {@link CommonPrefix}: `/` lists as a file system does. */
  readonly delimiter?: string
  /** Items on one page. 1 to 1000, default 100. */
  readonly limit?: number
  /** Where to begin: `nextCursor` of an earlier page. */
  readonly cursor?: string
}

/** How an object is copied or moved. `contentType` and `metadata` are those of the source, unless one of them is given. */
export interface CopyOptions extends CallOptions, ObjectHead, WriteCondition {
  /** The bucket to copy into. Default: this one. */
  readonly bucket?: string
}

/** How an object is deleted. */
export interface DeleteObjectOptions extends CallOptions {
  /** Only when it has this ETag, else `ConflictError`. */
  readonly ifMatch?: string
}

/** What a URL is made for. */
export interface PresignOptions extends CallOptions {
  /** What it lets its holder do: read the object (GET, HEAD) or write it (PUT). Default: `GET`. */
  readonly method?: 'GET' | 'PUT'
  /** How long it is good for: a second to 7 days. Default: an hour. It ends earlier with the key that made it. */
  readonly expiresIn?: Duration
  /** For `PUT`: the media type that must be sent. Default: any. */
  readonly contentType?: string
}

/** A part of an object that is sent in parts. */
export interface PartInfo {
  /** Its number. */
  readonly part: number
  /** Its length in bytes. */
  readonly size: number
  /** SHA-256 of its bytes in hex. */
  readonly sha256: string
}

/** An object that is sent in parts, and not complete. */
export interface UploadInfo {
  /** Its id: with it the upload goes on after a break. */
  readonly uploadId: string
  /** The key that the object will have. */
  readonly key: string
  /** When it began. */
  readonly createdAt: Date
  /** When it is forgotten, unless it is complete before. */
  readonly expiresAt: Date
}

/** How an upload is completed. */
export interface CompleteOptions extends CallOptions, WriteCondition {
  /** Numbers of the parts of the object, ascending. Default: all that have come. */
  readonly parts?: readonly number[]
}
