import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TableEngine } from '../../domain/tables/engine.ts'
import { selectStatement } from '../../domain/tables/statements.ts'
import { testBackends } from './test-backends.ts'

const scope = { tenant: 1, namespace: 'default' }

describe.each(await testBackends())('$name', ({ open, missing }) => {
  let opened: Awaited<ReturnType<typeof open>>
  let engine: TableEngine

  beforeAll(async () => {
    if (missing) return
    opened = await open({ timeoutMs: 3000 })
    engine = new TableEngine({ database: opened.database, bounds: { rows: 100, bytes: 10_000 } })
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

  test('what one call leaves behind, a failed transaction too, does not reach the next', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('BEGIN')
    await expect(run('SELECT 1/0')).rejects.toThrow('division by zero')
    expect(await rowsOf('SELECT 1 AS one')).toEqual([{ one: 1 }])
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
