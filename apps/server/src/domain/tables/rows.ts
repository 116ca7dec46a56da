import type { RowColumn, RowSet } from '@millrace/protocol'
import type { RowTaker, SqlOutcome, SqlValue, TableQueries } from './backend.ts'
import { baseTypeOf } from './base-type.ts'

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
  if (json) return { columns: writerFor(columns, plainType).wire, rows: json, contentType: '' }
  const { wire, write } = await rowWriter(columns, connection)
  const list = new RowList(write)
  for (const row of rows) list.add(row)
  return { columns: wire, rows: list.end(), contentType: '' }
}

/** A JSON list of rows that grows with each of them. */
class RowList implements RowTaker {
  readonly #write: RowWriter['write']
  #bytes = Buffer.allocUnsafe(1024)
  #length = 0

  constructor(write: RowWriter['write']) {
    this.#write = write
  }

  add(row: readonly SqlValue[]): void {
    this.#append((this.#length === 0 ? '[' : ',') + this.#write(row))
  }

  end(): Uint8Array {
    this.#append(this.#length === 0 ? '[]' : ']')
    return this.#bytes.subarray(0, this.#length)
  }

  #append(text: string): void {
    // A character is three bytes at most.
    const needed = this.#length + 3 * text.length
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, needed))
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    this.#length += this.#bytes.write(text, this.#length)
  }
}

/** How rows with these columns travel. */
export interface RowWriter {
  readonly wire: RowColumn[]
  /** A row as a JSON object. */
  write(row: readonly SqlValue[]): string
}

const plainType = (type: number): TypeInfo => builtIn[type]!

/** Makes what takes rows of types that every Postgres has; undefined when there are others. */
export function plainRows(columns: SqlOutcome['columns']): RowTaker | undefined {
  return columns.every(({ type }) => builtIn[type]) ? new RowList(writerFor(columns, plainType).write) : undefined
}

/** Makes what writes rows. */
export async function rowWriter(columns: SqlOutcome['columns'], connection: TableQueries): Promise<RowWriter> {
  const unknown = [...new Set(columns.map(({ type }) => type).filter((type) => !builtIn[type]))]
  const asked = unknown.length > 0 ? await askTypes(connection, unknown) : undefined
  return writerFor(columns, (type) => builtIn[type] ?? asked?.get(type) ?? { name: 'unknown' })
}

function writerFor(columns: SqlOutcome['columns'], typeOf: (type: number) => TypeInfo): RowWriter {
  const keys = columns.map(({ name }, i) => `${i === 0 ? '{' : ','}${JSON.stringify(name)}:`)
  const writers = columns.map(({ type }): Write => {
    const { element, delimiter } = typeOf(type)
    return element === undefined ? writerOf(type) : (text) => writeArray(text, writerOf(element), delimiter)
  })
  return {
    wire: columns.map(({ name, type }) => ({ name, type: typeOf(type).name })),
    write(row) {
      let json = keys.length === 0 ? '{' : ''
      for (let i = 0; i < keys.length; i++) {
        const value = row[i]!
        json += keys[i]! + (value === null ? 'null' : writers[i]!(value))
      }
      return `${json}}`
    },
  }
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

type Write = (text: string) => string

/** How a value of a type is written in JSON, of the text that Postgres writes. */
function writerOf(type: number): Write {
  switch (type) {
    case 16:
      return (text) => (text === 't' ? 'true' : 'false')
    case 21:
    case 23:
    case 26:
      return (text) => text
    case 20:
      return (text) => (text.length < 16 || Number.isSafeInteger(Number(text)) ? text : `"${text}"`)
    case 700:
    case 701:
      // NaN and Infinity are no numbers of JSON.
      return (text) => (/\d$/.test(text) ? text : `"${text}"`)
    case 114:
    case 3802:
      return (text) => text
    case 1114:
      return (text) => quote(text.replace(' ', 'T'))
    case 1184:
      return (text) => quote(text.replace(' ', 'T').replace(/\+00$/, 'Z'))
    default:
      return quote
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what JSON escapes.
const escaped = /["\\\u0000-\u001f]/

/** A text of JSON. Most have nothing to escape, which is seen faster than they are written by `JSON.stringify`. */
function quote(text: string): string {
  return escaped.test(text) ? JSON.stringify(text) : `"${text}"`
}

/** A list of JSON, of an array as Postgres writes it: `{1,NULL,"a \"b\"",{…}}`, perhaps with bounds before it. */
function writeArray(text: string, write: Write, delimiter = ','): string {
  let at = text.indexOf('{')
  const list = (): string => {
    const parts: string[] = []
    at++
    while (text[at] !== '}') {
      if (text[at] === delimiter) at++
      parts.push(text[at] === '{' ? list() : element())
    }
    at++
    return `[${parts.join(',')}]`
  }
  const element = (): string => {
    if (text[at] !== '"') {
      const start = at
      while (text[at] !== delimiter && text[at] !== '}') at++
      const word = text.slice(start, at)
      return word === 'NULL' ? 'null' : write(word)
    }
    let value = ''
    for (at++; text[at] !== '"'; at++) {
      if (text[at] === '\\') at++
      value += text[at]
    }
    at++
    return write(value)
  }
  return list()
}
