import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Bucket, type Database, type Millrace, NotFoundError } from '@millrace/client'
import { expect, onTestFailed, onTestFinished, test } from 'vitest'
import { clientOf } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'

const rounds = process.env.MILLRACE_LONG === '1' ? 20 : 2
/** Rows of each table, file and backup. */
const rows = 20_000

/** What is done again and again: under a new name each time, until a kill. */
interface Work {
  readonly do: (name: string) => Promise<unknown>
  /** Which of these names are not there. Sees that what is there is whole. */
  readonly missing: (names: ReadonlySet<string>) => Promise<readonly string[]>
}

test('imports, exports, backups and restores are there wholly or not at all after kill -9, and leave nothing else', async () => {
  const server = await startServer({ flags: ['--log-level', 'error'] })
  onTestFinished(() => server[Symbol.asyncDispose]())
  onTestFailed(() => console.log(server.log))
  const seed = Date.now() % 1000
  console.log(`seed ${seed}`)
  const mr = clientOf(server, { namespace: 'default', retry: false, circuitBreaker: false, timeout: '60s' })
  const [db, bucket] = [mr.database('ledger'), mr.bucket('files')]
  await db.create()
  await bucket.create()
  await db.execute(`CREATE TABLE source AS SELECT range AS id, 'row ' || range AS text FROM range(${rows})`)
  await db.exportObject('source', { bucket: 'files', key: 'rows.csv' })
  await mr.database('replaced').create()
  for (const which of [0, 1]) {
    await mr.database('replaced').execute(`CREATE OR REPLACE TABLE t AS SELECT ${which} AS which FROM range(${rows})`)
    await mr.database('replaced').backup({ bucket: 'files', key: `seed-${which}` })
  }

  const works = worksOf(mr, db, bucket)
  const acknowledged = works.map(() => new Set<string>())
  let next = 0
  for (let round = 0; round < rounds; round++) {
    const before = acknowledged.map(({ size }) => size)
    const counted = (): number => Math.min(...acknowledged.map(({ size }, i) => size - before[i]!))
    const all = (): number => acknowledged.reduce((sum, { size }) => sum + size, 0)
    let isKilled = false
    const workers = works.map(async (work, i) => {
      while (!isKilled) {
        const name = `n${next++}`
        try {
          await work.do(name)
          acknowledged[i]!.add(name)
        } catch (error) {
          // Before the kill nothing may fail.
          if (!isKilled && !/UNAVAILABLE|ECONN|disconnected|reach/i.test(String(error))) throw error
          return
        }
      }
    })
    const ended = Promise.allSettled(workers)
    await expect.poll(counted, { timeout: 60_000 }).toBeGreaterThan(0)
    const enough = all() + ((seed * (round + 1) * 7) % 11)
    await expect.poll(all, { timeout: 60_000, interval: 5 }).toBeGreaterThanOrEqual(enough)
    isKilled = true
    await server.kill()
    for (const outcome of await ended) if (outcome.status === 'rejected') throw outcome.reason
    await server.restart()
    expect(leftovers(join(server.data, 'analytics')), 'of a killed server').toEqual([])
    for (const [i, work] of works.entries()) {
      expect(await work.missing(acknowledged[i]!), `work ${i}`).toEqual([])
    }
    for (const set of acknowledged) set.clear()
    await tidy(mr, db, bucket)
  }
}, 300_000)

function worksOf(mr: Millrace, db: Database, bucket: Bucket): readonly Work[] {
  const object = { bucket: 'files', key: 'rows.csv' }
  const tables = (prefix: string) => async (names: ReadonlySet<string>) => {
    const found = new Set<string>()
    for await (const { name } of db.tables({ limit: 1000 })) {
      if (!name.startsWith(prefix)) continue
      const sums = await db.query(`SELECT count(*) AS n, sum(id) AS sum FROM "${name}"`)
      expect(sums.rows, name).toEqual([{ n: rows, sum: (rows * (rows - 1)) / 2 }])
      found.add(name.slice(prefix.length))
    }
    return [...names].filter((name) => !found.has(name))
  }
  const objects = (prefix: string) => async (names: ReadonlySet<string>) => {
    const found = new Set<string>()
    for await (const { key, etag } of bucket.list({ prefix })) {
      const bytes = await (await bucket.get(key)).bytes()
      expect(createHash('sha256').update(bytes).digest('hex'), key).toBe(etag)
      found.add(key.slice(prefix.length))
    }
    return [...names].filter((name) => !found.has(name))
  }
  async function* lines() {
    for (let id = 0; id < rows; id++) yield { id, text: `row ${id}` }
  }
  let which = 0
  return [
    { do: (name) => db.importObject(`object-${name}`, object), missing: tables('object-') },
    { do: (name) => db.importStream(`stream-${name}`, lines()), missing: tables('stream-') },
    { do: (name) => db.exportObject('source', { bucket: 'files', key: `export/${name}`, format: 'csv' }), missing: objects('export/') },
    {
      do: (name) => db.backup({ bucket: 'files', key: `backup/${name}` }),
      async missing(names) {
        for await (const { key } of bucket.list({ prefix: 'backup/' })) {
          await mr.database('checked').restore({ bucket: 'files', key, replace: true })
          expect((await mr.database('checked').query('SELECT count(*) AS n FROM source')).rows, key).toEqual([{ n: rows }])
        }
        return objects('backup/')(names)
      },
    },
    {
      do: (name) => mr.database(name).restore({ bucket: 'files', key: 'seed-0' }),
      async missing(names) {
        const found = new Set<string>()
        for await (const { name } of mr.databases.list()) {
          if (!name.startsWith('n')) continue
          expect((await mr.database(name).query('SELECT count(*) AS n FROM t')).rows, name).toEqual([{ n: rows }])
          found.add(name)
        }
        return [...names].filter((name) => !found.has(name))
      },
    },
    {
      do: () => mr.database('replaced').restore({ bucket: 'files', key: `seed-${++which % 2}`, replace: true }),
      async missing() {
        // One of the two, whole; which one, nobody was told.
        const counts = await mr.database('replaced').query('SELECT count(*) AS n, count(DISTINCT which) AS kinds FROM t')
        expect(counts.rows).toEqual([{ n: rows, kinds: 1 }])
        return []
      },
    },
  ]
}

/** What is neither a database nor of one. */
function leftovers(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((path) => /(?:^|\/)(?:\.|spill-)|successor$/.test(path))
}

async function tidy(mr: Millrace, db: Database, bucket: Bucket): Promise<void> {
  for await (const { name } of mr.databases.list()) if (name.startsWith('n')) await mr.database(name).drop()
  for await (const { name } of db.tables()) if (name !== 'source') await db.dropTable(name)
  for (const prefix of ['export/', 'backup/']) {
    for await (const { key } of bucket.list({ prefix })) await bucket.delete(key)
  }
  await expect(mr.database('none').info()).rejects.toThrow(NotFoundError)
}
