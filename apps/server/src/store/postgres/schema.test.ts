import pg from 'pg'
import { expect, it } from 'vitest'
import { beginning, migrations, releasedSchema } from './schema.ts'
import { checkPostgresSchema, migratePostgres } from './schema-check.ts'
import { sql, useTestServer } from './test-database.ts'

const server = await useTestServer()

it('is made by a migration, and compared with the code without a trace', async () => {
  const { url, drop } = await server.create()
  const none = await checkPostgresSchema(url)
  expect(none).toMatchObject({ version: 0, unexpected: [] })
  expect(none.missing).toContain('jobs.payload bytea NOT NULL')
  expect(await sql(url, "SELECT 1 FROM pg_namespace WHERE nspname LIKE 'millrace%'")).toEqual([])

  await Promise.all([migratePostgres(url), migratePostgres(url), migratePostgres(url)])
  expect(await checkPostgresSchema(url)).toEqual({ version: none.expected, expected: none.expected, missing: [], unexpected: [] })

  await sql(url, 'ALTER TABLE millrace.jobs DROP COLUMN progress, ADD COLUMN extra int')
  await sql(url, 'DROP INDEX millrace.jobs_ready')
  const { missing, unexpected } = await checkPostgresSchema(url)
  expect(unexpected).toEqual(['jobs.extra integer'])
  expect(missing).toEqual(expect.arrayContaining(['jobs.progress real', expect.stringContaining('INDEX jobs_ready ON')]))

  // Whoever ends jobs writes webhooks' deliveries by triggers: without them events would be lost in silence.
  await sql(url, 'DROP TRIGGER webhook_jobs ON millrace.jobs')
  await sql(url, 'ALTER TABLE millrace.pipelines DISABLE TRIGGER webhook_pipelines')
  await sql(url, 'CREATE OR REPLACE FUNCTION millrace.webhook_ended() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$')
  const without = await checkPostgresSchema(url)
  expect(without.missing).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^CREATE TRIGGER webhook_jobs AFTER UPDATE OF state ON jobs/),
      expect.stringMatching(/^CREATE TRIGGER webhook_pipelines .*\)$/),
      expect.stringMatching(/^FUNCTION webhook_ended\(\), MD5/),
    ]),
  )
  expect(without.unexpected).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^CREATE TRIGGER webhook_pipelines .*, disabled$/),
      expect.stringMatching(/^FUNCTION webhook_ended/),
    ]),
  )
  await drop()
})

it('is changed while somebody reads a table for long, and nobody else waits for that', async () => {
  const { url, drop } = await server.create()
  // As it was two steps ago.
  const before = migrations.findIndex(({ sql }) => sql.includes('ALTER TABLE millrace.jobs'))
  await sql(url, [beginning, ...migrations.slice(0, before).map((migration) => migration.sql)].join(';'))
  await sql(url, `INSERT INTO millrace.meta VALUES ('schema', ${before}), ('works_with', 1)`)
  const reader = new pg.Client({ connectionString: url })
  await reader.connect()
  await reader.query('BEGIN; SELECT FROM millrace.jobs')

  let migrated = false
  const migrating = migratePostgres(url).then(() => {
    migrated = true
  })
  const asked = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'millrace.jobs'::regclass"
  await expect.poll(async () => (await sql(url, asked)).length, { timeout: 10_000, interval: 5 }).toBeGreaterThan(0)
  // It would wait behind the change for as long as that waits for the reader.
  await sql(url, 'SELECT FROM millrace.jobs')
  expect(migrated).toBe(false)
  await reader.query('COMMIT')
  await reader.end()
  await migrating
  expect(await checkPostgresSchema(url)).toMatchObject({ version: migrations.length, missing: [], unexpected: [] })
  await drop()
})

it('every primary key of a table with a tenant begins with the tenant', async () => {
  const { url, drop } = await server.create()
  await migratePostgres(url)
  const others = await sql(
    url,
    `SELECT c.relname FROM pg_class c
     JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'tenant'
     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
     WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind IN ('r', 'p') AND i.indkey[0] IS DISTINCT FROM t.attnum`,
  )
  expect(others).toEqual([])
  await drop()
})

/** Steps after the last release that its servers cannot work on. */
const breaking = (steps: readonly { readonly worksWith: number }[], released: number) =>
  released === 0 ? [] : steps.slice(released).filter(({ worksWith }) => worksWith > released)

it('servers of the last release work on the schema of this one, so that they can be replaced one by one', () => {
  expect(breaking(migrations, releasedSchema)).toEqual([])
  expect(breaking([{ worksWith: 1 }, { worksWith: 1 }, { worksWith: 2 }], 1)).toEqual([{ worksWith: 2 }])
})
