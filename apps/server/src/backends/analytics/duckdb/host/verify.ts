import type { DuckDBConnection } from '@duckdb/node-api'
import { Failure, fullMessageOf, isBroken } from './failure.ts'
import { refusal } from './guard.ts'

/** Where a database holds SQL: the function that lists it, and the columns of its name and its text. */
const places = [
  ['view', 'duckdb_views', 'view_name', 'sql'],
  ['table', 'duckdb_tables', 'table_name', 'sql'],
  ['index', 'duckdb_indexes', 'index_name', 'sql'],
  ['macro', 'duckdb_functions', 'function_name', 'macro_definition'],
] as const

/**
 * Sees that a database from anywhere holds no SQL that a tenant could not have written here, and that all its rows can be read. What is
 * called here is DuckDB's own, whatever the database has of that name.
 *
 * @throws Failure, or what DuckDB says
 */
export async function verify(connection: DuckDBConnection): Promise<void> {
  for (const [kind, list, name, text] of places) {
    for (const row of await own(connection, list)) {
      // DuckDB writes it down from what it would carry out. What is not shown cannot be judged.
      const sql = row[text]
      const parameters = kind === 'macro' ? await parametersOf(connection, row) : ''
      const wrong = typeof sql === 'string' && sql !== '' ? (refusal(sql) ?? refusal(parameters)) : 'It does not show its SQL.'
      if (wrong) throw new Failure({ reason: 'VALIDATION', message: `the ${kind} ${String(row[name])}: ${wrong}` })
    }
  }
  for (const { schema_name, table_name } of await own(connection, 'duckdb_tables')) {
    try {
      await connection.run(`SELECT system.main.bit_xor(system.main.hash(t)) FROM data.${quoted(schema_name)}.${quoted(table_name)} t`)
    } catch (error) {
      // A generated column may fail for some row: that is how the database was.
      if (isBroken(error)) throw error
    }
  }
}

/**
 * The parameters of a macro with their defaults, which no list has: DuckDB tells of them when it is called with another one.
 *
 * @throws Failure when it does not
 */
async function parametersOf(connection: DuckDBConnection, row: Row): Promise<string> {
  const call = `data.${quoted(row.schema_name)}.${quoted(row.function_name)}(no_such_parameter := 1)`
  try {
    ;(await connection.prepare(row.function_type === 'macro' ? `SELECT ${call}` : `FROM ${call}`)).destroySync()
  } catch (error) {
    const [, candidates] = /Candidate macros:([\s\S]*)/.exec(fullMessageOf(error)) ?? []
    if (candidates) return candidates
  }
  throw new Failure({ reason: 'VALIDATION', message: `the macro ${String(row.function_name)}: It does not show its parameters.` })
}

type Row = Readonly<Record<string, unknown>>

function quoted(name: unknown): string {
  return `"${String(name).replaceAll('"', '""')}"`
}

/** What a list of DuckDB's says of the database alone. */
async function own(connection: DuckDBConnection, list: string) {
  const rows = (await connection.runAndReadAll(`SELECT * FROM system.main.${list}()`)).getRowObjects()
  return rows.filter((row) => row.database_name === 'data')
}
