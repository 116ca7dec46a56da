import type { ClientContext } from '../context.ts'
import type { CallOptions } from '../options.ts'
import { toInt, toText } from '../wire.ts'
import { toBody } from './body.ts'
import { carrierOf } from './carrier.ts'
import { fromObject, fromPart, toCondition } from './convert.ts'
import { boundsOf } from './send.ts'
import type { CompleteOptions, ObjectBody, ObjectInfo, PartInfo, SendOptions } from './types.ts'

/** An object that is sent in parts: side by side, in any order, and over breaks of any length. */
export class ObjectUpload {
  readonly #context: ClientContext
  readonly #bucket: string
  /** Its id: `bucket.resumeUpload(uploadId)` goes on with it. */
  readonly uploadId: string

  /** @internal Use `bucket.createUpload` and `bucket.resumeUpload`. */
  constructor(context: ClientContext, bucket: string, uploadId: string) {
    this.#context = context
    this.#bucket = bucket
    this.uploadId = uploadId
  }

  /**
   * Sends a part. Sent again, it takes the place of the one before.
   *
   * @param part - its number, 1 to 10,000: the object has the parts in the order of their numbers.
   * @param body - its bytes, of any length.
   * @throws ValidationError, NotFoundError when the upload is complete or aborted.
   */
  async put(part: number, body: ObjectBody, options: SendOptions = {}): Promise<PartInfo> {
    const content = toBody(body)
    const sha256 = toText('sha256', options.sha256)
    const header = { bucket: this.#bucket, uploadId: this.uploadId, part: toInt('part', part), sha256, size: content.size }
    const sending = { sha256, onProgress: options.onProgress, ...boundsOf(options) }
    return fromPart(await carrierOf(this.#context).part(header, content, sending))
  }

  /** The parts that have come, by number: after a break, what need not be sent again. */
  async parts(call?: CallOptions): Promise<PartInfo[]> {
    const found: PartInfo[] = []
    for (let cursor: string | undefined; cursor !== ''; ) {
      const request = { bucket: this.#bucket, uploadId: this.uploadId, limit: 1000, cursor: cursor ?? '' }
      const { parts, nextCursor } = await this.#context.safe('ObjectService/ListParts', request, call)
      found.push(...parts)
      cursor = nextCursor
    }
    return found
  }

  /**
   * Makes the object of its parts, at once whatever their size.
   *
   * @throws ConflictError when a part is not there, or a condition does not hold; NotFoundError.
   */
  async complete(options: CompleteOptions = {}): Promise<ObjectInfo> {
    const { parts } = options
    const wanted = parts
      ? parts.map((part, i) => ({ part: toInt(`parts[${i}]`, part), size: 0, sha256: '' }))
      : (await this.parts(options)).map((part) => ({ ...part }))
    const request = { bucket: this.#bucket, uploadId: this.uploadId, parts: wanted, ...toCondition(options) }
    return fromObject((await this.#context.unsafe('ObjectService/CompleteUpload', request, options)).object)
  }

  /** Forgets the upload and its parts. @returns false when there was none. */
  async abort(call?: CallOptions): Promise<boolean> {
    const request = { bucket: this.#bucket, uploadId: this.uploadId }
    return (await this.#context.safe('ObjectService/AbortUpload', request, call)).aborted
  }
}
