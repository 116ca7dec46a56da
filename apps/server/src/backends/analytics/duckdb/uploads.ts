import { createReadStream } from 'node:fs'
import { open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { StagedFile } from '../../../domain/analytics/backend.ts'
import { MillraceError } from '../../../errors.ts'
import { sizeOf } from './host/files.ts'

/** Bytes read at a time. */
const readBytes = 256 * 1024

/** Files that arrive in parts, or leave, in the directories where DuckDB may read and write them. */
export class Uploads {
  readonly #root: string
  readonly #limit: number

  /**
   * @param root - directory of all databases.
   * @param limit - bytes of all files of one database.
   */
  constructor(root: string, limit: number) {
    this.#root = root
    this.#limit = limit
  }

  /** Writes a part. @returns the bytes of the file so far. */
  async write(
    staging: string,
    { upload, offset, data }: { readonly upload: string; readonly offset: number; readonly data: Uint8Array },
  ): Promise<number> {
    const directory = join(this.#root, staging)
    const others = await sizeOf(directory, upload)
    if (others + offset + data.length > this.#limit) {
      const message = `The files of a database may take ${this.#limit} bytes until they are imported (--analytics-spill).`
      throw new MillraceError('QUOTA_EXCEEDED', message, {
        quota: { type: 'analytics.uploads', current: others + offset, limit: this.#limit },
      })
    }
    const file = await open(join(directory, upload), offset === 0 ? 'w' : 'r+').catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? incomplete() : error
    })
    try {
      const { size } = await file.stat()
      if (offset > size) throw incomplete()
      await file.write(data, 0, data.length, offset)
      return Math.max(size, offset + data.length)
    } finally {
      await file.close()
    }
  }

  /** Sees that a file is whole. */
  async expect(staging: string, { upload, size }: StagedFile): Promise<void> {
    const found = await stat(join(this.#root, staging, upload)).catch(() => undefined)
    if (found?.size !== size) throw incomplete()
  }

  /** The bytes of a file. */
  read(staging: string, upload: string): AsyncIterable<Uint8Array> {
    return createReadStream(join(this.#root, staging, upload), { highWaterMark: readBytes })
  }

  /** Forgets a file. */
  async remove(staging: string, upload: string): Promise<void> {
    await rm(join(this.#root, staging, upload), { force: true })
  }
}

function incomplete(): MillraceError {
  return new MillraceError(
    'FAILED_PRECONDITION',
    'The parts of the file that were sent before are not there any more. Send it again from its beginning.',
  )
}
