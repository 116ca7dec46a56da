import type { Row, Section, StoreArchive } from '../store/sections.ts'
import type { Copied, Progress } from './export.ts'
import { ArchiveError, type Header, readHeader, readMark, readRow, type Sum, Summing, writeRow } from './format.ts'
import { readLines } from './lines.ts'

/** Records added in one transaction at most, … */
const mostRows = 500
/** … or as many as have this many characters. */
const mostCharacters = 4 * 1024 * 1024

/**
 * Copies an archive to an empty store, and compares what is there then with it. One that was interrupted goes on where it was.
 *
 * @throws {@link ArchiveError} when the archive is damaged or not whole, or the store began to take another one.
 */
export async function importStore(
  store: StoreArchive,
  path: string,
  options: { readonly sections: readonly Section[]; readonly progress: Progress },
): Promise<Copied> {
  const { sections, progress } = options
  const { header, manifest } = await checkArchive(path, sections)
  const before = await store.loading()
  if (before && before.archive !== header.id) {
    throw new ArchiveError('An import of another archive into this store is not finished: finish it, or begin with an empty store.')
  }
  if (!before) await store.beginLoad(header.id)
  const total = Object.values(manifest).reduce((sum, { records }) => sum + records, 0)
  await load(store, path, { header, sections, loaded: before?.records ?? 0, progress: (name, records) => progress(name, records, total) })
  await compare(store, { header, sections, manifest }, (name, records) => progress(`checking ${name}`, records, total))
  await store.endLoad(header.lastSeq)
  return { sections: manifest, records: total, resumed: before !== undefined }
}

/** Reads the whole archive once, before anything is changed. */
async function checkArchive(path: string, sections: readonly Section[]): Promise<{ header: Header; manifest: Record<string, Sum> }> {
  const damaged = () => new ArchiveError(`${path} is damaged: make it again.`)
  let header: Header | undefined
  let manifest: Readonly<Record<string, Sum>> | undefined
  let current = new Summing()
  const sums: Record<string, Sum> = {}
  for await (const { text } of readLines(path)) {
    if (!header) {
      header = readHeader(text, path)
      refuseUnknown(header, path, sections)
      continue
    }
    const mark = readMark(text)
    if (!mark) current.add(text)
    else if ('section' in mark) current = new Summing()
    else if ('manifest' in mark) manifest = mark.manifest
    else {
      sums[mark.end] = current.sum()
      if (!same(sums[mark.end], mark)) throw damaged()
    }
  }
  if (!header) throw new ArchiveError(`${path} is not a Millrace archive.`)
  if (!manifest) throw new ArchiveError(`${path} is not whole: finish the export with the same command that began it.`)
  for (const name of Object.keys(header.sections)) if (!same(sums[name], manifest[name])) throw damaged()
  return { header, manifest }
}

function refuseUnknown(header: Header, path: string, sections: readonly Section[]): void {
  for (const [name, columns] of Object.entries(header.sections)) {
    const known = sections.find((section) => section.name === name)
    const unknown = known ? columns.find((column) => !(column in known.columns)) : name
    if (unknown !== undefined) throw new ArchiveError(`${path} holds '${unknown}', which this millrace does not know: use a newer one.`)
  }
}

async function load(
  store: StoreArchive,
  path: string,
  options: { header: Header; sections: readonly Section[]; loaded: number; progress: (section: string, records: number) => void },
): Promise<void> {
  const { header, sections, progress } = options
  const start = options.loaded
  let loaded = start
  let passed = 0
  let section: Section | undefined
  let rows: Row[] = []
  let characters = 0
  const flush = async () => {
    if (rows.length > 0) await store.load(section!, rows, { archive: header.id, records: loaded })
    loaded += rows.length
    rows = []
    characters = 0
    if (section) progress(section.name, loaded)
  }
  for await (const { text } of readLines(path)) {
    const mark = readMark(text)
    if (mark) {
      await flush()
      if ('section' in mark) section = sections.find(({ name }) => name === mark.section)
    } else if (passed++ >= start) {
      rows.push(readRow(text, section!, header.sections[section!.name]!))
      characters += text.length
      if (rows.length === mostRows || characters >= mostCharacters) await flush()
    }
  }
}

/** Reads everything back, as if it were exported. */
async function compare(
  store: StoreArchive,
  { header, sections, manifest }: { header: Header; sections: readonly Section[]; manifest: Readonly<Record<string, Sum>> },
  progress: (section: string, records: number) => void,
): Promise<void> {
  let records = 0
  for (const section of sections) {
    const sum = new Summing()
    const names = Object.keys(section.columns)
    const places = header.sections[section.name]?.map((column) => names.indexOf(column)) ?? []
    for await (const row of store.dump(section)) {
      sum.add(writeRow(places.map((place) => row[place]!)))
      progress(section.name, ++records)
    }
    const expected = manifest[section.name]
    if (expected ? !same(sum.sum(), expected) : sum.records > 0) {
      throw new ArchiveError(
        `The store's ${section.name} are not those of the archive (${sum.records} records instead of ${expected?.records ?? 0}): begin again with an empty store.`,
      )
    }
  }
}

function same(a: Sum | undefined, b: Sum | undefined): boolean {
  return a?.records === b?.records && a?.sha256 === b?.sha256
}
