import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TableEngine } from '../../domain/tables/engine.ts'
import { readWhere } from '../../domain/tables/filter-object.ts'
import { selectStatement } from '../../domain/tables/statements.ts'
import { testBackends } from './test-backends.ts'

const scope = { tenant: 1, namespace: 'default' }

describe.each(await testBackends())('$name', ({ name, open, missing }) => {
  let opened: Awaited<ReturnType<typeof open>>
  let engine: TableEngine

  beforeAll(async () => {
    if (missing) return
    opened = await open({ timeoutMs: 20_000 })
    engine = new TableEngine({ database: opened.database, bounds: { rows: 100, bytes: 10_000 } })
    await run('CREATE TABLE things (id int PRIMARY KEY, name text)')
    await run(`INSERT INTO things SELECT i, 'thing ' || i FROM generate_series(1, 100) i`)
  }, 180_000)
  afterAll(() => opened?.discard())

  const run = (text: string) => engine.sql(scope, { text, values: [] })

  async function read(table: string, id = 1, columns = '', user = '') {
    const query = { columns, where: readWhere({ id }), order: '', limit: 10, offset: 0 }
    const make = (schema: string) => selectStatement({ schema, table }, query)
    const { result } = await engine.read({ scope, user }, make, { field: 'table', table })
    return JSON.parse(Buffer.from(result.rows).toString())
  }

  test('reads that begin at once get their own rows, and one that fails fails alone', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    // Again and again: what is read a second time is prepared, and shares connections.
    for (let round = 0; round < 4; round++) {
      const good = Array.from({ length: 60 }, (_, i) => read('things', 1 + i))
      const bad = [read('things', 1, 'nmae'), read('nowhere'), read('things', 1, 'name->>x')].map((each) => each.catch((error) => error))
      expect(await Promise.all(good)).toEqual(good.map((_, i) => [{ id: 1 + i, name: `thing ${1 + i}` }]))
      const errors = await Promise.all(bad)
      expect(errors[0]).toMatchObject({ reason: 'VALIDATION', message: expect.stringContaining("Did you mean 'name'?") })
      expect(errors[1]).toMatchObject({ reason: 'NOT_FOUND', id: 'nowhere' })
      expect(errors[2]).toMatchObject({ reason: 'VALIDATION' })
    }
  })

  test('a table that changes is read as it is now', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE changing (id int PRIMARY KEY, word text)')
    await run(`INSERT INTO changing VALUES (1, 'a')`)
    const readAll = () => Promise.all(Array.from({ length: 20 }, () => read('changing')))
    const all = (row: object) => Array.from({ length: 20 }, () => [row])
    for (let i = 0; i < 4; i++) expect(await readAll()).toEqual(all({ id: 1, word: 'a' }))
    await run('ALTER TABLE changing ADD COLUMN more int DEFAULT 7')
    for (let i = 0; i < 4; i++) expect(await readAll()).toEqual(all({ id: 1, word: 'a', more: 7 }))
    await run('ALTER TABLE changing ALTER COLUMN more TYPE text')
    expect(await readAll()).toEqual(all({ id: 1, word: 'a', more: '7' }))
    await run('DROP TABLE changing')
    await expect(readAll()).rejects.toMatchObject({ reason: 'NOT_FOUND' })
    await run('CREATE TABLE changing (id text PRIMARY KEY)')
    await run(`INSERT INTO changing VALUES ('1')`)
    expect(await readAll()).toEqual(all({ id: '1' }))
  })

  test('users read what policies show them, however often it is read', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE notes (id int, owner text)')
    await run('ALTER TABLE notes ENABLE ROW LEVEL SECURITY')
    await run(`CREATE POLICY own ON notes USING (owner = current_setting('millrace.user'))`)
    await run(`INSERT INTO notes VALUES (1, 'ann'), (1, 'bob')`)
    for (let round = 0; round < 4; round++) {
      const reads = Array.from({ length: 12 }, (_, i) => read('notes', 1, 'owner', ['', 'ann', 'bob'][i % 3]))
      for (const [i, rows] of (await Promise.all(reads)).entries()) {
        expect(rows).toEqual([[{ owner: 'ann' }, { owner: 'bob' }], [{ owner: 'ann' }], [{ owner: 'bob' }]][i % 3])
      }
    }
  })

  test('lists are lists, whatever stands between their elements; vectors of the catalogs are text', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const { result } = await run(
      `SELECT '1 2'::int2vector AS v, '3 4'::oidvector AS o, '{(1,1),(0,0);NULL;(2,2),(1,1)}'::box[] AS b, '{{a,NULL},{"b,}",""}}'::name[] AS n`,
    )
    expect(JSON.parse(Buffer.from(result.rows).toString())).toEqual([
      {
        v: '1 2',
        o: '3 4',
        b: ['(1,1),(0,0)', null, '(2,2),(1,1)'],
        n: [
          ['a', null],
          ['b,}', ''],
        ],
      },
    ])
  })

  test('a result that is too large does not fill the memory before it is refused', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('SELECT 1')
    const before = process.memoryUsage.rss()
    let most = before
    const look = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 10)
    await expect(run(`SELECT repeat('x', 4000000) FROM generate_series(1, 500)`)).rejects.toMatchObject({ reason: 'VALIDATION' })
    clearInterval(look)
    // 2 GB of text were read; how much of it is garbage that still lies about is up to V8.
    expect(most - before).toBeLessThan(800 << 20)
  })

  test('one that waits keeps no other waiting', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has one connection, on which all take turns')
    await run('CREATE VIEW held AS SELECT 1 AS id, pg_advisory_xact_lock(4711)::text AS lock')
    for (let i = 0; i < 3; i++) await Promise.all([read('things'), read('things', 2)])
    const place = (await engine.find(scope))!
    await opened.database.asRole(place.owner, async (connection) => {
      await connection.query('BEGIN')
      await connection.query('SELECT pg_advisory_xact_lock(4711)')
      let waits = true
      const waiting = read('held').finally(() => (waits = false))
      for (let i = 0; i < 3; i++) expect(await Promise.all([read('things'), read('things', 2)])).toHaveLength(2)
      expect(waits).toBe(true)
      await connection.query('COMMIT')
      await waiting
    })
  })
  test('what fails again and again leaves nothing prepared behind', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite prepares nothing')
    const place = (await engine.find(scope))!
    const prepared = await opened.database.asRole(place.owner, async (connection) => {
      for (let i = 0; i < 20; i++) {
        await connection.query(`INSERT INTO "${place.schema}".things VALUES ($1)`, ['1']).catch(() => undefined)
        await connection.query(`SELECT FROM "${place.schema}".things WHERE id = $1`, [i < 10 ? '1' : 'x']).catch(() => undefined)
        for (let j = 0; j < 4; j++) await connection.query(`SELECT ${i * 10 + j}`)
        for (let j = 0; j < 4; j++) await connection.query(`SELECT ${i * 10 + j}`)
      }
      return connection.query(`SELECT count(*) FROM pg_catalog.pg_prepared_statements`)
    })
    expect(Number(prepared.rows[0]![0])).toBeLessThanOrEqual(66)
  })
  test('when connections break, what is on them fails, and all others go on', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has no connections that could break')
    const { owner } = (await engine.find(scope))!
    for (let round = 0; round < 5; round++) {
      const ids = Array.from({ length: 60 }, (_, i) => 1 + i)
      const reads = ids.map((id) => read('things', id).catch((error) => error))
      const kill = opened.database.asServer((connection) =>
        connection.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [owner.role]),
      )
      for (const [i, rows] of (await Promise.all(reads)).entries()) {
        if (rows instanceof Error) expect(rows).toMatchObject({ reason: 'UNAVAILABLE' })
        else expect(rows).toEqual([{ id: ids[i], name: `thing ${ids[i]}` }])
      }
      await kill
      // What is left are connections of which nobody knows yet that they broke.
      for (let again = 0; again < 5; again++) await read('things').catch((error) => expect(error).toMatchObject({ reason: 'UNAVAILABLE' }))
      expect(await Promise.all(ids.map((id) => read('things', id)))).toHaveLength(60)
    }
  })
})
