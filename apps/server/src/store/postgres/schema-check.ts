import type { SchemaReport } from '../schema-report.ts'
import { readConnectionUrl } from './connection.ts'
import { Database, type Transaction } from './database.ts'
import { beginning, migrate, migrations } from './schema.ts'

const shadow = 'millrace_check'

/** SQL: a line for each column, index, setting, trigger and function of a schema; partitions are as their tables are. */
const describe = (schema: string) => `
    SELECT line FROM (
      SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END AS line
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relnamespace = '${schema}'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      UNION ALL
      SELECT replace(pg_get_indexdef(i.indexrelid), '${schema}.', '') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
      WHERE c.relnamespace = '${schema}'::regnamespace AND NOT c.relispartition
      UNION ALL
      SELECT c.relname || ' WITH (' || array_to_string(c.reloptions, ', ') || ')' FROM pg_class c
      WHERE c.relnamespace = '${schema}'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.reloptions IS NOT NULL
      UNION ALL
      SELECT replace(pg_get_triggerdef(t.oid), '${schema}.', '') || CASE WHEN t.tgenabled = 'D' THEN ', disabled' ELSE '' END
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      WHERE c.relnamespace = '${schema}'::regnamespace AND NOT c.relispartition AND NOT t.tgisinternal
      UNION ALL
      SELECT 'FUNCTION ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || '), MD5 of its text '
        || md5(replace(pg_get_functiondef(p.oid), '${schema}.', ''))
      FROM pg_proc p WHERE p.pronamespace = '${schema}'::regnamespace
    ) AS lines ORDER BY line`

/**
 * Compares a database with this version of the code: the code's schema is made beside the real one, in a transaction that
 * is rolled back.
 *
 * @throws MillraceError UNAVAILABLE when the database cannot be reached or used, VALIDATION when the URL is not right.
 */
export async function checkPostgresSchema(url: string): Promise<SchemaReport> {
  const db = new Database(readConnectionUrl(url))
  try {
    let report: SchemaReport | undefined
    await db
      .transaction(
        async (transaction) => {
          report = await compare(transaction)
          throw new Undo()
        },
        { patient: true },
      )
      .catch((error: unknown) => {
        if (!(error instanceof Undo)) throw error
      })
    return report!
  } finally {
    await db.close()
  }
}

/**
 * Brings a database to this version's schema; safe while servers of this and the previous release run.
 *
 * @throws MillraceError UNAVAILABLE when the database cannot be reached or used, VALIDATION when the URL is not right.
 */
export async function migratePostgres(url: string): Promise<void> {
  const db = new Database(readConnectionUrl(url))
  try {
    await migrate(db)
  } finally {
    await db.close()
  }
}

/** Ends a transaction that must leave nothing behind. */
class Undo extends Error {}

async function compare(transaction: Transaction): Promise<SchemaReport> {
  const expected = migrations.length
  await transaction.query(beginning)
  const [row] = await transaction.query<{ value: number }>("SELECT value FROM millrace.meta WHERE key = 'schema'")
  for (const sql of [beginning, ...migrations.map((migration) => migration.sql)]) {
    await transaction.query(sql.replaceAll(/\bmillrace\b/g, shadow))
  }
  const lines = async (schema: string) => (await transaction.query<{ line: string }>(describe(schema))).map(({ line }) => line)
  const [is, should] = [await lines('millrace'), await lines(shadow)]
  return {
    version: row?.value ?? 0,
    expected,
    missing: should.filter((line) => !is.includes(line)),
    unexpected: is.filter((line) => !should.includes(line)),
  }
}
