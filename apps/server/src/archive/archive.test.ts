import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../test/harness.ts'
import type { Store } from '../store/ports.ts'
import { openPostgresStore } from '../store/postgres/open.ts'
import { openTestServer, type TestDatabase } from '../store/postgres/test-database.ts'
import { sections } from '../store/sections.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import { storeTools } from '../stores.ts'
import { exportStore } from './export.ts'
import { importStore } from './import.ts'
import { expectContent, fill, testNow, testOptions } from './test-content.ts'

const server = await openTestServer()
const progress = () => undefined

/** A place for a store of a kind. */
interface Place {
  readonly url: string
  open(): Promise<Store>
}

const kinds = ['sqlite', 'postgres'] as const
const databases: TestDatabase[] = []
afterEach(async () => {
  for (const database of databases.splice(0)) await database.drop()
})

async function newPlace(kind: (typeof kinds)[number]): Promise<Place> {
  if (kind === 'sqlite') {
    const path = await temporaryFolder()
    return { url: `sqlite:${path}`, open: () => openSqliteStore({ ...testOptions, path }) }
  }
  const database = await server.create()
  databases.push(database)
  return { url: database.url, open: () => openPostgresStore({ ...testOptions, url: database.url }) }
}

async function exportTo(place: Place, path: string) {
  const archive = await storeTools({ store: place.url, data: '' }).openArchive(false)
  try {
    return await exportStore(archive, path, { sections, now: new Date(testNow), progress })
  } finally {
    await archive.close()
  }
}

async function importTo(place: Place, path: string) {
  const archive = await storeTools({ store: place.url, data: '' }).openArchive(true)
  try {
    return await importStore(archive, path, { sections, progress })
  } finally {
    await archive.close()
  }
}

describe.each([
  ['sqlite', 'postgres'],
  ['postgres', 'sqlite'],
  ['sqlite', 'sqlite'],
  ['postgres', 'postgres'],
] as const)('from %s to %s', (from, to) => {
  beforeEach(({ skip }) => {
    if (server.missing && (from === 'postgres' || to === 'postgres')) skip(server.missing)
  })

  it('everything arrives, goes on as it would have, and comes back the same', async () => {
    const folder = await temporaryFolder()
    const [source, target, back] = [await newPlace(from), await newPlace(to), await newPlace(from)]
    const store = await source.open()
    const content = await fill(store)
    await store.close()

    const first = await exportTo(source, join(folder, 'a'))
    expect(first.sections.jobs!.records).toBe(11)
    expect(first.sections.logs!.records).toBe(4)
    expect((await importTo(target, join(folder, 'a'))).sections).toEqual(first.sections)
    expect((await exportTo(target, join(folder, 'b'))).sections).toEqual(first.sections)
    expect((await importTo(back, join(folder, 'b'))).sections).toEqual(first.sections)
    for (const place of [target, back]) {
      const copy = await place.open()
      await expectContent(copy, content)
      await copy.close()
    }
  })
})

describe.each(kinds)('%s', (kind) => {
  let place: Place
  let path: string
  beforeEach(async ({ skip }) => {
    if (server.missing && kind === 'postgres') skip(server.missing)
    place = await newPlace(kind)
    path = join(await temporaryFolder(), 'archive')
  })
  const filled = async (more = 0) => {
    const store = await place.open()
    const content = await fill(store, more)
    await store.close()
    return content
  }

  it('is not copied while a server uses it', async () => {
    const store = await place.open()
    await expect(exportTo(place, path)).rejects.toMatchObject({
      reason: 'UNAVAILABLE',
      message: expect.stringMatching(/in use|uses the database/),
    })
    await expect(importTo(place, path)).rejects.toMatchObject({ reason: 'UNAVAILABLE' })
    await store.close()
  })

  it('is not written over', async () => {
    await filled()
    await exportTo(place, path)
    await expect(importTo(place, path)).rejects.toThrow('The store is not empty')
    await expect(exportTo(place, path)).rejects.toThrow('is there already, and whole')
  })

  it('takes an interrupted export up where it was, cut anywhere', async () => {
    await filled(50)
    const whole = await exportTo(place, path)
    const bytes = await readFile(path)
    for (const length of [0.2, 0.3, 0.5, 0.9, 0.999].map((share) => Math.floor(bytes.length * share))) {
      const cut = `${path}-${length}`
      await writeFile(cut, bytes.subarray(0, length))
      expect(await exportTo(place, cut)).toEqual({ ...whole, resumed: true })
      expect(Buffer.compare(await readFile(cut), bytes)).toBe(0)
    }
    await writeFile(`${path}-header`, bytes.subarray(0, 100))
    await expect(exportTo(place, `${path}-header`)).rejects.toThrow('is not a Millrace archive')
    const store = await place.open()
    await store.close()
    await writeFile(`${path}-old`, bytes.subarray(0, bytes.length / 2))
    await expect(exportTo(place, `${path}-old`)).rejects.toThrow('the store was used since')
  })

  it('takes an interrupted import up where it was; no server starts before', async () => {
    const content = await filled(1500)
    const { sections: sums } = await exportTo(place, path)
    const target = await newPlace(kind)
    const archive = await storeTools({ store: target.url, data: '' }).openArchive(true)
    let calls = 0
    const load = archive.load.bind(archive)
    archive.load = (...added) => {
      if (++calls > 6) throw new Error('interrupted')
      return load(...added)
    }
    await expect(importStore(archive, path, { sections, progress })).rejects.toThrow('interrupted')
    await archive.close()
    await expect(target.open()).rejects.toThrow('millrace import')

    const other = `${path}-other`
    await writeFile(other, (await readFile(path, 'utf8')).replace(/"id":\d+/, '"id":1'))
    await expect(importTo(target, other)).rejects.toThrow('another archive')
    expect(await importTo(target, path)).toMatchObject({ resumed: true, sections: sums })
    const copy = await target.open()
    await expectContent(copy, content)
    await copy.close()
  })

  it('takes no archive that is damaged, not whole, of a newer version, or none', async () => {
    await filled()
    await exportTo(place, path)
    const text = await readFile(path, 'utf8')
    const target = await newPlace(kind)
    const refused = async (content: string, message: RegExp) => {
      await writeFile(path, content)
      await expect(importTo(target, path)).rejects.toThrow(message)
    }
    await refused(text.replace('not needed', 'is needed!'), /is damaged/)
    await refused(text.slice(0, -5), /is not whole/)
    await refused(text.replace('"version":1', '"version":2'), /use a newer one/)
    await refused(text.replace('"tenants":[', '"planets":["a"],"tenants":['), /holds 'planets'.*use a newer one/)
    await refused('', /is not a Millrace archive/)
    await refused('{"a":1}\n', /is not a Millrace archive/)
    await (await target.open()).close()
  })
})
