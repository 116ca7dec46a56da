import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openDuckdbBackend } from './backend.ts'
import { forever, hostsOf, rowsOf, sales, statement, testBackend } from './test-backend.ts'

const upload = 'f'.repeat(32)
const part = (offset: number, text: string) => ({ upload, offset, data: Buffer.from(text) })
const file = { upload, table: 't', format: 'csv', mode: 'create', path: 'upload' } as const

/** The files of databases that a process has open. */
function openFiles(pid: number): string[] {
  const files = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
  return files.filter((file) => file.includes('data.duckdb'))
}

test('databases of other tenants, namespaces and names are others', async () => {
  const backend = await testBackend(onTestFinished)
  const refs = [sales, { ...sales, name: 'other' }]
  for (const namespace of ['a/b', 'a=2fb', 'A', '..', 'x'.repeat(255)]) refs.push({ ...sales, scope: { tenant: 1, namespace } })
  refs.push({ ...sales, scope: { tenant: 2, namespace: 'default' } })
  for (const [i, ref] of refs.entries()) {
    expect(await backend.create(ref, { i: String(i) }, 1000 + i)).toBe(true)
    await backend.execute(ref, [statement(`CREATE TABLE t AS SELECT ${i} AS i`)], forever)
  }
  for (const [i, ref] of refs.entries()) {
    const { values } = await backend.query(ref, statement('FROM t'), { limit: 10, bytes: 1000 }, forever)
    expect(Buffer.from(values).toString()).toBe(`[[${i}]]`)
    expect(await backend.info(ref)).toMatchObject({ metadata: { i: String(i) }, createdAt: 1000 + i })
  }
  expect((await backend.list(sales.scope, { after: '', limit: 10 })).map(({ name }) => name)).toEqual(['other', 'sales'])
  expect((await backend.list(sales.scope, { after: 'other', limit: 10 })).map(({ name }) => name)).toEqual(['sales'])
  // No name leads out of the directory.
  expect((await readdir(backend.directory)).sort()).toEqual(['1', '2'])
})

test('what was closed is opened again with all it had, also after its process was killed', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  await backend.execute(sales, [statement('CREATE TABLE t AS FROM range(10)')], forever)
  await backend.release(sales)
  expect(await rowsOf(backend, 'SELECT count(*) FROM t')).toEqual([[10]])
  await backend.execute(sales, [statement('INSERT INTO t VALUES (11)')], forever)
  const endless = 'SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c WHERE hash(a.range + b.range + c.range) = 1'
  const pending = expect(rowsOf(backend, endless)).rejects.toMatchObject({ reason: 'UNAVAILABLE', retryAfterMs: 100 })
  // When another one is answered, it is under way.
  expect(await rowsOf(backend, 'SELECT 1')).toEqual([[1]])
  process.kill(hostsOf(backend.directory)[0]!, 'SIGKILL')
  await pending
  expect(await rowsOf(backend, 'SELECT count(*) FROM t')).toEqual([[11]])
})

test('a database that is let go of is closed, also when nobody read its results to their end', async (ctx) => {
  ctx.skip(!existsSync('/proc/self/fd'), 'open files of a process are looked up in /proc')
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  await backend.execute(sales, [statement('CREATE TABLE t AS FROM range(300_000)')], forever)
  const host = hostsOf(backend.directory)[0]!
  const bounds = { limit: 1, bytes: 1000 }
  for (const sql of [
    'FROM t',
    'FROM range(100_000_000_000)',
    'SELECT CASE WHEN range > 290_000 THEN error(range::VARCHAR) ELSE range END FROM t',
  ]) {
    expect(await backend.query(sales, statement(sql), bounds, forever)).toMatchObject({ rows: 1, more: true })
    const stream = await backend.stream(sales, statement(sql), forever)
    expect(await stream.next()).toMatchObject({ rows: expect.any(Number) })
    expect(openFiles(host)).not.toEqual([])
    await backend.release(sales)
    expect(openFiles(host), sql).toEqual([])
    // One batch was on its way.
    await stream.next().catch(() => undefined)
    await expect(stream.next()).rejects.toMatchObject({ reason: 'UNAVAILABLE' })
    await stream.close()
  }
})

test('a query that is ended never answers with a part of its rows', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  await backend.execute(sales, [statement('CREATE TABLE t AS SELECT range AS n FROM range(200_000)')], forever)
  const outcomes = new Set<string>()
  for (let round = 0; round < 30; round++) {
    const asked = rowsOf(backend, 'SELECT max(n), count(DISTINCT n) FROM t').then(String, ({ reason }) => String(reason))
    // Some turns of the event loop later it is under way.
    for (let turn = 0; turn < round * 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    await backend.release(sales)
    outcomes.add(await asked)
  }
  expect([...outcomes].filter((outcome) => outcome !== 'UNAVAILABLE' && outcome !== '199999,200000')).toEqual([])
})

test('a database that takes the place of a dropped one has nothing to do with it', async () => {
  const backend = await testBackend(onTestFinished)
  const streams = []
  for (let round = 0; round < 5; round++) {
    await backend.create(sales, {}, 0)
    await backend.execute(sales, [statement(`CREATE TABLE t AS SELECT ${round} AS round FROM range(100_000)`)], forever)
    const stream = await backend.stream(sales, statement('FROM t'), forever)
    await stream.next()
    streams.push(stream)
    // Who asks meanwhile is answered by the old one, or not at all.
    const asked = Array.from({ length: 5 }, () => rowsOf(backend, 'SELECT max(round) FROM t').then(String, () => 'gone'))
    expect(await backend.drop(sales)).toBe(true)
    for (const answer of await Promise.all(asked)) expect([String(round), 'gone']).toContain(answer)
  }
  await backend.create(sales, {}, 0)
  await backend.execute(sales, [statement('CREATE TABLE t AS SELECT 7 AS round')], forever)
  for (const stream of streams) await stream.close()
  process.kill(hostsOf(backend.directory)[0]!, 'SIGKILL')
  await expect.poll(() => rowsOf(backend, 'FROM t').catch(() => [])).toEqual([[7]])
})

test('a process that does not hear is not waited for when the server stops', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  await backend.execute(sales, [statement('CREATE TABLE t AS SELECT 7 AS a')], forever)
  const host = hostsOf(backend.directory)[0]!
  process.kill(host, 'SIGSTOP')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const closed = backend.close()
  await vi.advanceTimersByTimeAsync(5000)
  await closed
  vi.useRealTimers()
  const again = await openDuckdbBackend({ directory: backend.directory, memory: 64 * 1024 ** 2, threads: 1, spill: 0 })
  onTestFinished(() => again.close())
  expect(await rowsOf(again, 'FROM t')).toEqual([[7]])
})

test('where memory ends, the process of DuckDB ends before the server', async (ctx) => {
  ctx.skip(!existsSync('/proc/self/oom_score_adj'), 'Linux alone is told so')
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  await rowsOf(backend, 'SELECT 1')
  const [pid] = hostsOf(backend.directory)
  await expect.poll(() => readFile(`/proc/${pid}/oom_score_adj`, 'utf8')).toBe('1000\n')
})

test('what a killed server left unfinished is gone at the next start', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  await mkdir(join(backend.directory, '1/default/.half-made'))
  const left = join(backend.directory, '1/default/sales/spill-x')
  await mkdir(join(left, 'staging'), { recursive: true })
  await writeFile(join(left, 'staging/file'), 'left')
  const again = await openDuckdbBackend({ directory: backend.directory, memory: 64 * 1024 ** 2, threads: 1, spill: 0 })
  onTestFinished(() => again.close())
  expect(await readdir(join(backend.directory, '1/default'))).toEqual(['sales'])
  expect(await rowsOf(again, 'SELECT 1')).toEqual([[1]])
  const names = await readdir(join(backend.directory, '1/default/sales'))
  expect(names).not.toContain('spill-x')
})

test('a file that arrives in parts is whole or refused', async () => {
  const backend = await testBackend(onTestFinished, { spill: 1000 })
  await backend.create(sales, {}, 0)
  const write = (offset: number, text: string) => backend.writeUpload(sales, part(offset, text), forever)
  const load = (size: number) => backend.importUpload(sales, { ...file, size }, forever)
  const incomplete = { reason: 'FAILED_PRECONDITION' }
  await expect(load(0)).rejects.toMatchObject(incomplete)
  await expect(write(4, 'x')).rejects.toMatchObject(incomplete)
  expect(await write(0, 'a\n1\n')).toBe(4)
  expect(await write(4, '2\n')).toBe(6)
  expect(await write(4, '2\n')).toBe(6)
  await expect(write(7, '3\n')).rejects.toMatchObject(incomplete)
  await expect(load(7)).rejects.toMatchObject(incomplete)
  expect(await load(6)).toBe(2)
  expect(await rowsOf(backend, 'FROM t')).toEqual([[1], [2]])
  await expect(load(6)).rejects.toMatchObject(incomplete)
  await write(0, 'a\n')
  await expect(write(2, 'x'.repeat(999))).rejects.toMatchObject({ reason: 'QUOTA_EXCEEDED', quota: { limit: 1000 } })
  // What is released is forgotten.
  await backend.release(sales)
  await expect(write(2, '1\n')).rejects.toMatchObject(incomplete)
})

test('rows that a statement changes are counted, also when it returns them', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  const changed = (...sql: string[]) =>
    backend.execute(
      sales,
      sql.map((each) => statement(each)),
      forever,
    )
  expect(await changed('CREATE TABLE t (a INTEGER PRIMARY KEY)', 'INSERT INTO t FROM range(5000) RETURNING a, a + 1')).toEqual([0, 5000])
  expect(await changed('UPDATE t SET a = -a WHERE a > 4000 RETURNING *')).toEqual([999])
  expect(await changed('INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING RETURNING a', 'DELETE FROM t WHERE a < 10 RETURNING a')).toEqual([
    0, 1009,
  ])
  expect(await changed('SELECT * FROM range(7)')).toEqual([0])
})

test('macros of a database are not taken for the functions that tell of its tables', async () => {
  const backend = await testBackend(onTestFinished)
  await backend.create(sales, {}, 0)
  const macros = ['duckdb_tables', 'duckdb_views', 'duckdb_columns', 'duckdb_constraints'].map(
    (name) => `CREATE MACRO ${name}() AS TABLE SELECT 1`,
  )
  const all = ['CREATE TABLE t (a INTEGER PRIMARY KEY)', ...macros, "CREATE MACRO current_database() AS 'x'"]
  await backend.execute(
    sales,
    all.map((sql) => statement(sql)),
    forever,
  )
  expect(await backend.tables(sales, { after: '', limit: 10 }, forever)).toMatchObject([
    { name: 't', columns: [{ name: 'a', primaryKey: true }] },
  ])
  expect(await backend.statistics(sales, 't', forever)).toMatchObject({ rows: 0 })
})
