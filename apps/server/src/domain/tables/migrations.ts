import { createHash } from 'node:crypto'
import { MillraceError } from '../../errors.ts'
import type { SqlOutcome, TableConnection } from './backend.ts'
import { migrationsTable } from './catalog.ts'
import { tellOfTables } from './changes.ts'
import { quoted } from './identifiers.ts'
import { transaction } from './namespaces.ts'
import { explain } from './sql-errors.ts'

/** One step in the life of a schema. */
export interface Migration {
  readonly name: string
  readonly sql: string
}

/** What became of migrations. */
export interface Migrated {
  readonly applied: string[]
  readonly alreadyApplied: string[]
}

/**
 * Carries out the migrations that were not before, each in a transaction of its own.
 *
 * @param connection - logged in as the schema's owner.
 * @throws FAILED_PRECONDITION when one that was carried out has changed since.
 */
export async function migrate(
  connection: TableConnection,
  schema: string,
  migrations: readonly Migration[],
  dryRun: boolean,
): Promise<Migrated> {
  const table = `${quoted(schema)}.${quoted(migrationsTable)}`
  await connection.query(
    `CREATE TABLE IF NOT EXISTS ${table} (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
  )
  // Its users have no business there, whatever is granted by default.
  await connection.query(`REVOKE ALL ON ${table} FROM ${quoted(`${schema}_user`)}`)
  const path = textOf(await connection.query(`SELECT pg_catalog.current_setting('search_path')`))!
  const applied: string[] = []
  const alreadyApplied: string[] = []
  for (const migration of migrations) {
    const done = await transaction(connection, () => step(connection, { schema, table }, migration, dryRun)).catch(async (error) => {
      throw await explain(error, { field: `migrations.${migration.name}` })
    })
    if (done) applied.push(migration.name)
    else alreadyApplied.push(migration.name)
    if (!done || dryRun) continue
    // The next one begins as it would in a call of its own, whatever this one has set.
    await connection.script('RESET ALL; DISCARD TEMP')
    await connection.query(`SELECT pg_catalog.set_config('search_path', $1, false)`, [path])
  }
  return { applied, alreadyApplied }
}

/** Carries out one; false when that was done before. */
async function step(
  connection: TableConnection,
  { schema, table }: { readonly schema: string; readonly table: string },
  { name, sql }: Migration,
  dryRun: boolean,
): Promise<boolean> {
  // One server at a time.
  await connection.query(`LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`)
  const checksum = createHash('sha256').update(sql).digest('hex')
  const { rows } = await connection.query(`SELECT checksum FROM ${table} WHERE name = $1`, [name])
  if (rows[0]) {
    if (rows[0][0] === checksum) return false
    const message = `The migration '${name}' was carried out, and has changed since. Undo the change, and make a new migration of it.`
    throw new MillraceError('FAILED_PRECONDITION', message)
  }
  if (dryRun) return true
  const before = await connection.query('SELECT pg_catalog.pg_current_xact_id()')
  await connection.script(sql)
  const after = await connection.query('SELECT pg_catalog.pg_current_xact_id()')
  if (textOf(before) !== textOf(after)) {
    throw new MillraceError(
      'FAILED_PRECONDITION',
      `The migration '${name}' ends its transaction itself, and may be half done. Leave out COMMIT and ROLLBACK.`,
    )
  }
  await connection.query(`INSERT INTO ${table} (name, checksum) VALUES ($1, $2)`, [name, checksum])
  await tellOfTables(connection, schema)
  return true
}

function textOf({ rows }: SqlOutcome): string | null | undefined {
  return rows[0]?.[0]
}
