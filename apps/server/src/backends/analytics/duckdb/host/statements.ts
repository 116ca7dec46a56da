import { type DuckDBConnection, type DuckDBPreparedStatement, StatementType } from '@duckdb/node-api'
import type { SqlStatement } from '../../../../domain/analytics/backend.ts'
import { Failure } from './failure.ts'
import { advice, allowedStatements, refusal } from './guard.ts'
import { bindParameters } from './parameters.ts'

/** Prepares a statement of a tenant, after the checks, with its parameters. */
export async function prepare(
  connection: DuckDBConnection,
  { sql, parameters, path }: SqlStatement,
  kind: keyof typeof allowedStatements,
): Promise<DuckDBPreparedStatement> {
  const wrong = (message: string): Failure => new Failure({ reason: 'VALIDATION', path, message })
  const refused = refusal(sql)
  if (refused) throw wrong(refused)
  // What is only space and comments makes no statement, and DuckDB's binding has no words for that.
  if (firstWord(sql) === sql.length) throw wrong('holds no statement')
  const prepared = await connection.prepare(sql).catch(async (error: unknown) => {
    // DuckDB says this in words for programmers.
    const { count } = await connection.extractStatements(sql)
    throw count === 1 ? error : wrong(`holds ${count} statements; give one${kind === 'execute' ? ', or send a batch' : ''}`)
  })
  const type = typeOf(prepared)
  if (!allowedStatements[kind].has(type)) {
    prepared.destroySync()
    throw wrong(`${type.replace('_', ' ')} is not allowed: ${advice(kind, type)}.`)
  }
  bindParameters(prepared, parameters, parametersOf(path))
  return prepared
}

/** Prepares a statement of the server's own, which has a checked one of a tenant in it, with its parameters. */
export async function prepareOwn(
  connection: DuckDBConnection,
  { sql, parameters, path }: SqlStatement,
  type: string,
): Promise<DuckDBPreparedStatement> {
  const statements = await connection.extractStatements(sql)
  const prepared = await statements.prepare(0)
  if (statements.count !== 1 || typeOf(prepared) !== type) throw new Failure({ reason: 'VALIDATION', path, message: 'is not one query' })
  bindParameters(prepared, parameters, parametersOf(path))
  return prepared
}

/** Where the first word begins, after space, comments and semicolons. They are skipped one by one, for a text may be long. */
function firstWord(sql: string, from = 0): number {
  const nothing = /\/\*[\s\S]*?\*\/|--.*|[;\s]+/y
  for (let at = from; ; at = nothing.lastIndex) {
    nothing.lastIndex = at
    if (at === sql.length || !nothing.test(sql)) return at
  }
}

function typeOf(prepared: DuckDBPreparedStatement): string {
  return StatementType[prepared.statementType] ?? 'unknown'
}

function parametersOf(path: string): string {
  return path.replace(/sql$/, 'parameters')
}

/**
 * What an EXPLAIN explains; undefined for everything else. `EXPLAIN ANALYZE` carries out what follows it, so that is checked as if it
 * stood alone.
 */
export function unexplained(sql: string): string | undefined {
  const [word] = /^explain\b/i.exec(sql.slice(firstWord(sql))) ?? []
  if (word === undefined) return undefined
  const rest = sql.slice(firstWord(sql, firstWord(sql) + word.length))
  const [options = ''] = /^(?:analyze\b|\(\s*(?:analyze|format)\b[^()]*\))/i.exec(rest) ?? []
  return rest.slice(options.length)
}
