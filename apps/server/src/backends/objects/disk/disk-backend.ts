import { constants, createReadStream } from 'node:fs'
import { access, type FileHandle, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ObjectBackend, Span, Waste } from '../../../domain/objects/backend.ts'
import { MillraceError } from '../../../errors.ts'
import { makeDirectory } from '../../../make-directory.ts'

/** Bytes read from a file at a time. */
const readBytes = 128 * 1024
/** Bytes gathered before they are written: small chunks cost a system call each. */
const writeBytes = 128 * 1024

/**
 * Keeps each blob in a file of its own under a folder. A file is complete when its writer says so to the store, never before; so a torn
 * one is nobody's, and the store has it deleted.
 */
export class DiskBackend implements ObjectBackend {
  readonly #folder: string
  /** Folders that are there for sure, and synced. */
  readonly #folders = new Set<string>()

  /** @param folder - made when it is not there. */
  constructor(folder: string) {
    this.#folder = folder
  }

  async write(name: string, source: AsyncIterable<Uint8Array>): Promise<void> {
    const path = join(this.#folder, name)
    const folder = dirname(path)
    try {
      await this.#makeFolder(folder)
      const file = await open(path, 'wx')
      try {
        for await (const bytes of gathered(source, writeBytes)) await writeAll(file, bytes)
        await Promise.all([file.datasync(), syncFolder(folder)])
      } finally {
        await file.close()
      }
    } catch (error) {
      throw storageError(error)
    }
  }

  async *read(name: string, { start, length }: Span): AsyncGenerator<Uint8Array, void, undefined> {
    let left = length
    try {
      const stream = createReadStream(join(this.#folder, name), { start, end: start + length - 1, highWaterMark: readBytes })
      for await (const bytes of stream as AsyncIterable<Buffer>) {
        left -= bytes.length
        yield bytes
      }
    } catch (error) {
      throw storageError(error)
    }
    if (left > 0) throw new Error(`The file of ${name} has ${left} bytes less than it should`)
  }

  async delete(blobs: readonly Waste[]): Promise<void> {
    const paths = blobs.map(({ name }) => join(this.#folder, name))
    // A deletion that a power cut undoes is repeated: the store forgets the blob later.
    for (const path of paths) await rm(path, { force: true })
    const folders = new Set(paths.map(dirname))
    for (const folder of folders) {
      await syncFolder(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
    }
  }

  async check(): Promise<void> {
    try {
      // Whatever is known of it: it may have gone since, or become a folder for reading alone.
      this.#folders.delete(this.#folder)
      await this.#makeFolder(this.#folder)
      await access(this.#folder, constants.R_OK | constants.W_OK)
    } catch (error) {
      throw storageError(error)
    }
  }

  async close(): Promise<void> {}

  /** Makes a folder and those above it; each is synced into the one above. */
  async #makeFolder(folder: string): Promise<void> {
    if (this.#folders.has(folder)) return
    const first = await makeDirectory(folder)
    if (first !== undefined) {
      for (let at = folder; ; at = dirname(at)) {
        await syncFolder(dirname(at))
        if (at === first) break
      }
    }
    this.#folders.add(folder)
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
}

/** Joins chunks to larger ones. */
async function* gathered(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  let chunks: Uint8Array[] = []
  let length = 0
  for await (const bytes of source) {
    chunks.push(bytes)
    length += bytes.length
    if (length < size) continue
    yield chunks.length === 1 ? bytes : Buffer.concat(chunks)
    chunks = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(chunks)
}

/** Faults that say that the folder, not a blob, is the matter. */
const unusable: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'EIO', 'EMFILE'])

/** What a caller sees of a fault of the disk. */
function storageError(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new MillraceError(
      'UNAVAILABLE',
      'The disk with the objects is full: nothing was written.',
      { retryAfterMs: 1000 },
      { cause: error },
    )
  }
  if (unusable.has(code ?? '')) {
    return new MillraceError(
      'UNAVAILABLE',
      `The folder with the objects cannot be used (${message}).`,
      { retryAfterMs: 1000 },
      { cause: error },
    )
  }
  return error
}
