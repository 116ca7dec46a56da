import type { RowColumn, RowSet } from '@millrace/protocol'
import type { RowTaker, SqlOutcome, SqlValue, TableQueries } from './backend.ts'
import { baseTypeOf } from './base-type.ts'
import { type ListedColumn, RowList } from './row-list.ts'
import { writeArray, writerOf } from './value-json.ts'

/** What is known of a type: its name, and of what an array is made. */
interface TypeInfo {
  readonly name: string
  readonly element?: number
  /** What stands between the elements of an array. Default: a comma; boxes have commas of their own. */
  readonly delimiter?: string
}

/** Types that every Postgres has, by their numbers; others are asked for. */
const builtIn: Readonly<Record<number, TypeInfo>> = {
  16: { name: 'boolean' },
  17: { name: 'bytea' },
  20: { name: 'bigint' },
  21: { name: 'smallint' },
  23: { name: 'integer' },
  25: { name: 'text' },
  26: { name: 'oid' },
  114: { name: 'json' },
  199: { name: 'json[]', element: 114 },
  700: { name: 'real' },
  701: { name: 'double precision' },
  1000: { name: 'boolean[]', element: 16 },
  1001: { name: 'bytea[]', element: 17 },
  1005: { name: 'smallint[]', element: 21 },
  1007: { name: 'integer[]', element: 23 },
  1009: { name: 'text[]', element: 25 },
  1015: { name: 'character varying[]', element: 1043 },
  1016: { name: 'bigint[]', element: 20 },
  1021: { name: 'real[]', element: 700 },
  1022: { name: 'double precision[]', element: 701 },
  1042: { name: 'character' },
  1043: { name: 'character varying' },
  1082: { name: 'date' },
  1083: { name: 'time without time zone' },
  1114: { name: 'timestamp without time zone' },
  1115: { name: 'timestamp without time zone[]', element: 1114 },
  1182: { name: 'date[]', element: 1082 },
  1184: { name: 'timestamp with time zone' },
  1185: { name: 'timestamp with time zone[]', element: 1184 },
  1186: { name: 'interval' },
  1231: { name: 'numeric[]', element: 1700 },
  1266: { name: 'time with time zone' },
  1700: { name: 'numeric' },
  2278: { name: 'void' },
  2950: { name: 'uuid' },
  2951: { name: 'uuid[]', element: 2950 },
  3802: { name: 'jsonb' },
  3807: { name: 'jsonb[]', element: 3802 },
}

/**
 * Rows as they travel.
 *
 * @param connection - where the types of the namespace are asked for.
 */
export async function toRowSet({ columns, rows, json }: SqlOutcome, connection: TableQueries): Promise<RowSet> {
  if (json) return { columns: wireColumns(columns, plainType), rows: json, contentType: '' }
  const { wire, write } = await rowWriter(columns, connection)
  return { columns: wire, rows: Buffer.from(`[${rows.map(write).join(',')}]`), contentType: '' }
}

/** How rows with these columns travel. */
export interface RowWriter {
  readonly wire: RowColumn[]
  /** A row as a JSON object. */
  write(row: readonly SqlValue[]): string
}

const plainType: TypeOf = (type) => builtIn[type]!

/** Makes what takes rows of types that every Postgres has; undefined when there are others. */
export function plainRows(columns: SqlOutcome['columns']): RowTaker | undefined {
  return columns.every(({ type }) => builtIn[type]) ? new RowList(listColumns(columns, plainType)) : undefined
}

/** Makes what writes rows. */
export async function rowWriter(columns: SqlOutcome['columns'], connection: TableQueries): Promise<RowWriter> {
  const unknown = [...new Set(columns.map(({ type }) => type).filter((type) => !builtIn[type]))]
  const asked = unknown.length > 0 ? await askTypes(connection, unknown) : undefined
  const typeOf: TypeOf = (type) => builtIn[type] ?? asked?.get(type) ?? { name: 'unknown' }
  const fields = listColumns(columns, typeOf).map(({ name, write }) => ({ key: `${JSON.stringify(name)}:`, write }))
  const writeField = (value: SqlValue, i: number) => fields[i]!.key + (value === null ? 'null' : fields[i]!.write(value))
  return { wire: wireColumns(columns, typeOf), write: (row) => `{${row.map(writeField).join(',')}}` }
}

type TypeOf = (type: number) => TypeInfo

function wireColumns(columns: SqlOutcome['columns'], typeOf: TypeOf): RowColumn[] {
  return columns.map(({ name, type }) => ({ name, type: typeOf(type).name }))
}

function listColumns(columns: SqlOutcome['columns'], typeOf: TypeOf): ListedColumn[] {
  return columns.map(({ name, type }) => {
    const { element, delimiter } = typeOf(type)
    return { name, write: element === undefined ? writerOf(type) : (text) => writeArray(text, writerOf(element), delimiter) }
  })
}

async function askTypes(connection: TableQueries, types: readonly number[]): Promise<Map<number, TypeInfo>> {
  // Only what its elements call their array is written as one: `int2vector` has elements too, and no braces.
  const { rows } = await connection.query(
    `SELECT t.oid, pg_catalog.format_type(b.oid, NULL) || CASE WHEN b.list THEN '[]' ELSE '' END, CASE WHEN b.list THEN b.oid END, e.typdelim
     FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
     CROSS JOIN LATERAL ${baseTypeOf('t.oid')} AS b
     WHERE t.oid = ANY ($1::pg_catalog.oid[])`,
    [`{${types.join(',')}}`],
  )
  return new Map(
    rows.map(([oid, name, element, delimiter]) => [
      Number(oid),
      element && delimiter ? { name: name!, element: Number(element), delimiter } : { name: name! },
    ]),
  )
}
