import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { migratePostgres } from '../store/postgres/schema-check.ts'
import { openTestServer, sql } from '../store/postgres/test-database.ts'
import { sections } from '../store/sections.ts'
import { migrate } from '../store/sqlite/schema.ts'

/** Tables, and columns of tables, that are not copied: what is in them follows from what is, or is of one place alone. */
const follows = {
  sqlite: ['blobs', 'labels', 'meta', 'jobs.due_at', 'stream_members', 'stream_offsets.owner'],
  postgres: [
    ...['completed', 'labels', 'lane_counts', 'leases', 'meta', 'nodes', 'stream_members', 'stream_offsets.owner'],
    ...['jobs.cancelled_at', 'jobs.failed_at', 'jobs.log_lines', 'jobs.namespace', 'jobs.rank', 'lanes.namespace'],
  ],
}

const copied = new Set(sections.flatMap(({ name, columns }) => [name, ...Object.keys(columns).map((column) => `${name}.${column}`)]))

function forgotten(columns: readonly Record<string, unknown>[], known: readonly string[]): string[] {
  const names = columns.map((row) => [String(row.table), `${String(row.table)}.${String(row.column)}`] as const)
  return names.filter(([table, column]) => !known.includes(table) && !copied.has(column) && !known.includes(column)).map(([, name]) => name)
}

const advice = 'a column that an export would leave out: add it to store/sections.ts and to the adapter, or to the list above'
const postgres = await openTestServer()

it('everything a SQLite store keeps is copied, or follows from what is', () => {
  const db = new DatabaseSync(':memory:')
  migrate(db)
  const columns = db.prepare(`SELECT t.name AS "table", c.name AS "column" FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'`)
  expect(forgotten(columns.all(), follows.sqlite), advice).toEqual([])
  expect(forgotten([{ table: 'jobs', column: 'new' }], follows.sqlite)).toEqual(['jobs.new'])
})

it('everything a Postgres store keeps is copied, or follows from what is', async ({ skip }) => {
  if (postgres.missing) skip(postgres.missing)
  const { url, drop } = await postgres.create()
  await migratePostgres(url)
  const columns = await sql(
    url,
    `SELECT c.relname AS table, a.attname AS column FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
     WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition`,
  )
  expect(forgotten(columns, follows.postgres), advice).toEqual([])
  const completed = columns.filter(({ table }) => table === 'completed').map(({ column }) => `jobs.${String(column)}`)
  expect(
    completed.filter((column) => !copied.has(column)),
    advice,
  ).toEqual([])
  await drop()
})
