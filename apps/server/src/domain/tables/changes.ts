import { MillraceError } from '../../errors.ts'
import { changesChannel, SqlError, type TableConnection } from './backend.ts'
import { ownTables } from './catalog.ts'
import { quoted } from './identifiers.ts'
import { changesFunction, transaction } from './namespaces.ts'

const trigger = 'millrace_changes'
/** Longest wait for a table that others write: those who come after wait, too. */
const lockMs = 2000
/** What comes before the schema when its tables themselves changed. */
const made = 'made '

/**
 * Has the tables of a namespace tell of changes: all of them, for views, functions and policies read others than they name.
 *
 * @param connection - of the tables' owner.
 * @throws UNAVAILABLE when a table is locked for too long.
 */
export async function followTables(connection: TableConnection, schema: string): Promise<void> {
  const { rows } = await connection.query(
    `SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND pg_catalog.pg_get_userbyid(c.relowner) = current_user AND c.relname NOT IN (${ownTables})
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = $2)`,
    [schema, trigger],
  )
  for (const [table] of rows) {
    const add = () =>
      connection.query(
        `CREATE OR REPLACE TRIGGER ${trigger} AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ${quoted(schema)}.${quoted(table!)}
         FOR EACH STATEMENT EXECUTE FUNCTION ${changesFunction}()`,
      )
    await lockingTransaction(connection, table!, add).catch((error) => {
      // Dropped meanwhile.
      if (!(error instanceof SqlError && error.code === '42P01')) throw error
    })
  }
}

/**
 * Runs work that locks a table, in a transaction that does not wait long for it.
 *
 * @throws UNAVAILABLE when the table is locked for too long.
 */
export async function lockingTransaction<T>(connection: TableConnection, table: string, work: () => Promise<T>): Promise<T> {
  try {
    return await transaction(connection, async () => {
      await connection.query(`SET LOCAL lock_timeout = ${lockMs}`)
      return work()
    })
  } catch (error) {
    if (!(error instanceof SqlError && error.code === '55P03')) throw error
    throw new MillraceError('UNAVAILABLE', `The table '${table}' cannot be watched now: a long transaction holds it. Try again.`, {
      retryAfterMs: 1000,
    })
  }
}

/** Tells that tables of a schema may have been made, changed or dropped. */
export async function tellOfTables(connection: TableConnection, schema: string): Promise<void> {
  await connection.query(`SELECT pg_catalog.pg_notify('${changesChannel}', $1)`, [made + schema])
}

/** What was told of which schema. */
export function readChange(said: string): { readonly schema: string; readonly tables: boolean } {
  return said.startsWith(made) ? { schema: said.slice(made.length), tables: true } : { schema: said, tables: false }
}
