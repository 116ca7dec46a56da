import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { expect, onTestFinished, test } from 'vitest'
import type { DatabaseRef } from '../../../domain/analytics/backend.ts'
import { openDuckdbBackend } from './backend.ts'
import { forever, hostsOf, rowsOf, sales, statement, type TestBackend, testBackend } from './test-backend.ts'

const other: DatabaseRef = { ...sales, name: 'other' }
const run = (backend: TestBackend, sql: string) => backend.execute(sales, [statement(sql)], forever)

async function bytesOf(backend: TestBackend, ref = sales): Promise<Buffer> {
  const copy = await backend.copy(ref, forever)
  const parts: Uint8Array[] = []
  for await (const part of copy.read()) parts.push(part)
  await copy.remove()
  const bytes = Buffer.concat(parts)
  expect(bytes).toHaveLength(copy.size)
  return bytes
}

async function* stream(bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000)
}

const restore = (backend: TestBackend, bytes: Uint8Array, replace = false, ref = sales) =>
  backend.restore(ref, { metadata: {}, now: 7, bytes: stream(bytes), replace, path: 'key' }, forever)

/** A database file that no server made: with what DuckDB itself lets in. */
async function fileOf(statements: readonly string[]): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-hostile-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const instance = await DuckDBInstance.create(join(directory, 'x.duckdb'))
  const connection = await instance.connect()
  for (const sql of statements) await connection.run(sql)
  connection.closeSync()
  instance.closeSync()
  return readFile(join(directory, 'x.duckdb'))
}

test('a copy has all of a database, also what is in its log alone', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  for (const sql of [
    'CREATE SEQUENCE numbers START 5',
    "CREATE TYPE mood AS ENUM ('good', 'bad')",
    'CREATE SCHEMA more',
    `CREATE TABLE t (id INTEGER PRIMARY KEY DEFAULT nextval('numbers'), m mood CHECK (m <> 'bad'), twice INTEGER AS (id * 2),
      map MAP(VARCHAR, DECIMAL(38, 3)[]), huge HUGEINT NOT NULL, made TIMESTAMPTZ DEFAULT '2027-01-01')`,
    'CREATE TABLE more.child (id INTEGER, t INTEGER)',
    'CREATE TABLE parts (t INTEGER REFERENCES t (id), UNIQUE (t))',
    'CREATE INDEX by_huge ON t ((huge + 1))',
    'CREATE MACRO plus(a, b := 1) AS a + b',
    `CREATE MACRO "an ""odd"" name"() AS 1`,
    'CREATE MACRO count(n := 5, m := NULL) AS n, (a) AS a + 1',
    'CREATE MACRO numbers_to(n := 2) AS TABLE SELECT * FROM range(n)',
    'CREATE VIEW all_of_it AS SELECT *, plus(id) AS next FROM t',
    "COMMENT ON TABLE t IS 'what is sold'",
    "INSERT INTO t (m, map, huge) SELECT 'good', MAP {'a': [1.5, NULL]}, 2::HUGEINT ** 100 + range FROM range(3000)",
    'INSERT INTO parts VALUES (5), (6)',
    'DELETE FROM t WHERE id > 2000',
  ]) {
    await run(backend, sql)
  }
  const looks = [
    'FROM all_of_it ORDER BY id',
    'SELECT table_name, comment, sql FROM duckdb_tables() ORDER BY 1',
    'SELECT view_name, sql FROM duckdb_views() WHERE NOT internal',
    'SELECT index_name, sql FROM duckdb_indexes() ORDER BY 1',
    'SELECT function_name, macro_definition FROM duckdb_functions() WHERE NOT internal ORDER BY 1',
    'SELECT constraint_text FROM duckdb_constraints() ORDER BY ALL',
    'SELECT plus(1), plus(1, 5), (SELECT count(*) FROM numbers_to())',
    'FROM more.child',
  ]
  const before: unknown[] = []
  for (const sql of looks) before.push(await rowsOf(backend, sql))
  const bytes = await bytesOf(backend)
  await run(backend, "INSERT INTO t (m, huge) VALUES ('good', 1)")
  expect(await restore(backend, bytes)).toBe(false)
  expect(await restore(backend, bytes, false, other)).toBe(true)
  expect(await restore(backend, bytes, true)).toBe(true)
  const after: unknown[] = []
  for (const sql of looks) after.push(await rowsOf(backend, sql))
  expect(after).toEqual(before)
  await run(backend, "INSERT INTO t (m, huge) VALUES ('good', 1)")
  expect(await rowsOf(backend, 'SELECT max(id) FROM t')).toEqual([[3005]])
  await expect(run(backend, "INSERT INTO t (m, huge) VALUES ('bad', 1)")).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
  await expect(run(backend, 'INSERT INTO parts VALUES (5)')).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
  expect((await readdir(join(backend.directory, '1/default'))).sort()).toEqual(['other', 'sales'])
})

test('copies are of one moment each, while others write and read', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  await run(backend, 'CREATE TABLE t (n INTEGER, part INTEGER, filler VARCHAR)')
  const stop = new AbortController()
  let acknowledged = 0
  const writer = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const n = acknowledged
      const insert = (part: number) => statement(`INSERT INTO t SELECT ${n}, ${part}, repeat(hash(range)::VARCHAR, 20) FROM range(300)`)
      await backend.execute(sales, [insert(0), insert(1)], forever)
      acknowledged = n + 1
    }
  }
  const slow = await backend.stream(sales, statement('FROM t, range(1_000_000)'), forever)
  const writing = writer()
  for (let round = 0; round < 4; round++) {
    await expect.poll(() => acknowledged, { timeout: 20_000 }).toBeGreaterThan(round * 3)
    const before = acknowledged
    const bytes = await bytesOf(backend)
    const after = acknowledged
    expect(await restore(backend, bytes, true, other)).toBe(true)
    const counts = statement('SELECT n, part, count(*) FROM t GROUP BY ALL ORDER BY ALL')
    const { values } = await backend.query(other, counts, { limit: 100_000, bytes: 1e6 }, forever)
    const [ns, parts, rows] = JSON.parse(Buffer.from(values).toString()) as [number[], number[], number[]]
    // Transactions are whole, in order, and those before the copy are in it.
    expect(ns).toEqual(ns.map((_, i) => Math.floor(i / 2)))
    expect(parts).toEqual(parts.map((_, i) => i % 2))
    expect(new Set(rows)).toEqual(new Set(ns.length > 0 ? [300] : []))
    expect(ns.length / 2).toBeGreaterThanOrEqual(before)
    expect(ns.length / 2).toBeLessThanOrEqual(after + 1)
  }
  stop.abort()
  await writing
  await slow.close()
}, 120_000)

test('a file that is no database, was changed, or was cut short, is refused and leaves nothing', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(other, {}, 0)
  const good = await fileOf(["CREATE TABLE t AS SELECT range AS i, 'x' || range AS s FROM range(200_000)"])
  const wrong = { reason: 'VALIDATION', fields: [{ path: 'key' }] }
  const seed = Date.now()
  console.log(`seed ${seed}`)
  const bad: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('id,city\n1,Oslo\n')],
    ['zeros', Buffer.alloc(1_000_000)],
    ['half', good.subarray(0, good.length >> 1)],
    ['all but a block', good.subarray(0, good.length - 262_144)],
  ]
  for (let i = 0; i < 6; i++) {
    const changed = Buffer.from(good)
    // Somewhere in a block of rows, not in what is not used.
    const at = 12_288 + 64 + ((seed * (i + 1) * 7919) % 200_000)
    // DuckDB's checksum is the xor of its words, each multiplied: two equal words that become two other equal ones do not change it.
    changed[at]! ^= 1 << i
    bad.push([`changed at ${at}`, changed])
  }
  for (const [name, bytes] of bad) {
    const outcome = restore(backend, bytes)
    await expect(outcome, name).rejects.toMatchObject(wrong)
    await expect(outcome, name).rejects.not.toThrow(/millrace-|\/tmp|default\//)
  }
  expect(await readdir(join(backend.directory, '1/default'))).toEqual(['other'])
  expect(await restore(backend, good)).toBe(true)
  // The process of the others never opened any of it.
  expect(await backend.query(other, statement('SELECT 1'), { limit: 1, bytes: 100 }, forever)).toMatchObject({ rows: 1 })
}, 120_000)

const hidden: readonly (readonly [sql: string, what: string])[] = [
  ["CREATE VIEW v AS SELECT * FROM read_text('/etc/passwd')", 'the view v'],
  ["CREATE VIEW v AS SELECT * FROM query('SELECT 1')", 'the view v'],
  ['CREATE SCHEMA pg_s; CREATE VIEW pg_s.v AS FROM duckdb_settings()', 'the view v'],
  [
    "CREATE MACRO duckdb_views() AS TABLE SELECT 'data' AS database_name, 'x' AS sql WHERE false; CREATE VIEW v AS FROM read_text('/etc/passwd')",
    'the view v',
  ],
  ["CREATE MACRO m() AS TABLE FROM read_csv('/etc/passwd')", 'the macro m'],
  ["CREATE MACRO m(a := 'arrow_scan') AS a", 'the macro m'],
  [`CREATE MACRO m(a := '${'x'.repeat(5000)}', b := 'read_text') AS TABLE SELECT a`, 'the macro m'],
  ["CREATE MACRO m() AS current_setting('temp_directory')", 'the macro m'],
  ['CREATE MACRO m(a) AS a, (a, b) AS (SELECT count(*) FROM arrow_scan(a, b, a))', 'the macro m'],
  ["CREATE TABLE t (a VARCHAR DEFAULT current_setting('temp_directory'))", 'the table t'],
  ["CREATE TABLE t (a INTEGER, b VARCHAR AS (current_setting('temp_directory')))", 'the table t'],
  ["CREATE TABLE t (a INTEGER CHECK (current_setting('threads') > 0))", 'the table t'],
]

test('a database from elsewhere that holds SQL which nobody could have written here is refused', async () => {
  const backend = await testBackend(onTestFinished)
  for (const [sql, what] of hidden) {
    const outcome = restore(backend, await fileOf(sql.split('; ')))
    await expect(outcome, sql).rejects.toMatchObject({ reason: 'VALIDATION', message: expect.stringContaining(what) })
  }
  expect(await backend.info(sales)).toBeUndefined()
}, 120_000)

test('what a database from elsewhere does to the process that opens it, it does to no other, and it ends with its call', async (ctx) => {
  ctx.skip(!existsSync('/proc/self/cwd'), 'processes are looked up in /proc')
  const backend = await testBackend(onTestFinished)
  await backend.create(other, {}, 0)
  const [first] = hostsOf(backend.directory)
  const bytes = await fileOf(['CREATE TABLE t AS SELECT range AS i, hash(range) AS h FROM range(1_000_000)'])
  const stop = new AbortController()
  for (const end of [(pid: number) => process.kill(pid, 'SIGKILL'), () => stop.abort(new Error('enough'))]) {
    const restoring = backend.restore(sales, { metadata: {}, now: 7, bytes: stream(bytes), replace: false, path: 'key' }, stop.signal)
    const outcome = restoring.then(String, ({ reason, message }) => `${reason} ${message}`)
    await expect.poll(() => hostsOf(backend.directory).length, { timeout: 20_000, interval: 5 }).toBe(2)
    end(hostsOf(backend.directory).find((pid) => pid !== first)!)
    expect(await outcome).toMatch(/VALIDATION key: .*the process that opened it ended|undefined enough/)
    expect(hostsOf(backend.directory)).toEqual([first])
    expect(await readdir(join(backend.directory, '1/default'))).toEqual(['other'])
    expect(await backend.query(other, statement('SELECT 1'), { limit: 1, bytes: 100 }, forever)).toMatchObject({ rows: 1 })
  }
})

test('a view of a database from elsewhere reaches no file either, whatever names it', async () => {
  const backend = await testBackend(onTestFinished)
  const secret = join(backend.directory, 'secret.csv')
  await writeFile(secret, 'word\ntop-secret\n')
  const bytes = await fileOf([`CREATE VIEW v AS SELECT * FROM '${secret}'`, 'CREATE TABLE t AS SELECT 1 AS a'])
  // What the guard knows by name is refused with the backup; DuckDB refuses the rest when it is used.
  const outcome = await restore(backend, bytes).then(
    () => rowsOf(backend, 'FROM v').then(String, String),
    (error: unknown) => String(error),
  )
  expect(outcome).not.toContain('top-secret')
  expect(outcome).toMatch(/not allowed|cannot|Cannot/)
})

test('who waits for a copy gives up with its signal, and a copy that waits holds up nobody when it gives up', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  await run(backend, 'CREATE TABLE t (a BIGINT)')
  const endless = new AbortController()
  const slow = 'INSERT INTO t SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b WHERE hash(a.range + b.range) = 1'
  const writing = backend.execute(sales, [statement(slow)], endless.signal)
  const copied = new AbortController()
  const copying = backend.copy(sales, copied.signal)
  const late = new AbortController()
  const insert = () => backend.execute(sales, [statement('INSERT INTO t VALUES (1)')], late.signal)
  /** True when others are answered many times before it. */
  const isHeld = async (writing: Promise<unknown>): Promise<boolean> => {
    let isDone = false
    writing.finally(() => (isDone = true)).catch(() => undefined)
    for (let i = 0; i < 20 && !isDone; i++) await rowsOf(backend, 'SELECT 1')
    return !isDone
  }
  let waiting = insert()
  while (!(await isHeld(waiting))) waiting = insert()
  const outcomes = Promise.allSettled([writing, copying, waiting])
  late.abort(new Error('late'))
  await expect(waiting).rejects.toThrow('late')
  copied.abort(new Error('enough'))
  await expect(copying).rejects.toThrow('enough')
  await run(backend, 'INSERT INTO t VALUES (2)')
  expect(await rowsOf(backend, 'SELECT max(a) FROM t')).toEqual([[2]])
  endless.abort(new Error('at last'))
  expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  expect(await readdir(join(backend.directory, '1/default'))).toEqual(['sales'])
})

test('a database is replaced at once, or stays, and what ran on it ends', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, { note: 'old' }, 0)
  await run(backend, 'CREATE TABLE t AS SELECT 1 AS a FROM range(100_000)')
  const bytes = await fileOf(['CREATE TABLE t AS SELECT 2 AS a'])
  await expect(restore(backend, Buffer.from('no database'), true)).rejects.toMatchObject({ reason: 'VALIDATION' })
  expect(await rowsOf(backend, 'SELECT max(a) FROM t')).toEqual([[1]])
  const stream = await backend.stream(sales, statement('FROM t, range(100)'), forever)
  await stream.next()
  let isReplaced = false
  const answers: unknown[] = []
  const ask = async (): Promise<void> => {
    while (!isReplaced) answers.push(await rowsOf(backend, 'SELECT max(a) FROM t').then(String, ({ reason }) => reason))
  }
  const asking = [ask(), ask()]
  expect(await restore(backend, bytes, true)).toBe(true)
  expect(await rowsOf(backend, 'SELECT max(a) FROM t')).toEqual([[2]])
  isReplaced = true
  await Promise.all(asking)
  // Never was there none.
  expect([...new Set(answers)].filter((answer) => !['1', '2', 'UNAVAILABLE'].includes(String(answer)))).toEqual([])
  await stream.close()
  expect(await readdir(join(backend.directory, '1/default'))).toEqual(['sales'])
  expect(await readdir(join(backend.directory, '1/default/sales'))).not.toContain('successor')
})

test('a server that was killed in between starts with the old database or the new one', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, { note: 'old' }, 0)
  await run(backend, 'CREATE TABLE t AS SELECT 1 AS a')
  await backend.create(other, { note: 'new' }, 0)
  await backend.close()
  const place = join(backend.directory, '1/default')
  const reopen = async () => {
    const again = await openDuckdbBackend({ directory: backend.directory, memory: 64 * 1024 ** 2, threads: 1, spill: 0 })
    const info = await again.info(sales)
    await again.close()
    return info?.metadata
  }
  await rename(join(place, 'other'), join(place, '.new'))
  await writeFile(join(place, '.new/successor'), 'sales')
  await mkdir(join(place, '.nothing'))
  expect(await reopen()).toEqual({ note: 'old' })
  expect(await readdir(place)).toEqual(['sales'])

  const next = await testBackend(onTestFinished)
  await next.create(sales, { note: 'old' }, 0)
  await next.create(other, { note: 'new' }, 0)
  await next.close()
  const at = join(next.directory, '1/default')
  await rename(join(at, 'other'), join(at, '.new'))
  await writeFile(join(at, '.new/successor'), 'sales')
  await rename(join(at, 'sales'), join(at, '.old'))
  const again = await openDuckdbBackend({ directory: next.directory, memory: 64 * 1024 ** 2, threads: 1, spill: 0 })
  onTestFinished(() => again.close())
  expect((await again.info(sales))?.metadata).toEqual({ note: 'new' })
  expect(await readdir(at)).toEqual(['sales'])
  expect(await readdir(join(at, 'sales'))).not.toContain('successor')
})
