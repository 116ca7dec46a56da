import { createHash } from 'node:crypto'
import { invalid, type MillraceError } from '../../errors.ts'

/** What a backup begins with. */
const magic = Buffer.from('millrace-database-backup\n')
/** Bytes of the header's length, before it. */
const lengthBytes = 4
const longestHeader = 256 * 1024
/** Bytes of the SHA-256 at the end. */
const digestBytes = 32
const version = 1

/** What a backup says of itself. */
export interface BackupHeader {
  /** The database that was backed up. */
  readonly database: string
  /** Its notes. */
  readonly metadata: Readonly<Record<string, string>>
  /** When it was backed up. */
  readonly takenAt: number
  /** Bytes of the database. */
  readonly size: number
}

/** A file of a backup: the words above, the length of the header, the header as JSON, the database, the SHA-256 of all this. */
export interface BackupFile {
  readonly size: number
  read(): AsyncIterable<Uint8Array>
}

/** Makes the file of a backup. */
export function writeBackup(header: BackupHeader, database: AsyncIterable<Uint8Array>): BackupFile {
  const json = Buffer.from(JSON.stringify({ version, ...header }))
  const length = Buffer.alloc(lengthBytes)
  length.writeUInt32BE(json.length)
  const head = Buffer.concat([magic, length, json])
  return {
    size: head.length + header.size + digestBytes,
    async *read() {
      const hash = createHash('sha256').update(head)
      yield head
      for await (const bytes of database) {
        hash.update(bytes)
        yield bytes
      }
      yield hash.digest()
    },
  }
}

/** What a file of a backup holds. */
export interface ReadBackup {
  readonly header: BackupHeader
  /** The bytes of the database. Ends with VALIDATION when they are not what was backed up. */
  readonly database: AsyncIterable<Uint8Array>
}

/**
 * Reads the file of a backup.
 *
 * @param path - the field that names it, for errors.
 * @throws VALIDATION when it is none.
 */
export async function readBackup(source: AsyncIterable<Uint8Array>, path: string): Promise<ReadBackup> {
  const wrong = (what: string): MillraceError => invalid(path, `${what}; nothing was restored`)
  const bytes = new Bytes(source)
  const hash = createHash('sha256')
  const expect = async (length: number): Promise<Buffer> => {
    const found = await bytes.take(length)
    hash.update(found)
    return found
  }
  if (!(await expect(magic.length)).equals(magic)) throw wrong('is not a backup of a database')
  const length = await expect(lengthBytes)
  if (length.length < lengthBytes || length.readUInt32BE() > longestHeader) throw wrong('is not a backup of a database')
  const header = readHeader(await expect(length.readUInt32BE()), wrong)
  async function* database(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let left = header.size; left > 0; ) {
      const some = await bytes.some(left)
      if (some.length === 0) throw wrong('is a backup that was cut short')
      hash.update(some)
      left -= some.length
      yield some
    }
    const digest = await bytes.take(digestBytes + 1)
    if (digest.length < digestBytes) throw wrong('is a backup that was cut short')
    if (!digest.equals(hash.digest())) throw wrong('is a backup whose bytes were changed')
  }
  return { header, database: database() }
}

function readHeader(bytes: Buffer, wrong: (what: string) => MillraceError): BackupHeader {
  let said: Partial<BackupHeader> & { readonly version?: unknown }
  try {
    said = JSON.parse(bytes.toString()) as typeof said
  } catch {
    throw wrong('is a backup that was cut short or changed')
  }
  if (said.version !== version) throw wrong('is a backup of another version of Millrace, which this one does not understand')
  const { database, metadata, takenAt, size } = said
  const notes = Object.entries(metadata ?? {})
  const isSound = notes.length <= 32 && notes.every(([name, note]) => name.length <= 255 && typeof note === 'string' && note.length <= 255)
  if (!isSound || !Number.isSafeInteger(size) || size! < 0) throw wrong('is a backup whose header was changed')
  return { database: String(database), metadata: Object.fromEntries(notes), takenAt: Number(takenAt), size: size! }
}

/** Bytes of a stream, some at a time. */
class Bytes {
  readonly #source: AsyncIterator<Uint8Array>
  #rest: Uint8Array = Buffer.alloc(0)

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** At most so many; none at the end. */
  async some(most: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const next = await this.#source.next()
      if (next.done) return this.#rest
      this.#rest = next.value
    }
    const taken = this.#rest.subarray(0, most)
    this.#rest = this.#rest.subarray(taken.length)
    return taken
  }

  /** So many; fewer at the end. */
  async take(count: number): Promise<Buffer> {
    const parts: Uint8Array[] = []
    for (let left = count; left > 0; ) {
      const part = await this.some(left)
      if (part.length === 0) break
      parts.push(part)
      left -= part.length
    }
    return Buffer.concat(parts)
  }
}
