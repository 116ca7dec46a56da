import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { forever, rowsOf, sales, statement, type TestBackend, testBackend } from './test-backend.ts'

let backend: TestBackend
let secretFile: string
beforeAll(async () => {
  backend = await testBackend(afterAll)
  await backend.create(sales, {}, 0)
  await backend.create({ ...sales, name: 'other' }, {}, 0)
  secretFile = join(backend.directory, 'secret.csv')
  await writeFile(secretFile, 'word\ntop-secret\n')
  await run('CREATE TABLE t (a INTEGER)')
})

const run = (sql: string) => backend.execute(sales, [statement(sql)], forever)
const bothWays = [
  ['query', (sql: string) => backend.query(sales, statement(sql), { limit: 10, bytes: 1e6 }, forever)],
  ['stream', async (sql: string) => (await backend.stream(sales, statement(sql), forever)).next()],
  ['explain', (sql: string) => backend.explain(sales, statement(sql), true, forever)],
  ['execute', run],
  [
    'export',
    (sql: string) => backend.exportUpload(sales, { statement: statement(sql) }, { upload: 'f'.repeat(32), format: 'csv' }, forever),
  ],
] as const

/** `FILE` is a file that is there, in the directory of all databases. */
const attacks: readonly string[] = [
  // Files
  "SELECT * FROM read_text('FILE')",
  "SELECT * FROM read_blob('FILE')",
  "SELECT * FROM read_csv('FILE')",
  "SELECT * FROM read_csv_auto('FILE')",
  "SELECT * FROM read_json('FILE')",
  "SELECT * FROM read_json_objects('FILE')",
  "SELECT * FROM read_ndjson('FILE')",
  "SELECT * FROM read_parquet('FILE')",
  "SELECT * FROM parquet_scan('FILE')",
  "SELECT * FROM parquet_metadata('FILE')",
  "SELECT * FROM sniff_csv('FILE')",
  "SELECT * FROM glob('/*')",
  "FROM sql_auto_complete('SELECT * FROM ''FILE')",
  "FROM sql_auto_complete('COPY t FROM ''/etc/')",
  'SELECT * FROM "glob" (\'/*\')',
  "SELECT * FROM glob/**/('/*')",
  "SELECT * FROM 'FILE'",
  'SELECT * FROM "FILE"',
  "FROM query_table('FILE')",
  "FROM query_table(['FILE'])",
  'SELECT * FROM "READ_TEXT"(\'FILE\')',
  "SELECT * FROM system.main.read_text('FILE')",
  "SELECT * FROM 'data.duckdb'",
  "SELECT * FROM '1/default/sales/data.duckdb'",
  "SELECT * FROM '1/default/sales/spill/x.csv'",
  "WITH x AS (SELECT * FROM 'FILE') SELECT * FROM x",
  "SELECT (SELECT word FROM 'FILE')",
  "COPY t TO 'FILE2'",
  "COPY (SELECT 1) TO 'FILE2'",
  "COPY t FROM 'FILE'",
  "COPY (SELECT 1) TO '1/default/sales/spill/x.csv'",
  "EXPORT DATABASE 'FILE2'",
  "IMPORT DATABASE 'FILE2'",
  "PRAGMA import_database('FILE2')",
  "CREATE TABLE stolen AS SELECT * FROM 'FILE'",
  "CREATE VIEW stolen AS SELECT * FROM read_text('FILE')",
  "CREATE VIEW stolen AS SELECT * FROM 'FILE'",
  "CREATE MACRO stolen() AS TABLE SELECT * FROM read_text('FILE')",
  "INSERT INTO t SELECT length(word) FROM 'FILE'",
  "INSERT INTO t VALUES (1) RETURNING (SELECT word FROM 'FILE')",
  "MERGE INTO t USING 'FILE' ON true WHEN MATCHED THEN DELETE",
  "UPDATE t SET a = (SELECT length(word) FROM 'FILE')",
  "DELETE FROM t USING 'FILE' WHERE true",
  "CREATE TYPE stolen AS ENUM (SELECT word FROM 'FILE')",
  "CREATE TABLE stolen (a VARCHAR DEFAULT (SELECT content FROM read_text('FILE')))",
  "CREATE TABLE stolen (a VARCHAR CHECK (a IN (FROM 'FILE')))",
  'CREATE TABLE stolen (a VARCHAR, b VARCHAR AS (getenv(a)))',
  "ALTER TABLE t ADD COLUMN b VARCHAR DEFAULT current_setting('temp_directory')",
  "ALTER TABLE t ALTER a SET DEFAULT (SELECT count(*) FROM 'FILE')",
  "CREATE INDEX stolen ON t ((SELECT count(*) FROM 'FILE'))",
  "SUMMARIZE 'FILE'",
  "DESCRIBE 'FILE'",
  "SELECT * FROM (SUMMARIZE 'FILE')",
  "SHOW TABLES FROM 'FILE'",
  "PIVOT 'FILE' ON word",
  "UNPIVOT 'FILE' ON word",
  "FROM ('FILE')",
  "FROM range(3) LIMIT (SELECT count(*) FROM 'FILE')",
  "FROM histogram('FILE', word)",
  "FROM histogram_values('FI' || 'LE', word)",
  'SELECT * FROM U&"\\0072ead_text"(\'FILE\')',
  'COPY t TO STDOUT',
  "COPY (SELECT 1) TO '/dev/stdout'",
  // Out of the parentheses of an export
  "SELECT 1) TO 'FILE2' (FORMAT csv); --",
  "SELECT 1) TO 'FILE2' --",
  "SELECT 1 /* ) TO 'FILE2'",
  "SELECT '1) TO 'FILE2'",
  'SELECT 1 AS "a) TO',
  "SELECT $$1) TO 'FILE2'",
  "EXPLAIN ANALYZE COPY (SELECT 1) TO 'FILE2'",
  "EXPLAIN ANALYZE SELECT * FROM read_text('FILE')",
  // The network
  "SELECT * FROM 'https://example.com/x.csv'",
  "SELECT * FROM 's3://bucket/x.parquet'",
  // Other databases
  "ATTACH 'FILE2'",
  "ATTACH '1/default/other/data.duckdb' AS other",
  "ATTACH ':memory:' AS m",
  "EXPLAIN ANALYZE ATTACH ':memory:' AS m",
  'DETACH data',
  'USE system',
  'COPY FROM DATABASE data TO other',
  // Settings
  'SET threads = 64',
  "SET memory_limit = '1TB'",
  'SET enable_external_access = true',
  'RESET memory_limit',
  'SET VARIABLE x = 1',
  'PRAGMA threads = 64',
  'PRAGMA enable_profiling',
  "PRAGMA profiling_output = 'FILE2'",
  'PRAGMA database_list',
  'SELECT * FROM duckdb_databases()',
  'SELECT path FROM duckdb_databases',
  'FROM pg_catalog.pg_settings',
  'FROM pg_settings',
  'FROM checkpoint()',
  "SELECT * FROM force_checkpoint /* */ ('data')",
  'CHECKPOINT',
  'FORCE CHECKPOINT',
  'SELECT * FROM pragma_database_list()',
  'SELECT * FROM duckdb_settings()',
  "SELECT current_setting('temp_directory')",
  'SELECT * FROM enable_logging()',
  "CALL enable_logging(storage = 'file', storage_path = 'FILE2')",
  "SELECT * FROM enable_logging(storage = 'file', storage_path = 'FILE2')",
  'SELECT * FROM disable_logging()',
  'SELECT * FROM enable_profiling()',
  'SELECT * FROM disable_peg_parser()',
  'SELECT * FROM duckdb_logs()',
  "SELECT write_log('x')",
  // Extensions
  'INSTALL httpfs',
  'LOAD httpfs',
  "LOAD 'FILE'",
  'LOAD json',
  'FORCE INSTALL httpfs',
  'UPDATE EXTENSIONS',
  'SELECT * FROM duckdb_extensions()',
  // Secrets and the environment
  "SELECT getenv('HOME')",
  'CREATE SECRET s (TYPE http)',
  'CREATE OR REPLACE PERSISTENT SECRET s (TYPE http)',
  'SELECT * FROM duckdb_secrets()',
  // SQL in text, and the process's memory
  "SELECT * FROM query('SELECT * FROM read_t' || 'ext(''FILE'')')",
  "FROM query ( 'SELECT 1')",
  'FROM "query"(\'SELECT 1\')',
  "SELECT * FROM query /* */ ('SELECT 1')",
  "SELECT * FROM main.query\n('SELECT 1')",
  // DuckDB takes these for spaces.
  ...[0xa0, 0x2003, 0x200b, 0x202f, 0x205f, 0x2060, 0x3000, 0xfeff].map(
    (space) => `SELECT * FROM query${String.fromCodePoint(space)}('SELECT 1')`,
  ),
  "SELECT * FROM glob\u200b('/*')",
  "FROM query_table('pg_' || 'settings')",
  "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
  'SELECT * FROM arrow_scan(1::POINTER, 2::POINTER, 3::POINTER)',
  'SELECT * FROM arrow_scan_dumb(1::POINTER, 2::POINTER, 3::POINTER)',
  'SELECT * FROM pandas_scan(1::POINTER)',
  // What outlives a call, or works in two
  'PREPARE p AS SELECT 1',
  'EXECUTE p',
  'BEGIN',
  'COMMIT',
  'CALL pragma_version()',
  'SELECT 1; SELECT 2',
]

describe('SQL reaches nothing but its database', () => {
  test.each(bothWays)('with %s', async (_name, attempt) => {
    for (const attack of attacks) {
      const sql = attack.replace('FILE2', join(backend.directory, 'made')).replaceAll('FILE', secretFile)
      const outcome = await attempt(sql).then(
        () => 'it was carried out',
        (error: { reason?: string; message: string }) => error,
      )
      expect(outcome, sql).toMatchObject({ reason: 'VALIDATION' })
      expect((outcome as Error).message, sql).not.toContain('top-secret')
    }
    // Nothing was made, and nothing is loose.
    expect((await readdir(backend.directory)).sort()).toEqual(['1', 'secret.csv'])
    expect(await rowsOf(backend, 'SHOW DATABASES')).toEqual([['data']])
    expect(await rowsOf(backend, 'SELECT count(*) FROM t')).toEqual([[0]])
  })

  test('what it is told of does not say where the server keeps it', async () => {
    const views = await rowsOf(backend, "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE internal ORDER BY ALL")
    expect(views.length).toBeGreaterThan(30)
    const refused = ['main.duckdb_databases', 'main.duckdb_logs', 'main.pragma_database_list', 'pg_catalog.pg_settings']
    const tables = [
      ...views.map(String).filter((name) => !refused.includes(name)),
      'pg_database',
      'duckdb_variables()',
      'duckdb_tables()',
      'duckdb_schemas()',
      'pragma_database_size()',
      'duckdb_memory()',
      'duckdb_functions()',
    ]
    for (const table of tables) {
      const rows = await rowsOf(backend, `FROM ${table}`)
      expect(JSON.stringify(rows), table).not.toContain(backend.directory)
      expect(JSON.stringify(rows), table).not.toMatch(/spill-|staging/)
    }
    for (const attack of attacks) {
      const error: unknown = await rowsOf(backend, attack).catch((thrown: unknown) => thrown)
      expect(String(error), attack).not.toContain(backend.directory)
    }
  })

  test('every function with no arguments, a text or numbers leaves files alone and the process alive', async () => {
    const functions = await rowsOf(
      backend,
      "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro', 'pragma') ORDER BY ALL",
    )
    expect(functions.length).toBeGreaterThan(80)
    for (const [name] of functions) {
      for (const given of ['', `'${secretFile}'`, '1, 2, 3', '1::UBIGINT::POINTER']) {
        const outcome = await rowsOf(backend, `SELECT * FROM "${String(name)}"(${given}) LIMIT 5`).then(
          (rows) => JSON.stringify(rows),
          (error: { reason?: string; message: string }) => `${error.reason} ${error.message}`,
        )
        expect(outcome, `${String(name)}(${given})`).not.toMatch(/top-secret|process of the databases ended|INTERNAL/)
      }
    }
    expect((await readdir(backend.directory)).sort()).toEqual(['1', 'secret.csv'])
  })

  test('a query changes nothing', async () => {
    for (const sql of [
      'INSERT INTO t VALUES (1)',
      'CREATE TABLE u (a INTEGER)',
      'DROP TABLE t',
      'UPDATE t SET a = 1',
      'VACUUM',
      'EXPLAIN ANALYZE INSERT INTO t VALUES (1)',
      '/**/ EXPLAIN ANALYZE CHECKPOINT',
      'EXPLAIN/**/ANALYZE CHECKPOINT',
      '-- why\nEXPLAIN (ANALYZE) FORCE CHECKPOINT',
      '\u200bEXPLAIN ANALYZE CHECKPOINT',
      '\ufeffEXPLAIN ANALYZE CHECKPOINT',
      '/* /* */ */ EXPLAIN ANALYZE CHECKPOINT',
      '/**/ EXPLAIN ANALYZE CALL pragma_version()',
      '/**/ EXPLAIN ANALYZE PREPARE p AS SELECT 1',
      '/**/ EXPLAIN ANALYZE COMMIT',
    ]) {
      await expect(rowsOf(backend, sql), sql).rejects.toMatchObject({ reason: 'VALIDATION' })
    }
    await run('CREATE SEQUENCE s')
    await expect(rowsOf(backend, "SELECT nextval('s')")).rejects.toThrow()
    expect(await rowsOf(backend, 'SELECT count(*) FROM t')).toEqual([[0]])
  })

  test('names that only look like what is refused are taken', async () => {
    await run('CREATE TABLE globs (query INTEGER, secret TEXT, my_query INTEGER)')
    expect(await rowsOf(backend, "SELECT query, secret, my_query FROM globs WHERE secret GLOB 'a*'")).toEqual([])
    expect(await rowsOf(backend, 'SELECT $1', ['read_text'])).toEqual([['read_text']])
  })
})

describe('what a query may use is bounded', () => {
  test('memory and disk', async () => {
    const small = await testBackend(afterAll, { memory: 64 * 1024 ** 2, spill: 16 * 1024 ** 2 })
    await small.create(sales, {}, 0)
    const greedy = 'SELECT list(i) FROM range(50000000) r(i)'
    await expect(rowsOf(small, greedy)).rejects.toMatchObject({ reason: 'QUOTA_EXCEEDED', message: expect.stringContaining('more memory') })
    expect(await rowsOf(small, 'SELECT 1')).toEqual([[1]])
  })

  test('time', async () => {
    const endless = 'SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c WHERE hash(a.range + b.range + c.range) = 1'
    for (const [name, attempt] of [
      ['query', (signal: AbortSignal) => backend.query(sales, statement(endless), { limit: 1, bytes: 1 }, signal)],
      ['execute', (signal: AbortSignal) => backend.execute(sales, [statement(`CREATE TABLE made AS ${endless}`)], signal)],
      ['explain', (signal: AbortSignal) => backend.explain(sales, statement(endless), true, signal)],
      ['stream', async (signal: AbortSignal) => (await backend.stream(sales, statement(endless), signal)).next()],
    ] as const) {
      const stop = new AbortController()
      const outcome = attempt(stop.signal)
      const running = rowsOf(backend, 'SELECT 1')
      expect(await running, name).toEqual([[1]])
      stop.abort(new Error('enough'))
      await expect(outcome, name).rejects.toThrow('enough')
    }
    expect(await rowsOf(backend, "SELECT table_name FROM duckdb_tables() WHERE table_name = 'made'")).toEqual([])
  })

  test('a database whose queries are long and many holds up no other', async () => {
    const endless = 'SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c WHERE hash(a.range + b.range + c.range) = 1'
    const stop = new AbortController()
    const bounds = { limit: 1, bytes: 1000 }
    const outcomes = Array.from({ length: 12 }, () => backend.query(sales, statement(endless), bounds, stop.signal).catch(String))
    const other = { ...sales, name: 'other' }
    const quick = await backend.query(other, statement('SELECT 1'), bounds, AbortSignal.timeout(10_000)).finally(() => stop.abort('enough'))
    expect(quick.rows).toBe(1)
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['enough']))
  })

  test('the time for long texts, for which all databases wait, grows no faster than they do', async () => {
    const length = 300_000
    const invalid = { reason: 'VALIDATION' }
    const start = performance.now()
    for (const word of ['x'.repeat(length), 'x/'.repeat(length / 2), '/x'.repeat(length / 2), '\n'.repeat(length)]) {
      await expect(rowsOf(backend, 'SELECT $1::INTEGER', [word])).rejects.toMatchObject(invalid)
      await expect(rowsOf(backend, `SELECT '${word}'::INTEGER`)).rejects.toMatchObject(invalid)
    }
    await expect(rowsOf(backend, '/**/'.repeat(length / 4))).rejects.toMatchObject({
      message: expect.stringContaining('holds no statement'),
    })
    const padded = statement(`SELECT${' '.repeat(length)}1${';'.repeat(length)} `)
    expect(await backend.exportUpload(sales, { statement: padded }, { upload: 'f'.repeat(32), format: 'csv' }, forever)).toBe(1)
    // Seconds at most, where the square of it took minutes.
    expect(performance.now() - start).toBeLessThan(15_000)
  })
})
