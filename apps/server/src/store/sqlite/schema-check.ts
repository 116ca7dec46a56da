import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import type { SchemaReport } from '../schema-report.ts'
import { openDatabase, openError } from './open.ts'
import { migrate, migrations, versionOf } from './schema.ts'
import { webhookTriggers } from './webhook-schema.ts'

/**
 * Compares a store's schema with what this version of the code makes; changes nothing.
 *
 * @throws MillraceError UNAVAILABLE when it is in use or cannot be read, NOT_FOUND when there is none.
 */
export function checkSqliteSchema(path: string): SchemaReport {
  if (!existsSync(join(path, 'millrace.db'))) throw new MillraceError('NOT_FOUND', `There is no store in '${path}'.`)
  let db: DatabaseSync | undefined
  try {
    db = openDatabase(path, () => undefined)
    const fresh = new DatabaseSync(':memory:')
    migrate(fresh)
    if (hasWebhooks(db)) fresh.exec(webhookTriggers)
    const [is, should] = [linesOf(db), linesOf(fresh)]
    fresh.close()
    return {
      version: versionOf(db),
      expected: migrations.length,
      missing: should.filter((line) => !is.includes(line)),
      unexpected: is.filter((line) => !should.includes(line)),
    }
  } catch (error) {
    throw openError(error, path)
  } finally {
    db?.close()
  }
}

/**
 * Brings a store to this version's schema; makes it when there is none.
 *
 * @throws MillraceError UNAVAILABLE when it is in use, a newer version wrote it, or it cannot be written.
 */
export function migrateSqlite(path: string): void {
  try {
    openDatabase(path).close()
  } catch (error) {
    throw openError(error, path)
  }
}

/** True when there are webhooks: then there are triggers, and otherwise none. */
function hasWebhooks(db: DatabaseSync): boolean {
  const table = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'webhooks'").get()
  return table !== undefined && db.prepare('SELECT 1 FROM webhooks').get() !== undefined
}

/** A line for each column, index and trigger. */
function linesOf(db: DatabaseSync): string[] {
  const columns = db.prepare(`SELECT t.name || '.' || c.name || ' ' || c.type || CASE WHEN c."notnull" THEN ' NOT NULL' ELSE '' END AS line
    FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'`)
  const indexes = db.prepare("SELECT sql AS line FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL")
  return [...columns.all(), ...indexes.all()].map(({ line }) => String(line).replace(/\s+/g, ' ')).sort()
}
