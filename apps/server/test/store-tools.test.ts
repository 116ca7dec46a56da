import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fill, testOptions } from '../src/archive/test-content.ts'
import { openPostgresStore } from '../src/store/postgres/open.ts'
import { openTestServer, sql, type TestDatabase } from '../src/store/postgres/test-database.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { temporaryFolder } from './harness.ts'
import { spawnMillrace } from './process.ts'

const server = await openTestServer()
let database: TestDatabase
let folder: string
beforeEach(async ({ skip }) => {
  if (server.missing) skip(server.missing)
  database = await server.create()
  folder = await temporaryFolder()
})
afterEach(() => database?.drop())

const run = async (...args: string[]) => (await spawnMillrace(args)).ended
const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await run(...args, '--json')
  return { code, stderr, ...(stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>)) }
}

describe('db', () => {
  it('is migrated by five processes at once, and each says how it is then', async () => {
    const ended = await Promise.all(Array.from({ length: 5 }, () => json('db', 'migrate', '--store', database.url)))
    const { expected } = (await json('db', 'check', '--store', database.url)) as unknown as { expected: number }
    expect(ended.map(({ code, stderr }) => [code, stderr])).toEqual(Array.from({ length: 5 }, () => [0, '']))
    expect(ended).toEqual(ended.map(() => expect.objectContaining({ to: expected })))
    const rows = await sql(database.url, "SELECT value FROM millrace.meta WHERE key = 'schema'")
    expect(rows).toEqual([{ value: String(expected) }])
  })

  it('is compared with the code, on both engines', async () => {
    const sqlite = `sqlite:${folder}`
    for (const store of [database.url, sqlite]) {
      expect((await run('db', 'migrate', '--store', store)).stdout).toMatch(/: schema version none → \d+\./)
      expect((await run('db', 'migrate', '--store', store)).stdout).toMatch(/has schema version \d+ already/)
      expect(await run('db', 'check', '--store', store)).toMatchObject({ code: 0, stdout: expect.stringContaining('They are the same.') })
    }
    await sql(database.url, 'ALTER TABLE millrace.jobs ADD COLUMN extra int')
    using db = new DatabaseSync(join(folder, 'millrace.db'))
    db.exec('DROP INDEX jobs_ready; ALTER TABLE jobs ADD COLUMN extra INTEGER')
    db.close()
    expect(await json('db', 'check', '--store', database.url)).toMatchObject({ code: 1, same: false, unexpected: ['jobs.extra integer'] })
    const differs = await json('db', 'check', '--store', sqlite)
    expect(differs).toMatchObject({ code: 1, unexpected: ['jobs.extra INTEGER'], missing: [expect.stringContaining('INDEX jobs_ready')] })

    // What writes webhooks' deliveries is there while there are webhooks.
    using again = new DatabaseSync(join(folder, 'millrace.db'))
    again.exec(`INSERT INTO webhooks (tenant, namespace, name, url, events, functions, queues, secret, created_at, disabled_why)
      VALUES (1, 'default', 'w', 'https://example.com', 127, '', '', x'00', 0, '')`)
    again.close()
    const unarmed = await json('db', 'check', '--store', sqlite)
    expect(unarmed).toMatchObject({ missing: expect.arrayContaining([expect.stringContaining('CREATE TRIGGER webhook_jobs')]) })
  })

  it('of another version, or not there, is told with what to do', async () => {
    expect(await run('db', 'check', '--store', `sqlite:${folder}`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is no store in'),
    })
    expect((await run('db', 'check', '--store', database.url)).stdout).toContain('Run `millrace db migrate`')
    await run('db', 'migrate', '--store', database.url)
    await sql(database.url, "UPDATE millrace.meta SET value = 99 WHERE key IN ('schema', 'works_with')")
    await run('db', 'migrate', '--store', `sqlite:${folder}`)
    const db = new DatabaseSync(join(folder, 'millrace.db'))
    db.exec('PRAGMA user_version = 99')
    db.close()
    for (const store of [database.url, `sqlite:${folder}`]) {
      const newer = /schema version 99.*use a newer millrace.*millrace db check/
      expect(await run('db', 'migrate', '--store', store)).toMatchObject({ code: 1, stderr: expect.stringMatching(newer) })
      expect(await run('serve', '--store', store, '--grpc', '127.0.0.1:0')).toMatchObject({ code: 1, stderr: expect.stringMatching(newer) })
      expect((await run('db', 'check', '--store', store)).stdout).toContain('use a newer one here')
    }
    expect((await run('db', 'check', '--store', 'mysql:x')).stderr).toContain('is not a store this version knows')
  })
})

describe('export and import', () => {
  const killedWhen = async (args: readonly string[], reached: () => Promise<boolean>) => {
    const { child, ended } = await spawnMillrace(args)
    while (child.exitCode === null && !(await reached())) await new Promise((resolve) => setTimeout(resolve, 1))
    child.kill('SIGKILL')
    return ended
  }
  const sizeOf = async (path: string) => (await stat(path).catch(() => undefined))?.size ?? 0

  it('survive kill -9, from SQLite to Postgres and back', { timeout: 120_000 }, async () => {
    const store = await openSqliteStore({ ...testOptions, path: join(folder, 'from') })
    await fill(store, 20_000)
    await store.close()
    const [first, second] = [join(folder, 'first'), join(folder, 'second')]
    const from = ['export', first, '--store', `sqlite:${join(folder, 'from')}`]
    const into = ['import', first, '--store', database.url]
    const out = ['export', second, '--store', database.url]
    const back = ['import', second, '--store', `sqlite:${join(folder, 'back')}`]
    const loaded = async () =>
      (await sql(database.url, "SELECT FROM millrace.meta WHERE key = 'loaded' AND value > 2000").catch(() => [])).length > 0
    const inLog = async () => (await sizeOf(join(folder, 'back', 'millrace.db-wal'))) > 2_500_000

    expect(await killedWhen(from, async () => (await sizeOf(first)) > 100_000)).toMatchObject({ code: null })
    const whole = await json(...from)
    expect(whole).toMatchObject({ code: 0, resumed: true })
    expect(await killedWhen(into, loaded)).toMatchObject({ code: null })
    const { sections } = whole as unknown as { sections: object }
    expect(await json(...into)).toMatchObject({ code: 0, resumed: true, sections })
    expect(await killedWhen(out, async () => (await sizeOf(second)) > 100_000)).toMatchObject({ code: null })
    expect(await json(...out)).toMatchObject({ code: 0, resumed: true, sections })
    expect(await killedWhen(back, inLog)).toMatchObject({ code: null })
    expect(await json(...back)).toMatchObject({ code: 0, resumed: true, sections })
  })

  it('say what they did, and what is in their way', async () => {
    const store = await openPostgresStore({ ...testOptions, url: database.url })
    await fill(store)
    const path = join(folder, 'archive')
    const busy = await run('export', path, '--store', database.url)
    expect(busy).toMatchObject({ code: 1, stderr: expect.stringContaining('A server uses the database: stop it first.') })
    await store.close()
    expect((await run('export', path, '--store', database.url)).stdout).toMatch(
      /jobs +11 {2}[0-9a-f]{16}\n[\s\S]* is copied to .*archive: \d+ records\.\n/,
    )
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await run('import', path, '--store', database.url)).stderr).toContain('The store is not empty')
    expect((await run('import', `${path}-none`, '--data', join(folder, 'x'))).stderr).toContain('ENOENT')
    expect((await run('export', path, '--data', join(folder, 'none'))).stderr).toContain('There is no store in')
    expect(await readdir(folder)).toEqual(['archive'])
  })
})
