import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Row, Section, StoreArchive } from '../store/sections.ts'
import {
  ArchiveError,
  formatVersion,
  type Header,
  type Mark,
  readHeader,
  readMark,
  readRow,
  type Sum,
  Summing,
  writeRow,
} from './format.ts'
import { readLines } from './lines.ts'

/** Told of how far a copy is: records of `total`, which is an estimate, by the section under way. */
export type Progress = (section: string, records: number, total: number) => void

/** What was copied. */
export interface Copied {
  readonly sections: Readonly<Record<string, Sum>>
  readonly records: number
  /** True when it was taken up where it had been interrupted. */
  readonly resumed: boolean
}

/** Bytes gathered before they are written. */
const writeBytes = 1024 * 1024

/** How much of an archive is there. */
interface Written {
  readonly header: Header
  readonly ended: Map<string, Sum>
  /** The section under way: its sum so far, and its last record. */
  current?: { readonly section: Section; readonly sum: Summing; last?: Row }
  /** Where the last whole line ends. */
  end: number
  whole: boolean
}

/**
 * Copies a store to a file. One that was interrupted goes on where it was.
 *
 * @throws {@link ArchiveError} when the file is something else, whole already, or of a store that was used since.
 */
export async function exportStore(
  store: StoreArchive,
  path: string,
  options: { readonly sections: readonly Section[]; readonly now: Date; readonly progress: Progress },
): Promise<Copied> {
  const { sections, now, progress } = options
  const stamp = await store.stamp()
  const before = existsSync(path) ? await readWritten(path, sections) : undefined
  if (before?.whole) throw new ArchiveError(`${path} is there already, and whole: give another name.`)
  if (before && before.header.stamp !== stamp) {
    throw new ArchiveError(`${path} was begun, and the store was used since: delete the file and begin again.`)
  }
  const file = await open(path, before ? 'r+' : 'wx', 0o600)
  try {
    const written = before ?? { header: await newHeader(store, sections, stamp, now), ended: new Map(), end: 0, whole: false }
    await file.truncate(written.end)
    const writer = new LineWriter(file, written.end)
    if (!before) await writer.line(JSON.stringify(written.header))
    const copied = await writeSections(store, sections, written, writer, progress)
    // A server that came meanwhile may have changed what was copied last.
    if ((await store.stamp()) !== stamp) throw new ArchiveError('A server used the store meanwhile: stop it, delete the file, begin again.')
    await writer.line(JSON.stringify({ manifest: Object.fromEntries(copied) } satisfies Mark))
    await writer.flush()
    await file.sync()
    const total = [...copied.values()].reduce((sum, { records }) => sum + records, 0)
    return { sections: Object.fromEntries(copied), records: total, resumed: before !== undefined }
  } finally {
    await file.close()
  }
}

async function writeSections(
  store: StoreArchive,
  sections: readonly Section[],
  { ended, current }: Written,
  writer: LineWriter,
  progress: Progress,
): Promise<ReadonlyMap<string, Sum>> {
  let total = 0
  for (const section of sections) total += await store.estimate(section)
  let records = [...ended.values()].reduce((sum, each) => sum + each.records, 0) + (current?.sum.records ?? 0)
  for (const section of sections) {
    if (ended.has(section.name)) continue
    const resumed = current?.section === section ? current : undefined
    const sum = resumed?.sum ?? new Summing()
    if (!resumed) await writer.line(JSON.stringify({ section: section.name } satisfies Mark))
    for await (const row of store.dump(section, resumed?.last)) {
      const line = writeRow(row)
      sum.add(line)
      await writer.line(line)
      progress(section.name, ++records, total)
    }
    await writer.line(JSON.stringify({ end: section.name, ...sum.sum() } satisfies Mark))
    ended.set(section.name, sum.sum())
  }
  return ended
}

async function newHeader(store: StoreArchive, sections: readonly Section[], stamp: string, now: Date): Promise<Header> {
  return {
    millrace: 'archive',
    version: formatVersion,
    id: randomInt(2 ** 47),
    createdAt: now.toISOString(),
    lastSeq: await store.lastSeq(),
    stamp,
    sections: Object.fromEntries(sections.map(({ name, columns }) => [name, Object.keys(columns)])),
  }
}

/** Reads what an interrupted export left. Whatever follows the first line that is not right is not counted. */
async function readWritten(path: string, sections: readonly Section[]): Promise<Written | undefined> {
  let written: Written | undefined
  for await (const { text, end } of readLines(path)) {
    try {
      if (!written) written = { header: readHeader(text, path), ended: new Map(), end, whole: false }
      else takeLine(written, text, sections)
      written.end = end
    } catch (error) {
      if (error instanceof ArchiveError) throw error
      break
    }
  }
  if (written) return written
  throw new ArchiveError(`${path} is there already, and is not a Millrace archive: give another name.`)
}

function takeLine(written: Written, text: string, sections: readonly Section[]): void {
  const mark = readMark(text)
  if (!mark) {
    const { section, sum } = written.current!
    written.current!.last = keyOf(section, readRow(text, section, written.header.sections[section.name]!))
    sum.add(text)
  } else if ('section' in mark) {
    written.current = { section: sections.find(({ name }) => name === mark.section)!, sum: new Summing() }
  } else if ('end' in mark) {
    written.ended.set(mark.end, { records: mark.records, sha256: mark.sha256 })
    written.current = undefined
  } else {
    written.whole = true
  }
}

function keyOf({ key, columns }: Section, row: Row): Row {
  const names = Object.keys(columns)
  return key.map((name) => row[names.indexOf(name)]!)
}

/** Writes lines, many at a time. */
class LineWriter {
  readonly #file: FileHandle
  #position: number
  #lines: string[] = []
  #length = 0

  constructor(file: FileHandle, position: number) {
    this.#file = file
    this.#position = position
  }

  async line(text: string): Promise<void> {
    this.#lines.push(text, '\n')
    this.#length += text.length + 1
    if (this.#length >= writeBytes) await this.flush()
  }

  async flush(): Promise<void> {
    const bytes = Buffer.from(this.#lines.join(''))
    this.#lines = []
    this.#length = 0
    for (let from = 0; from < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, from, bytes.length - from, this.#position)
      from += bytesWritten
      this.#position += bytesWritten
    }
  }
}
