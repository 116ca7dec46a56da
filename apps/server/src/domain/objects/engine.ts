import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { invalid, MillraceError, notFound } from '../../errors.ts'
import type {
  BucketRecord,
  BucketSettings,
  ObjectCondition,
  ObjectHead,
  ObjectName,
  ObjectRecord,
  ObjectStorage,
  PartRecord,
  UploadRecord,
} from '../../store/object-port.ts'
import type { Scope } from '../../store/ports.ts'
import type { ObjectBackend, Span } from './backend.ts'
import { physicalName } from './names.ts'
import { type Expected, etagOf, Measured } from './transfer.ts'
import { Upkeep } from './upkeep.ts'

/** How long after its last byte a blob that is being written is taken for abandoned. */
const writerMs = 10 * 60_000
/** How often a writer says that it is still there, while bytes come, and a reader, while they are taken. */
const renewMs = 2 * 60_000
/** How long an upload is kept that is not complete. */
const uploadMs = 7 * 24 * 3_600_000
/** Objects changed in one transaction: a long one would hold up everybody's commit. */
const chunk = 500

/** An object to write. */
export interface NewObject extends ObjectHead, Expected {
  readonly name: ObjectName
  readonly condition: ObjectCondition
}

/** An object that is read. */
export interface OpenObject {
  readonly object: ObjectRecord
  /** Its bytes, or some of them; asked for at most once. */
  read(span?: Span): AsyncIterable<Uint8Array>
}

/** What the engine stands on. */
export interface ObjectEngineOptions {
  readonly objects: ObjectStorage
  readonly backend: ObjectBackend
  readonly clock: Clock
  /** Bytes of one object, or part, at most. */
  readonly objectLimit: number
  readonly onError: (error: unknown) => void
}

/** Objects as the services use them. What only passes through is at {@link ObjectStorage}. */
export class ObjectEngine {
  /** Buckets, lists and uploads, as they are kept. */
  readonly index: ObjectStorage
  readonly #backend: ObjectBackend
  readonly #clock: Clock
  readonly #limit: number
  readonly #upkeep: Upkeep

  constructor({ objects, backend, clock, objectLimit, onError }: ObjectEngineOptions) {
    this.index = objects
    this.#backend = backend
    this.#clock = clock
    this.#limit = objectLimit
    this.#upkeep = new Upkeep({ objects, backend, clock, onError })
  }

  async createBucket(scope: Scope, name: string, settings: BucketSettings): Promise<BucketRecord> {
    const bucket = { ...settings, name, createdAt: this.#clock.now() }
    await this.index.createBucket(scope, bucket)
    return bucket
  }

  /** @throws NOT_FOUND */
  async bucket(scope: Scope, name: string): Promise<BucketRecord> {
    const bucket = await this.index.bucket(scope, name)
    if (!bucket) throw notFound('bucket', name)
    return bucket
  }

  /** New rules hold for objects that are there, too. */
  async updateBucket(scope: Scope, name: string, change: Partial<BucketSettings>): Promise<BucketRecord> {
    const bucket = await this.index.updateBucket(scope, name, change)
    if (change.lifecycle) {
      for (let after: string | undefined = ''; after !== undefined; ) after = await this.index.retime(scope, name, after, chunk)
      this.#upkeep.look()
    }
    return bucket
  }

  /** @param force - with all its objects. */
  async deleteBucket(scope: Scope, name: string, force: boolean): Promise<boolean> {
    for (;;) {
      try {
        return await this.index.deleteBucket(scope, name, this.#clock.now())
      } catch (error) {
        if (!force || !(error instanceof MillraceError && error.reason === 'FAILED_PRECONDITION')) throw error
      }
      const { objects } = await this.index.list(scope, name, { prefix: '', delimiter: '', after: '', limit: chunk })
      await this.delete(
        scope,
        name,
        objects.map(({ key }) => key),
      ) // prettier-ignore
    }
  }

  /**
   * Writes an object; when it resolves, the object survives a power cut.
   *
   * @throws NOT_FOUND for the bucket, VALIDATION when other bytes come than expected, CONFLICT, ALREADY_EXISTS
   */
  async put({ name, condition, contentType, metadata, ...expected }: NewObject, source: AsyncIterable<Uint8Array>): Promise<ObjectRecord> {
    await this.bucket(name, name.bucket)
    const object = await this.#write(name, expected, source, (content) =>
      this.index.put(name, { contentType, metadata, content }, condition, this.#clock.now()),
    )
    if (object.expiresAt !== undefined) this.#upkeep.dueAt(object.expiresAt)
    return object
  }

  /**
   * Opens an object for reading: what is read is what it is now, whatever becomes of the key.
   *
   * @throws NOT_FOUND, CONFLICT when it has another ETag than `ifMatch`.
   */
  async open(name: ObjectName, ifMatch = ''): Promise<OpenObject> {
    const object = await this.stat(name)
    if (ifMatch !== '' && ifMatch !== '*' && ifMatch !== object.etag) {
      throw new MillraceError(
        'CONFLICT',
        `The object ${JSON.stringify(name.key)} has the ETag ${object.etag}, and not ${ifMatch} as ifMatch says.`,
      )
    }
    return { object, read: (span = { start: 0, length: object.size }) => this.#read(name, object, span) }
  }

  /** @throws NOT_FOUND */
  async stat(name: ObjectName): Promise<ObjectRecord> {
    const object = await this.index.get(name)
    if (!object || (object.expiresAt ?? Infinity) <= this.#clock.now()) throw notFound('object', name.key, `in '${name.bucket}'`)
    return object
  }

  /** Which keys were there. */
  async delete(scope: Scope, bucket: string, keys: readonly string[], ifMatch?: string): Promise<readonly boolean[]> {
    const found = await this.index.delete(scope, bucket, keys, { ifMatch }, this.#clock.now())
    this.#upkeep.look()
    return found
  }

  /** @throws NOT_FOUND when there is no source. */
  async copy(
    from: ObjectName,
    to: ObjectName,
    change: { readonly head?: ObjectHead; readonly remove: boolean; readonly condition: ObjectCondition },
  ): Promise<ObjectRecord> {
    const object = await this.index.copy(from, to, change, this.#clock.now())
    this.#upkeep.look()
    return object
  }

  async createUpload(name: ObjectName, head: ObjectHead): Promise<UploadRecord> {
    const createdAt = this.#clock.now()
    const upload = { ...head, upload: newName(), key: name.key, createdAt, expiresAt: createdAt + uploadMs }
    await this.index.createUpload(name, upload)
    this.#upkeep.dueAt(upload.expiresAt)
    return upload
  }

  /** @throws NOT_FOUND */
  async upload(scope: Scope, bucket: string, upload: string): Promise<UploadRecord> {
    const found = await this.index.upload(scope, bucket, upload)
    if (!found) throw notFound('upload', upload)
    return found
  }

  async putPart(
    scope: Scope,
    { bucket, upload, part, ...expected }: { readonly bucket: string; readonly upload: string; readonly part: number } & Expected,
    source: AsyncIterable<Uint8Array>,
  ): Promise<PartRecord> {
    await this.upload(scope, bucket, upload)
    return this.#write(scope, expected, source, async (content) => {
      const record = { ...content, part }
      await this.index.putPart(scope, bucket, upload, record, this.#clock.now())
      return record
    })
  }

  async complete(
    scope: Scope,
    bucket: string,
    upload: string,
    wanted: { readonly parts: readonly { readonly part: number; readonly sha256?: string }[]; readonly condition: ObjectCondition },
  ): Promise<ObjectRecord> {
    const object = await this.index.complete(scope, bucket, upload, { ...wanted, etagOf }, this.#clock.now())
    this.#upkeep.look()
    return object
  }

  async abort(scope: Scope, bucket: string, upload: string): Promise<boolean> {
    const isAborted = await this.index.abort(scope, bucket, upload, this.#clock.now())
    this.#upkeep.look()
    return isAborted
  }

  async close(): Promise<void> {
    await this.#upkeep.close()
    await this.#backend.close()
  }

  /** Announces a blob, writes it, and has it used. What does not end well is collected. */
  async #write<T>(
    scope: Scope,
    expected: Expected,
    source: AsyncIterable<Uint8Array>,
    use: (content: { readonly blob: string; readonly size: number; readonly sha256: string }) => Promise<T>,
  ): Promise<T> {
    if ((expected.size ?? 0) > this.#limit) {
      throw invalid('size', `is ${expected.size} bytes; an object may have ${this.#limit} here. Send it in parts`)
    }
    const blob = newName()
    const { now } = this.#clock
    let renewed = now()
    await this.index.begin(scope, blob, renewed + writerMs)
    const renew = async () => {
      if (now() - renewed < renewMs) return
      renewed = now()
      await this.index.renew(scope, blob, renewed + writerMs)
    }
    try {
      const measured = new Measured(source, expected, this.#limit, renew)
      await this.#backend.write(physicalName(scope, blob), measured, expected.size ?? this.#limit)
      return await use(measured.result(blob))
    } catch (error) {
      await this.index.drop(scope, blob, now()).catch(() => undefined) // it is collected later then
      throw error
    } finally {
      this.#upkeep.look()
    }
  }

  async *#read(scope: Scope, { blobs }: ObjectRecord, { start, length }: Span): AsyncGenerator<Uint8Array, void, undefined> {
    const { now } = this.#clock
    let before = 0
    let left = length
    let renewed = now()
    for (const [i, { blob, size }] of blobs.entries()) {
      const skip = Math.max(start - before, 0)
      before += size
      if (skip >= size) continue
      const part = { start: skip, length: Math.min(size - skip, left) }
      if (part.length <= 0) return
      for await (const bytes of this.#backend.read(physicalName(scope, blob), part)) {
        if (now() - renewed >= renewMs) {
          renewed = now()
          // The object may have gone meanwhile. When this fails, the bytes are there for a while yet.
          const rest = blobs.slice(i).map((next) => next.blob)
          await this.index.linger(scope, rest, renewed).catch(() => undefined)
        }
        yield bytes
      }
      left -= part.length
    }
  }
}

/** 128 random bits: names are never used twice, so that nothing written late lands in somebody else's place. */
function newName(): string {
  return randomBytes(16).toString('hex')
}
