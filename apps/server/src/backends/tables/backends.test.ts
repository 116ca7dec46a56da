import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TableEngine } from '../../domain/tables/engine.ts'
import {
  deleteStatement,
  insertStatement,
  type Statement,
  selectStatement,
  type Target,
  updateStatement,
} from '../../domain/tables/statements.ts'
import { randomNumbers } from '../../testing/random.ts'
import { testBackends } from './test-backends.ts'

const scope = { tenant: 1, namespace: 'default' }

describe.each(await testBackends())('$name', ({ name, open, missing }) => {
  let opened: Awaited<ReturnType<typeof open>>
  let engine: TableEngine
  let large: TableEngine

  beforeAll(async () => {
    if (missing) return
    opened = await open({ timeoutMs: 3000 })
    engine = new TableEngine({ database: opened.database, bounds: { rows: 100, bytes: 10_000 } })
    large = new TableEngine({ database: opened.database, bounds: { rows: 100, bytes: 1_000_000 } })
    await run('CREATE TABLE kept (id int PRIMARY KEY)')
  }, 180_000)
  afterAll(() => opened?.discard())

  const run = async (text: string, values: string[] = [], at = scope) => engine.sql(at, { text, values })
  const rowsOf = async (text: string) => JSON.parse(Buffer.from((await run(text)).result.rows).toString())

  test('calls of many namespaces at once stay apart', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const names = Array.from({ length: 12 }, (_, i) => ({ tenant: 1, namespace: `n${i}` }))
    await Promise.all(names.map((at) => run('CREATE TABLE own (name text)', [], at)))
    await Promise.all(names.flatMap((at) => [1, 2, 3].map(() => run('INSERT INTO own VALUES ($1)', [at.namespace], at))))
    for (const at of names) {
      const { result } = await run('SELECT DISTINCT name FROM own', [], at)
      expect(JSON.parse(Buffer.from(result.rows).toString())).toEqual([{ name: at.namespace }])
    }
  })

  test('values of every kind stand in JSON as they are', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const kinds: readonly (readonly [sql: string, json: string])[] = [
      ['NULL::text', 'null'],
      [`''`, '""'],
      [`'Grüße, 😀'`, '"Grüße, 😀"'],
      [`E'say "no"\\\\\n\x01'`, String.raw`"say \"no\"\\\n\u0001"`],
      [`repeat('é"', 3000)`, `"${'é\\"'.repeat(3000)}"`],
      ['true', 'true'],
      ['false', 'false'],
      ['(-32768)::smallint', '-32768'],
      ['2147483647', '2147483647'],
      ['-999999999999999', '-999999999999999'],
      ['9007199254740991', '9007199254740991'],
      ['9007199254740993', '"9007199254740993"'],
      ['-9223372036854775808', '"-9223372036854775808"'],
      ['1.5::float4', '1.5'],
      ['-1e-300::float8', '-1e-300'],
      [`'-0'::float8`, '-0'],
      [`'NaN'::float8`, '"NaN"'],
      [`'-Infinity'::float4`, '"-Infinity"'],
      ['12345678901234567890.10', '"12345678901234567890.10"'],
      [`'NaN'::numeric`, '"NaN"'],
      [`DATE '2026-02-28'`, '"2026-02-28"'],
      [`TIMESTAMP '2026-02-28 01:02:03.5'`, '"2026-02-28T01:02:03.5"'],
      [`TIMESTAMPTZ '2026-02-28 01:02:03+02'`, '"2026-02-27T23:02:03Z"'],
      [`'infinity'::timestamptz`, '"infinity"'],
      [`'{"a": [1, "\u00e9"]}'::jsonb`, '{"a": [1, "é"]}'],
      [`'\\x00ff22'::bytea`, '"\\\\x00ff22"'],
      [`ARRAY[1, NULL]`, '[1,null]'],
      [`ARRAY['a"', NULL, 'b,c', '']`, String.raw`["a\"",null,"b,c",""]`],
      [`'{}'::bigint[]`, '[]'],
      [`'550e8400-e29b-41d4-a716-446655440000'::uuid`, '"550e8400-e29b-41d4-a716-446655440000"'],
    ]
    const list = kinds.map(([sql], i) => `${sql} AS "${i === 0 ? 'first ""é' : `c${i}`}"`).join(', ')
    const row = kinds.map(([, json], i) => `${JSON.stringify(i === 0 ? 'first "é' : `c${i}`)}:${json}`).join(',')
    const { result } = await large.sql(scope, { text: `SELECT ${list} FROM generate_series(1, 3)`, values: [] })
    expect(Buffer.from(result.rows).toString()).toBe(`[${Array.from({ length: 3 }, () => `{${row}}`).join(',')}]`)
    expect(await rowsOf('SELECT FROM generate_series(1, 2)')).toEqual([{}, {}])
    expect(await rowsOf('SELECT 1 WHERE false')).toEqual([])
  })

  test('texts of all characters come back as they went', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const seed = Number(process.env.MILLRACE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
    console.log(`texts of ${name}: MILLRACE_TEST_SEED=${seed}`)
    const random = randomNumbers(seed)
    const text = () => {
      const most = 10 ** (random() * 2)
      const char = () => (random() < 0.5 ? 1 + random() * 127 : random() < 0.5 ? 0xa0 + random() * 0xd000 : 0x10000 + random() * 0xfffff)
      return String.fromCodePoint(...Array.from({ length: random() * most }, () => Math.floor(char())))
    }
    for (let round = 0; round < 20; round++) {
      const rows = Array.from({ length: 20 }, (_, i) => ({ i, a: text(), b: random() < 0.2 ? null : text(), c: random() }))
      const sql = 'SELECT * FROM json_to_recordset($1) AS r (i int, a text, b text, c float8) ORDER BY i'
      expect(
        JSON.parse(Buffer.from((await large.sql(scope, { text: sql, values: [JSON.stringify(rows)] })).result.rows).toString()),
      ).toEqual(rows)
    }
  })

  test('a result that is too large is refused, and the connection goes on', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await expect(run('SELECT generate_series(1, 101)')).rejects.toMatchObject({
      reason: 'VALIDATION',
      message: expect.stringContaining('more rows'),
    })
    await expect(run(`SELECT repeat('x', 20000)`)).rejects.toMatchObject({
      reason: 'VALIDATION',
      message: expect.stringContaining('more bytes'),
    })
    expect(await rowsOf('SELECT generate_series(1, 100)')).toHaveLength(100)
  })

  test('a change whose result is too large is not made', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE many (id int, n int DEFAULT 0, v text)')
    await run('INSERT INTO many SELECT generate_series(1, 101)')
    const context = { field: 'rows', table: 'many' }
    const session = { scope, user: '' }
    const at = (schema: string) => ({ schema, table: 'many' })
    const tooLarge = { reason: 'VALIDATION', message: expect.stringContaining('than one answer may have') }
    const update = engine.run(session, (schema) => [updateStatement(at(schema), ['n'], '{"n":1}', undefined, '*')], context)
    await expect(update).rejects.toMatchObject(tooLarge)
    const remove = engine.run(session, (schema) => [deleteStatement(at(schema), undefined, '*')], context)
    await expect(remove).rejects.toMatchObject(tooLarge)
    const rows = JSON.stringify([{ id: 0, v: 'x'.repeat(20_000) }])
    const insert = engine.insert(session, (schema) => insertStatement(at(schema), ['id', 'v'], rows, undefined, '*'), context)
    await expect(insert).rejects.toMatchObject(tooLarge)
    for (const before of ['', '-- all\n', ' /* all **/ /* of them */\n'])
      await expect(run(`${before}UPDATE many SET n = 1 RETURNING *`)).rejects.toMatchObject(tooLarge)
    expect(await rowsOf('SELECT count(*)::int, sum(n)::int FROM many')).toEqual([{ count: 101, sum: 0 }])
    // Without rows in the answer there is nothing to refuse; again and again, so that it is prepared.
    for (let n = 1; n <= 4; n++) {
      const json = JSON.stringify({ n })
      await engine.run(session, (schema) => [updateStatement(at(schema), ['n'], json, undefined, undefined)], context)
      if (n === 3) await run('ALTER TABLE many ALTER COLUMN n TYPE bigint')
    }
    expect(await rowsOf('SELECT DISTINCT n::int FROM many')).toEqual([{ n: 4 }])
  })

  test('what one call leaves behind, a failed transaction too, does not reach the next', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('BEGIN')
    await expect(run('SELECT 1/0')).rejects.toThrow('division by zero')
    expect(await rowsOf('SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('columns that are left out are not looked at, though their domain refuses NULL', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run(`CREATE DOMAIN mail AS text NOT NULL CHECK (value LIKE '%@%')`)
    await run(`CREATE TABLE mails (id int PRIMARY KEY, gone int, name text, mail mail DEFAULT 'a@b')`)
    await run('ALTER TABLE mails DROP COLUMN gone')
    const session = { scope, user: '' }
    const context = { field: 'rows', table: 'mails' }
    const write = (make: (target: Target) => Statement) => engine.run(session, (schema) => [make({ schema, table: 'mails' })], context)
    const insert = (columns: string[], row: object) =>
      write((target) => insertStatement(target, columns, JSON.stringify([row]), undefined, undefined))
    await insert(['id', 'name'], { id: 1, name: 'Ann' })
    await write((target) => updateStatement(target, ['name'], '{"name":"Bob"}', undefined, undefined))
    expect(await rowsOf('SELECT * FROM mails')).toEqual([{ id: 1, name: 'Bob', mail: 'a@b' }])
    await expect(insert(['id', 'mail'], { id: 2, mail: null })).rejects.toThrow('domain mail does not allow null values')
    await expect(insert(['id', 'mail'], { id: 2, mail: 'no' })).rejects.toThrow('violates check constraint')
  })

  test('a migration leaves no settings and temporary tables to the next', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    // As the dumps of pg_dump begin.
    const dump = `SELECT pg_catalog.set_config('search_path', '', false); SET check_function_bodies = false; CREATE TEMP TABLE scratch (id int)`
    const next = `CREATE TABLE after_dump (id int); CREATE TEMP TABLE scratch (id int)`
    const names = ['dump', 'next']
    expect(
      await engine.migrate(
        scope,
        [dump, next].map((sql, i) => ({ name: names[i]!, sql })),
        false,
      ),
    ).toEqual({ applied: names, alreadyApplied: [] })
    expect(await rowsOf('SELECT * FROM after_dump')).toEqual([])
  })

  test('errors say what and where', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await expect(run('SELEC 1')).rejects.toMatchObject({
      reason: 'VALIDATION',
      message: expect.stringMatching(/syntax error at or near "SELEC".*At character 1/),
    })
    const broken = { name: '002_broken.sql', sql: 'CREATE TABLE fine (id int);\nCREATE TABEL broken (id int)' }
    await expect(engine.migrate(scope, [{ name: '001.sql', sql: 'SELECT 1' }, broken], false)).rejects.toMatchObject({
      reason: 'VALIDATION',
      message: 'migrations.002_broken.sql: syntax error at or near "TABEL". At character 36.',
    })
    const make = (schema: string) => selectStatement({ schema, table: 'kept' }, { columns: 'idd', order: '', limit: 1, offset: 0 })
    const wrong = await engine.read({ scope, user: '' }, make, { field: 'table', table: 'kept' }).catch((error) => error)
    expect(wrong.message).toBe(`table: column idd does not exist. Did you mean 'id'?`)
    await expect(run('SELECT $1::int', ['x'])).rejects.toMatchObject({ reason: 'VALIDATION' })
    await expect(run('SELECT * FROM nowhere')).rejects.toMatchObject({ reason: 'NOT_FOUND', id: 'nowhere' })
    await expect(run(`DO $$ BEGIN RAISE EXCEPTION 'not today'; END $$`)).rejects.toMatchObject({
      reason: 'VALIDATION',
      message: expect.stringContaining('not today'),
    })
    for (const code of ['PT403', 'APP01', '0Z000', '99001']) {
      await expect(run(`DO $$ BEGIN RAISE EXCEPTION 'not allowed' USING ERRCODE = '${code}', HINT = 'Ask'; END $$`)).rejects.toMatchObject({
        reason: 'VALIDATION',
        message: 'text: not allowed. Ask.',
      })
    }
  })

  test('too few values, rows to copy in and calls without end are refused as mistakes, and nobody else notices', {
    timeout: 60_000,
  }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const refused = async (call: Promise<unknown>, says: RegExp) => {
      await expect(call).rejects.toMatchObject({ reason: 'VALIDATION', message: expect.stringMatching(says) })
      expect(await rowsOf('SELECT 1 AS one')).toEqual([{ one: 1 }])
    }
    await refused(run('SELECT $1::int, $2::int', ['1']), /supplies 1 parameters.* requires 2/)
    await refused(run('SELECT 1', ['1']), /supplies 1 parameters.* requires 0/)
    await run('CREATE TABLE copied (id int)')
    await refused(run('COPY copied FROM STDIN'), /cannot be copied in/)
    await refused(engine.migrate(scope, [{ name: 'copies', sql: 'SELECT 1; COPY copied FROM STDIN; SELECT 2' }], false), /COPY/)
    await run(`CREATE FUNCTION again(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN again(n + 1) + 1; END'`)
    await refused(run('SELECT again(1)'), /stack depth/)
  })

  test('what turns its time limit off is ended all the same, and holds nothing', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE held (id int)')
    const sql = 'SET statement_timeout = 0; LOCK TABLE held; SELECT pg_sleep(1000)'
    await expect(engine.migrate(scope, [{ name: 'endless', sql }], false)).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' })
    await run('INSERT INTO held VALUES (1)')
  })

  test('a connection that a statement ends is made again', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('SELECT pg_terminate_backend(pg_backend_pid())').catch(() => undefined)
    expect(await rowsOf('SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('a statement that does not end is ended, and what was answered before is kept', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('INSERT INTO kept VALUES (1)')
    // PGlite's thread is ended as a crash would: only what reached the disk is there afterwards.
    await expect(run('SELECT count(*) FROM generate_series(1, 10000000000)')).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' })
    expect(await rowsOf('SELECT id FROM kept')).toEqual([{ id: 1 }])
  })
})
