import type { S3 } from '@aws-sdk/client-s3'
import type { ObjectBackend, Span, Waste } from '../../../domain/objects/backend.ts'
import { MillraceError } from '../../../errors.ts'
import { Slots } from '../../slots.ts'
import type { S3Options } from './client.ts'
import { download } from './download.ts'
import { adviceOn, faultOf, rethrow, storageError } from './errors.ts'
import { type Target, upload } from './upload.ts'

/** Objects deleted in one request: S3's rule. */
const mostDeletions = 1000
/** Requests of one deletion at a time. */
const atATime = 8
/** Objects, and parts of them, that all writers together send at a time. */
const sendingAtATime = 32
/** Longest wait of a check: who asks wants to know now. */
const checkMs = 2500
/** How long an answer may stand still. */
const usualStillMs = 30_000

/**
 * Keeps each blob in an object of its own in a bucket of any S3 server. S3's client is loaded and made with the first call: a server
 * whose objects nobody uses does without.
 */
export class S3Backend implements ObjectBackend {
  readonly #options: S3Options
  readonly #stillMs: number
  readonly #sending = new Slots(sendingAtATime)
  #opened: Promise<S3> | undefined

  /** @param stillMs - how long an answer may stand still before it is asked for again. */
  constructor(options: S3Options, stillMs = usualStillMs) {
    this.#options = options
    this.#stillMs = stillMs
  }

  async write(name: string, source: AsyncIterable<Uint8Array>, most: number): Promise<void> {
    await upload(await this.#open(), this.#sending, this.#target(name), source, most)
  }

  async *read(name: string, span: Span): AsyncGenerator<Uint8Array, void, undefined> {
    yield* download(await this.#open(), this.#target(name), span, this.#stillMs)
  }

  async delete(blobs: readonly Waste[]): Promise<void> {
    const s3 = await this.#open()
    // First, so that nothing that is still on its way becomes an object after the deletion.
    const torn = blobs.filter(({ whole }) => !whole).values()
    await Promise.all(Array.from({ length: atATime }, () => this.#abortUploads(s3, torn)))
    for (let from = 0; from < blobs.length; from += mostDeletions) await this.#deleteSome(s3, blobs.slice(from, from + mostDeletions))
  }

  async check(): Promise<void> {
    const { bucket: Bucket, prefix: Prefix, endpoint = 'AWS' } = this.#options
    const s3 = await this.#open()
    const abortSignal = AbortSignal.timeout(checkMs)
    try {
      await s3.listMultipartUploads({ Bucket, Prefix, MaxUploads: 1 }, { abortSignal })
    } catch (error) {
      const fault: unknown = abortSignal.aborted ? abortSignal.reason : error
      const { message, retryAfterMs, cause } = storageError(fault)
      const where = `The bucket is '${Bucket}' at ${endpoint}.`
      throw new MillraceError('UNAVAILABLE', `${message} ${where} ${adviceOn(faultOf(fault))}`, { retryAfterMs }, { cause })
    }
  }

  async close(): Promise<void> {
    const s3 = await this.#opened
    s3?.destroy()
  }

  #target(name: string): Target {
    return { Bucket: this.#options.bucket, Key: this.#options.prefix + name }
  }

  #open(): Promise<S3> {
    this.#opened ??= import('./client.ts').then(({ createClient }) => createClient(this.#options))
    return this.#opened
  }

  /** Aborts the uploads of writers that died. Servers differ in which uploads a prefix finds; the whole name finds its own on all. */
  async #abortUploads(s3: S3, torn: Iterable<Waste>): Promise<void> {
    for (const { name } of torn) {
      const target = this.#target(name)
      const { Uploads = [] } = await s3.listMultipartUploads({ Bucket: target.Bucket, Prefix: target.Key }).catch(rethrow)
      for (const { Key, UploadId } of Uploads) {
        if (Key !== target.Key) continue
        await s3.abortMultipartUpload({ ...target, UploadId }).catch((error: unknown) => {
          if (faultOf(error) !== 'NoSuchUpload') throw storageError(error)
        })
      }
    }
  }

  async #deleteSome(s3: S3, blobs: readonly Waste[]): Promise<void> {
    const Objects = blobs.map(({ name }) => ({ Key: this.#target(name).Key }))
    const { Errors = [] } = await s3.deleteObjects({ Bucket: this.#options.bucket, Delete: { Objects, Quiet: true } }).catch(rethrow)
    const kept = Errors.filter(({ Code }) => Code !== 'NoSuchKey')
    if (kept.length === 0) return
    const [{ Key, Code, Message }] = kept as [(typeof kept)[0]]
    throw new Error(`S3 did not delete ${kept.length} of ${Objects.length} objects, among them ${Key} (${Code}: ${Message})`)
  }
}
