import { createHash, type Hash } from 'node:crypto'
import type { Row, Section, Value } from '../store/sections.ts'

/**
 * An archive is text, a JSON value a line:
 *
 * - the header;
 * - for each section: `{"section":"jobs"}`, its records as arrays of values in the order of the header's columns (bytes in
 *   base64), and `{"end":"jobs","records":N,"sha256":…}` over the lines of its records with their ends;
 * - the manifest. Without it, the archive is not whole.
 */
export interface Header {
  readonly millrace: 'archive'
  /** Of this format. */
  readonly version: number
  readonly id: number
  readonly createdAt: string
  /** What the store's numbers have come to. */
  readonly lastSeq: number
  /** Of the store that was copied: tells whether it was used in between, when the copy is taken up again. */
  readonly stamp: string
  /** Names of columns, by section, in order. */
  readonly sections: Readonly<Record<string, readonly string[]>>
}

/** What a section came to. */
export interface Sum {
  readonly records: number
  /** In hex, over the lines of its records. */
  readonly sha256: string
}

/** The last line: what every section came to. */
export interface Manifest {
  readonly manifest: Readonly<Record<string, Sum>>
}

/** A line that is not a record. */
export type Mark = { readonly section: string } | ({ readonly end: string } & Sum) | Manifest

/** The version of the format that is written, and the newest that is read. */
export const formatVersion = 1

/** The archive is damaged, not whole, or not one; or it does not fit what is asked. The message says what to do. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError'
}

/** Counts a section's records and sums them up. */
export class Summing {
  readonly #hash: Hash = createHash('sha256')
  #records = 0

  add(line: string): void {
    this.#hash.update(`${line}\n`)
    this.#records++
  }

  get records(): number {
    return this.#records
  }

  sum(): Sum {
    return { records: this.#records, sha256: this.#hash.copy().digest('hex') }
  }
}

/** A record's line. */
export function writeRow(row: Row): string {
  return JSON.stringify(row.map((value) => (value instanceof Uint8Array ? base64(value) : value)))
}

/** A line's record; `columns` are those of its archive. Columns that the archive does not have are NULL. */
export function readRow(line: string, section: Section, columns: readonly string[]): Row {
  const values = JSON.parse(line) as readonly Value[]
  return Object.entries(section.columns).map(([name, kind]) => {
    const value = values[columns.indexOf(name)] ?? null
    return kind === 'bytes' && value !== null ? Buffer.from(String(value), 'base64') : value
  })
}

/** A line's mark; undefined for a record. */
export function readMark(line: string): Mark | undefined {
  return line.startsWith('{') ? (JSON.parse(line) as Mark) : undefined
}

/** A first line's header. */
export function readHeader(line: string | undefined, path: string): Header {
  let header: Partial<Header> = {}
  try {
    header = JSON.parse(line ?? '') as Partial<Header>
  } catch {
    // It is not one: told below.
  }
  if (header.millrace !== 'archive') throw new ArchiveError(`${path} is not a Millrace archive.`)
  if (header.version! > formatVersion) {
    throw new ArchiveError(
      `${path} has version ${header.version} of the format, this millrace reads up to ${formatVersion}: use a newer one.`,
    )
  }
  return header as Header
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
