import type { ClientContext } from '../context.ts'
import { toMs } from '../durations.ts'
import { invalid, NotFoundError } from '../errors/errors.ts'
import type { CallOptions } from '../options.ts'
import { createList, type List } from '../page.ts'
import { toInt, toText, toTexts } from '../wire.ts'
import { toBody } from './body.ts'
import { carrierOf } from './carrier.ts'
import { ObjectContent } from './content.ts'
import { fromBucket, fromObject, fromUpload, toCondition, toHead, toPolicy, toRules } from './convert.ts'
import { boundsOf } from './send.ts'
import type {
  BucketDetails,
  BucketInfo,
  BucketOptions,
  CommonPrefix,
  CopyOptions,
  DeleteObjectOptions,
  GetOptions,
  ListObjectsOptions,
  ObjectBody,
  ObjectHead,
  ObjectInfo,
  PresignOptions,
  PutOptions,
  UploadInfo,
} from './types.ts'
import { ObjectUpload } from './upload.ts'

const noOptions = {}

/** A bucket: objects, which are bytes of any size, under keys. Make it once with `create`. */
export class Bucket {
  readonly #context: ClientContext
  /** Its name. */
  readonly name: string

  /** @internal Use `mr.bucket(name)`. */
  constructor(context: ClientContext, name: string) {
    this.#context = context
    this.name = toText('bucket', name)
  }

  /** Makes the bucket. @throws ConflictError when there is one of its name; ValidationError naming the rule that its name breaks. */
  async create(options: BucketOptions = noOptions): Promise<BucketInfo> {
    const { policy, tags, lifecycle = [] } = options
    const request = { bucket: this.name, policy: toPolicy(policy), tags: { ...toTexts('tags', tags) }, lifecycle: toRules(lifecycle) }
    return fromBucket((await this.#context.unsafe('ObjectService/CreateBucket', request, options)).bucket)
  }

  /** Reads what the bucket is, and what it holds. @throws NotFoundError */
  async info(call?: CallOptions): Promise<BucketDetails> {
    const { bucket, objects, bytes, publicUrl } = await this.#context.safe('ObjectService/GetBucket', { bucket: this.name }, call)
    return { ...fromBucket(bucket), objects, bytes, publicUrl }
  }

  /** Changes the bucket; what is left out stays. New rules hold for objects that are there, too. @throws NotFoundError */
  async update(options: BucketOptions): Promise<BucketInfo> {
    const { policy, tags, lifecycle } = options
    const request = {
      bucket: this.name,
      policy: toPolicy(policy),
      tags: tags && { tags: { ...toTexts('tags', tags) } },
      lifecycle: lifecycle && { rules: toRules(lifecycle) },
    }
    return fromBucket((await this.#context.safe('ObjectService/UpdateBucket', request, options)).bucket)
  }

  /**
   * Deletes the bucket.
   *
   * @param options - `force`: with all its objects.
   * @returns false when there was none.
   * @throws ConflictError when it has objects.
   */
  async drop(options: CallOptions & { readonly force?: boolean } = noOptions): Promise<boolean> {
    const request = { bucket: this.name, force: options.force === true }
    return (await this.#context.unsafe('ObjectService/DeleteBucket', request, options)).deleted
  }

  /**
   * Writes an object. It takes the place of the key's present object when all its bytes are there and safe; until then, and when
   * anything goes wrong, the present one stays.
   *
   * @param key - 1 to 1024 bytes of UTF-8 without control characters.
   * @param body - text, bytes, a `Blob` or `File`, or a stream of any length. (Of a page, what is a stream travels in memory.)
   * @throws NotFoundError for the bucket, ConflictError when a condition does not hold, ValidationError.
   */
  async put(key: string, body: ObjectBody, options: PutOptions = noOptions): Promise<ObjectInfo> {
    const content = toBody(body)
    const sha256 = toText('sha256', options.sha256)
    const head = toHead(options)
    const header = {
      bucket: this.name,
      key: toText('key', key),
      contentType: head.contentType || content.contentType,
      metadata: head.metadata,
      sha256,
      size: content.size,
      ...toCondition(options),
    }
    const sending = { sha256, onProgress: options.onProgress, ...boundsOf(options) }
    return fromObject(await carrierOf(this.#context).put(header, content, sending))
  }

  /**
   * Reads an object, or some of its bytes.
   *
   * @throws NotFoundError; ConflictError when it has another ETag than `ifMatch`.
   */
  get(key: string, options: GetOptions & { readonly ifNoneMatch: string }): Promise<ObjectContent | undefined>
  get(key: string, options?: GetOptions): Promise<ObjectContent>
  async get(key: string, options: GetOptions = noOptions): Promise<ObjectContent | undefined> {
    const { offset = 0, length, ifMatch, ifNoneMatch } = options
    const request = {
      bucket: this.name,
      key: toText('key', key),
      offset: toPosition('offset', offset),
      length: length === undefined ? undefined : toPosition('length', length),
      ifMatch: toText('ifMatch', ifMatch),
      ifNoneMatch: toText('ifNoneMatch', ifNoneMatch),
    }
    const received = await carrierOf(this.#context).get(request, boundsOf(options))
    if (!received.header.notModified) return new ObjectContent(received)
    await received.cancel()
    return undefined
  }

  /** What an object is, without its bytes; undefined when it is not there. @throws NotFoundError for the bucket. */
  async stat(key: string, call?: CallOptions): Promise<ObjectInfo | undefined> {
    try {
      const request = { bucket: this.name, key: toText('key', key) }
      return fromObject((await this.#context.safe('ObjectService/StatObject', request, call)).object)
    } catch (error) {
      if (error instanceof NotFoundError && error.resource === 'object') return undefined
      throw error
    }
  }

  /** True when the object is there. @throws NotFoundError for the bucket. */
  async exists(key: string, call?: CallOptions): Promise<boolean> {
    return (await this.stat(key, call)) !== undefined
  }

  /** Objects in the order of their keys' bytes; with a `delimiter` also what keys have in common. @throws NotFoundError for the bucket. */
  list(options: ListObjectsOptions & { readonly delimiter: string }): List<ObjectInfo | CommonPrefix>
  list(options?: Omit<ListObjectsOptions, 'delimiter'>): List<ObjectInfo>
  list(options: ListObjectsOptions = noOptions): List<ObjectInfo | CommonPrefix> {
    return createList<ObjectInfo | CommonPrefix>(async (cursor) => {
      const request = {
        bucket: this.name,
        prefix: toText('prefix', options.prefix),
        delimiter: toText('delimiter', options.delimiter),
        limit: toInt('limit', options.limit),
        cursor,
      }
      const { objects, prefixes, nextCursor } = await this.#context.safe('ObjectService/ListObjects', request, options)
      return { items: [...prefixes.map((prefix) => ({ prefix })), ...objects.map((object) => fromObject(object, true))], nextCursor }
    }, options.cursor)
  }

  /**
   * Deletes one object, or up to 1000.
   *
   * @returns of one: whether it was there; of many: the keys of those that were.
   * @throws NotFoundError for the bucket, ConflictError when `ifMatch` does not hold.
   */
  delete(key: string, options?: DeleteObjectOptions): Promise<boolean>
  delete(keys: readonly string[], options?: CallOptions): Promise<string[]>
  async delete(keys: string | readonly string[], options: DeleteObjectOptions = noOptions): Promise<boolean | string[]> {
    const list = typeof keys === 'string' ? [keys] : keys
    if (list.length === 0) return []
    const request = {
      bucket: this.name,
      keys: list.map((key, i) => toText(`keys[${i}]`, key)),
      ifMatch: toText('ifMatch', options.ifMatch),
    }
    const { deleted } = await this.#context.safe('ObjectService/DeleteObjects', request, options)
    return typeof keys === 'string' ? deleted.length > 0 : deleted
  }

  /**
   * Copies an object, at once whatever its size. Its `contentType` and `metadata` are those of the source; when the options have either of
   * them, both are what the options say.
   *
   * @throws NotFoundError, ConflictError
   */
  copy(from: string, to: string, options: CopyOptions = noOptions): Promise<ObjectInfo> {
    return this.#copy(from, to, options, false)
  }

  /**
   * Moves an object: from one moment to the next it is at the other key, and no longer at its own. `contentType` and `metadata`: as of `copy`.
   *
   * @throws NotFoundError, ConflictError
   */
  move(from: string, to: string, options: CopyOptions = noOptions): Promise<ObjectInfo> {
    return this.#copy(from, to, options, true)
  }

  /** Makes a URL that reads or writes one object without a key. @throws NotFoundError for the bucket. */
  async presign(key: string, options: PresignOptions = noOptions): Promise<string> {
    const { method, expiresIn, contentType } = options
    const request = {
      bucket: this.name,
      key: toText('key', key),
      method: toText('method', method),
      expiresInMs: expiresIn === undefined ? 0 : toMs('expiresIn', expiresIn),
      contentType: toText('contentType', contentType),
    }
    return (await this.#context.safe('ObjectService/PresignObject', request, options)).url
  }

  /** Begins an object that is sent in parts. It is forgotten after 7 days, unless it is complete. @throws NotFoundError for the bucket. */
  async createUpload(key: string, options: ObjectHead & CallOptions = noOptions): Promise<ObjectUpload> {
    const request = { bucket: this.name, key: toText('key', key), ...toHead(options) }
    const { uploadId } = fromUpload((await this.#context.unsafe('ObjectService/CreateUpload', request, options)).upload)
    return this.resumeUpload(uploadId)
  }

  /** Goes on with an upload, also of another client. Makes no call. */
  resumeUpload(uploadId: string): ObjectUpload {
    return new ObjectUpload(this.#context, this.name, toText('uploadId', uploadId))
  }

  /** Uploads that are neither complete nor aborted. */
  uploads(options: CallOptions & { readonly limit?: number; readonly cursor?: string } = noOptions): List<UploadInfo> {
    return createList(async (cursor) => {
      const request = { bucket: this.name, limit: toInt('limit', options.limit), cursor }
      const { uploads, nextCursor } = await this.#context.safe('ObjectService/ListUploads', request, options)
      return { items: uploads.map(fromUpload), nextCursor }
    }, options.cursor)
  }

  async #copy(from: string, to: string, options: CopyOptions, move: boolean): Promise<ObjectInfo> {
    const request = {
      bucket: options.bucket === undefined ? this.name : toText('bucket', options.bucket),
      key: toText('to', to),
      sourceBucket: this.name,
      sourceKey: toText('from', from),
      move,
      replace: options.contentType !== undefined || options.metadata !== undefined,
      ...toHead(options),
      ...toCondition(options),
    }
    return fromObject((await this.#context.unsafe('ObjectService/CopyObject', request, options)).object)
  }
}

/** A whole number of any size that the protocol can carry. */
function toPosition(path: string, value: number): number {
  if (!Number.isSafeInteger(value)) throw invalid(path, `${String(value)} is not a whole number.`)
  return value
}
