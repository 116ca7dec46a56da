import { invalid } from '../../errors.ts'
import type { SqlValue } from './backend.ts'
import { baseTypeOf } from './base-type.ts'
import { Bindings, type Condition, conditionSql } from './conditions.ts'
import { quoted, quoteIdentifier } from './identifiers.ts'
import { columnsSql, orderSql } from './selections.ts'
import { arrayLiteral } from './values.ts'

/** A statement with the values that it binds. */
export interface Statement {
  readonly text: string
  readonly values: readonly SqlValue[]
}

/** Where a statement acts. In all of them the table goes by `r`, so that no name is taken for another's. */
export interface Target {
  /** The namespace's schema. */
  readonly schema: string
  /** A table or view, as it was named. */
  readonly table: string
}

function tableSql({ schema, table }: Target): string {
  return `${quoted(schema)}.${quoteIdentifier('table', table)}`
}

function whereSql(condition: Condition | undefined, bindings: Bindings): string {
  return condition ? ` WHERE ${conditionSql(condition, bindings)}` : ''
}

/**
 * A row of NULLs as it stands in SQL, for JSON to be put into. Of no row at all, Postgres would check the columns that the JSON
 * leaves out, and a domain may refuse NULL.
 *
 * @param table - its name as it stands in SQL.
 */
export function emptyRow(table: string): string {
  return `ROW((NULL::${table}).*)::${table}`
}

/** Reads rows. */
export function selectStatement(
  target: Target,
  query: { readonly columns: string; readonly where?: Condition; readonly order: string; readonly limit: number; readonly offset: number },
): Statement {
  const bindings = new Bindings()
  let text = `SELECT ${columnsSql(query.columns)} FROM ${tableSql(target)} AS r${whereSql(query.where, bindings)}${orderSql(query.order)}`
  text += ` LIMIT ${bindings.add(String(query.limit))}`
  if (query.offset > 0) text += ` OFFSET ${bindings.add(String(query.offset))}`
  return { text, values: bindings.values }
}

/** Counts rows. */
export function countStatement(target: Target, where: Condition | undefined): Statement {
  const bindings = new Bindings()
  return { text: `SELECT count(*) AS count FROM ${tableSql(target)} AS r${whereSql(where, bindings)}`, values: bindings.values }
}

/** What becomes of rows that are there already. */
export interface OnConflict {
  /** Columns of a unique constraint. */
  readonly columns: readonly string[]
  /** True: they stay as they are. */
  readonly ignore: boolean
}

/**
 * Adds rows that have the same columns. Postgres itself makes values of the JSON, by the types of the columns.
 *
 * @param columns - the columns that the rows give.
 * @param json - the rows, a JSON list.
 * @param returning - what to answer with; undefined for nothing.
 */
export function insertStatement(
  target: Target,
  columns: readonly string[],
  json: string,
  onConflict: OnConflict | undefined,
  returning: string | undefined,
): Statement {
  const table = tableSql(target)
  const names = columns.map((name) => quoteIdentifier('rows', name))
  const head = `INSERT INTO ${table} AS r`
  const tail = conflictSql(names, onConflict) + returningSql(returning)
  // Rows without columns: one default row for each.
  if (names.length === 0) {
    const rows = (JSON.parse(json) as unknown[]).length
    if (rows > 1) throw invalid('rows', 'several of them have no columns; give each at least one')
    return { text: `${head} DEFAULT VALUES${tail}`, values: [] }
  }
  const from = `pg_catalog.json_populate_recordset(${emptyRow(table)}, $1::pg_catalog.json) AS v`
  return { text: `${head} (${names.join(', ')}) SELECT ${names.map((each) => `v.${each}`).join(', ')} FROM ${from}${tail}`, values: [json] }
}

function conflictSql(names: readonly string[], onConflict: OnConflict | undefined): string {
  if (!onConflict) return ''
  const keys = onConflict.columns.map((name) => quoteIdentifier('on_conflict', name))
  const changed = names.filter((name) => !keys.includes(name))
  const target = ` ON CONFLICT (${keys.join(', ')})`
  if (onConflict.ignore) return `${target} DO NOTHING`
  // With nothing to change, a key is set to itself, so that the row is among those answered with.
  const set = (changed.length > 0 ? changed : keys.slice(0, 1)).map((name) => `${name} = EXCLUDED.${name}`)
  return `${target} DO UPDATE SET ${set.join(', ')}`
}

/** Changes rows. */
export function updateStatement(
  target: Target,
  columns: readonly string[],
  json: string,
  where: Condition | undefined,
  returning: string | undefined,
): Statement {
  const table = tableSql(target)
  const bindings = new Bindings()
  const from = `pg_catalog.json_populate_record(${emptyRow(table)}, ${bindings.add(json)}::pg_catalog.json) AS v`
  const set = columns.map((name) => quoteIdentifier('values', name)).map((name) => `${name} = v.${name}`)
  const text = `UPDATE ${table} AS r SET ${set.join(', ')} FROM ${from}${whereSql(where, bindings)}${returningSql(returning)}`
  return { text, values: bindings.values }
}

/** Deletes rows. */
export function deleteStatement(target: Target, where: Condition | undefined, returning: string | undefined): Statement {
  const bindings = new Bindings()
  const text = `DELETE FROM ${tableSql(target)} AS r${whereSql(where, bindings)}${returningSql(returning)}`
  return { text, values: bindings.values }
}

function returningSql(columns: string | undefined): string {
  return columns === undefined ? '' : ` RETURNING ${columnsSql(columns)}`
}

/** What is known of a function's argument: it takes JSON, or is the one that takes any number of values. */
export interface FunctionArgument {
  readonly name: string
  readonly json: boolean
  readonly variadic: boolean
}

/** Describes the arguments of the functions of a name that have all of those given: name, json and variadic. */
export function argumentsStatement(schema: string, name: string, given: readonly string[]): Statement {
  const text = `
    SELECT a.name, bool_and(b.oid IN (114, 3802) AND NOT b.list) AS json, bool_and(a.mode IS NOT DISTINCT FROM 'v') AS variadic
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    CROSS JOIN LATERAL unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargmodes) AS a (name, type, mode)
    CROSS JOIN LATERAL ${baseTypeOf('a.type')} AS b
    WHERE n.nspname = $1 AND p.proname = $2 AND p.proargnames @> $3::text[] AND coalesce(a.mode, 'i') IN ('i', 'b', 'v') GROUP BY a.name`
  return { text, values: [schema, name, arrayLiteral('arguments', given)] }
}

/**
 * Calls a function with named arguments.
 *
 * @param variadic - the argument whose list is any number of values.
 */
export function callStatement(
  schema: string,
  name: string,
  args: readonly (readonly [name: string, value: SqlValue])[],
  variadic?: string,
): Statement {
  const bindings = new Bindings()
  const list = args.map(([arg, value]) => {
    return `${arg === variadic ? 'VARIADIC ' : ''}${quoteIdentifier('arguments', arg)} => ${bindings.add(value)}`
  })
  // Postgres wants it to be the last one.
  list.sort((a, b) => Number(a.startsWith('VARIADIC ')) - Number(b.startsWith('VARIADIC ')))
  return { text: `SELECT * FROM ${quoted(schema)}.${quoteIdentifier('function', name)}(${list.join(', ')})`, values: bindings.values }
}
