import { randomBytes } from 'node:crypto'
import { startPostgres } from '@millrace/dev'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import type { StoreOptions } from '../ports.ts'
import { openPostgresStore, type PostgresStore } from './open.ts'
import { sql, useTestServer } from './test-database.ts'
import { mountSmallDisk, whyNoMounts } from './test-disk.ts'

const server = await useTestServer()

const retry = { maxAttempts: 3, initialBackoffMs: 1000, maxBackoffMs: 1000, multiplier: 1, strategy: 'fixed', jitter: 0 } as const
const options: StoreOptions = { planRetry: () => undefined, defaultRetry: retry, defaultMaxDepth: 1000, now: Date.now }
const open = (url: string) => openPostgresStore({ ...options, url })
const unavailable = (message: RegExp) => ({ reason: 'UNAVAILABLE', message: expect.stringMatching(message) })

const endMillrace = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'millrace%'"

async function enqueue(store: PostgresStore, bytes = 1) {
  const scope = { tenant: await store.keys.tenant('one', 1), namespace: 'default' }
  const none = { contentType: '', headers: {}, labels: {}, priority: 0, timeoutMs: 0, idempotencyKey: '' }
  const job = { queue: 'q', function: '', payload: randomBytes(bytes), ...none }
  return store.jobs.enqueue({ scope, jobs: [job], requestId: '', partial: false, batch: false, now: Date.now() })
}

describe('a store that cannot be opened says why', () => {
  it('nobody listens', async () => {
    await expect(open('postgres://u@127.0.0.1:1/x')).rejects.toMatchObject(unavailable(/127\.0\.0\.1:1\/x cannot be reached.*ECONNREFUSED/))
  })

  it('the password is wrong, and is not shown', async () => {
    await using postgres = await startPostgres({ fsync: false, password: 'right' })
    const url = postgres.url.replace('right', 'wrong')
    await expect(open(url)).rejects.toMatchObject(unavailable(/^Postgres refuses the password/))
    await expect(open(url)).rejects.not.toThrow('wrong')
    await (await open(postgres.url)).close()
  })

  it('the database does not exist', async () => {
    const { url, drop } = await server.create()
    await expect(open(`${url}_none`)).rejects.toMatchObject(unavailable(/^The database does not exist/))
    await drop()
  })

  it('the user may not make the schema', async () => {
    const { url, drop } = await server.create()
    await sql(url, 'CREATE ROLE guest LOGIN')
    const guest = Object.assign(new URL(url), { username: 'guest' })
    await expect(open(guest.href)).rejects.toMatchObject(unavailable(/^The user of the URL may not do this/))
    await sql(url, 'DROP ROLE guest')
    await drop()
  })

  it('a newer server that this one cannot work with wrote it', async () => {
    const { url, drop } = await server.create()
    await (await open(url)).close()
    await sql(url, "UPDATE millrace.meta SET value = 99 WHERE key IN ('schema', 'works_with')")
    await expect(open(url)).rejects.toMatchObject(unavailable(/schema version 99.*use a newer millrace.*millrace db check/))
    await drop()
  })

  it.each(['mysql://h/x', 'postgres://h/x?pool=0', 'postgres://h/x?pgbouncer=maybe'])('the URL is not right: %s', async (url) => {
    await expect(open(url)).rejects.toMatchObject({ reason: 'VALIDATION' })
  })
})

describe('a store that is open', () => {
  it('works on a schema of the next release that says it does', async () => {
    const { url, drop } = await server.create()
    await (await open(url)).close()
    await sql(url, "UPDATE millrace.meta SET value = 99 WHERE key = 'schema'")
    const store = await open(url)
    await enqueue(store)
    await store.close()
    await drop()
  })

  it('says that Postgres is read-only, and recovers by itself', async () => {
    const { url, drop } = await server.create()
    const store = await open(url)
    const database = new URL(url).pathname.slice(1)
    await sql(url, `ALTER DATABASE ${database} SET default_transaction_read_only = on`)
    await sql(url, endMillrace)
    await expect.poll(() => store.check().then(() => '', String)).toMatch(/Postgres is read-only/)
    await sql(url, `BEGIN READ WRITE; ALTER DATABASE ${database} RESET default_transaction_read_only; COMMIT`)
    await sql(url, endMillrace)
    await expect.poll(() => store.check().then(() => 'ok', String)).toBe('ok')
    await enqueue(store)
    await store.close()
    await drop()
  })

  it.each(['fast', 'immediate'] as const)('outlives a %s restart of Postgres', async (how) => {
    await using postgres = await startPostgres({ fsync: false })
    const store = await open(postgres.url)
    await enqueue(store)
    await postgres.halt(how)
    await expect(store.check()).rejects.toMatchObject(unavailable(/cannot be reached/))
    await expect(enqueue(store)).rejects.toMatchObject({ reason: 'UNAVAILABLE' })
    await postgres.start()
    await store.check()
    await enqueue(store)
    const scope = { tenant: await store.keys.tenant('one', 1), namespace: 'default' }
    expect((await store.queues.stats(scope, 'q')).total).toBe(2)
    await store.close()
  })

  it('says that Postgres refuses the password it took before, and recovers by itself', async () => {
    await using postgres = await startPostgres({ fsync: false, password: 'right' })
    const store = await open(postgres.url)
    const change = (from: string, to: string) => sql(postgres.url.replace('right', from), `ALTER USER millrace PASSWORD '${to}'`)
    const cut = (password: string) => sql(postgres.url.replace('right', password), endMillrace)
    await change('right', 'other')
    await cut('other')
    await expect.poll(() => store.check().then(() => '', String)).toMatch(/Postgres refuses the password/)
    await change('other', 'right')
    await expect.poll(() => store.check().then(() => 'ok', String)).toBe('ok')
    await enqueue(store)
    await store.close()
  })

  it('says that a statement took too long, and goes on when what held it up is gone', async () => {
    const { url, drop } = await server.create()
    const store = await open(`${url}?options=${encodeURIComponent('-c statement_timeout=200')}`)
    await enqueue(store)
    const blocker = new pg.Client({ connectionString: url })
    await blocker.connect()
    await blocker.query('BEGIN; LOCK TABLE millrace.jobs IN ACCESS EXCLUSIVE MODE')
    await expect(enqueue(store)).rejects.toMatchObject(unavailable(/took too long and the statement was cancelled/))
    await blocker.query('ROLLBACK')
    await enqueue(store)
    await blocker.end()
    await store.close()
    await drop()
  })

  it('says that the tables are gone, and goes on when they are back', async () => {
    const { url, drop } = await server.create()
    const store = await open(url)
    await enqueue(store)
    await sql(url, 'DROP SCHEMA millrace CASCADE')
    await expect(enqueue(store)).rejects.toMatchObject(unavailable(/run `millrace db migrate`/))
    await expect(store.check()).rejects.toMatchObject(unavailable(/run `millrace db migrate`/))
    await (await open(url)).close()
    await expect.poll(() => store.check().then(() => 'ok', String)).toBe('ok')
    await store.close()
    await drop()
  })

  it('stops when a newer server changed the tables in a way that it does not know', async () => {
    const { url, drop } = await server.create()
    const store = await open(url)
    await enqueue(store)
    const worksWith = (version: string) => sql(url, `UPDATE millrace.meta SET value = ${version} WHERE key = 'works_with'`)
    await worksWith('99')
    await expect(store.check()).rejects.toMatchObject(unavailable(/use a newer millrace/))
    await worksWith('1')
    await store.check()
    await store.close()
    await drop()
  })

  it('says that the disk is full, loses nothing, and goes on when there is room', async ({ skip }) => {
    const missing = whyNoMounts()
    if (missing) skip(missing)
    await using disk = await mountSmallDisk(48)
    await using postgres = await startPostgres({ fsync: false, via: disk.via })
    await sql(postgres.url, `CREATE TABLESPACE small LOCATION '${disk.path}'`)
    await sql(postgres.url, 'CREATE DATABASE tiny TABLESPACE small')
    const store = await open(postgres.url.replace(/postgres$/, 'tiny'))
    disk.run(`dd if=/dev/zero of=${disk.path}/filler bs=1M count=24 2>/dev/null || true`)
    let acknowledged = 0
    const fill = async () => {
      for (;;) {
        await enqueue(store, 100_000)
        acknowledged++
      }
    }
    await expect(fill()).rejects.toMatchObject(unavailable(/^Postgres's disk is full: free space/))
    disk.run(`rm ${disk.path}/filler`)
    await enqueue(store, 100_000)
    const scope = { tenant: await store.keys.tenant('one', 1), namespace: 'default' }
    expect((await store.queues.stats(scope, 'q')).total).toBe(acknowledged + 1)
    await store.close()
  })

  it('keeps texts that Postgres cannot hold as they are', async () => {
    const { url, drop } = await server.create()
    const store = await open(url)
    await enqueue(store)
    const scope = { tenant: await store.keys.tenant('one', 1), namespace: 'default' }
    const demands = () => [{ functions: [''], max: 1, leaseMs: 1000, workerId: 'a\0b"\\' }]
    const job = (await store.jobs.claim({ scope, queue: 'q', demands, now: Date.now() }))[0]![0]!
    const entry = { timestamp: 1, level: 1, message: 'nul \0 "quote" \\ {brace}', fields: '{"a":"\\u0000"}' }
    const error = { message: 'lone \ud800 and \0', code: '', stack: '' }
    const settle = (action: Parameters<typeof store.jobs.settle>[1][0]['action']) =>
      store.jobs.settle(scope, [{ seq: job.seq, token: job.token, action }], Date.now())
    expect(await settle({ type: 'log', entries: [entry] })).toEqual([{}])
    expect(await settle({ type: 'progress', percent: 1, message: 'a\0b' })).toEqual([{}])
    expect(await settle({ type: 'fail', error, noRetry: true })).toEqual([{}])
    const [line] = await store.jobs.logs(scope, job.seq, { limit: 1, after: 0 })
    expect(line).toMatchObject({ message: 'nul \uFFFD "quote" \\ {brace}', fields: '{"a":"\\u0000"}' })
    expect(await store.jobs.get(scope, job.seq)).toMatchObject({
      workerId: 'a\uFFFDb"\\',
      message: 'a\uFFFDb',
      error: { message: 'lone \ud800 and \0' },
    })
    await store.close()
    await drop()
  })

  it('works through a pooler in transaction mode', async () => {
    const { url, drop } = await server.create()
    const pooled = `${url}?pgbouncer=true&pool=4`
    const [a, b] = [await open(pooled), await open(pooled)]
    let missed = 0
    b.listen({ ready() {}, changed() {}, missed: () => missed++ })
    await a.check()
    await b.check()
    await enqueue(a)
    // Nobody can tell it: it looks by itself.
    await expect.poll(() => missed, { timeout: 5000 }).toBeGreaterThan(1)
    expect(await sql(url, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'millrace listen'")).toEqual([])
    await a.close()
    await b.close()
    await drop()
  })
})
