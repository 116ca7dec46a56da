import { isObject, parseExact, writeJson } from '../domain/tables/values.ts'
import { invalid } from '../errors.ts'
import { limits } from './limits.ts'

/** Rows that give the same columns. */
export interface RowGroup {
  readonly columns: readonly string[]
  /** Where each stood in the request. */
  readonly places: readonly number[]
  /** The rows, a JSON list. */
  json(): string
}

/**
 * Rows by the columns that they give, so that the others get their defaults.
 *
 * @param text - the rows as they came: a JSON list of objects, or one object.
 * @throws VALIDATION
 */
export function groupRows(text: string): readonly RowGroup[] {
  const groups = group(text === '' ? undefined : parse(text))
  // Postgres reads the text itself: nothing of it, such as the digits of a number, is lost on the way.
  if (groups.length === 1) return [{ ...groups[0]!, json: () => (/^\s*\[/.test(text) ? text : `[${text}]`) }]
  return group(parseExact('rows', text)).map(({ columns, places, rows }) => ({ columns, places, json: () => writeJson('rows', rows) }))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid('rows', `is not valid JSON: ${(error as Error).message}`)
  }
}

interface Group {
  readonly columns: readonly string[]
  readonly places: number[]
  readonly rows: unknown[]
}

function group(input: unknown): readonly Group[] {
  const rows = Array.isArray(input) ? input : [input]
  if (rows.length === 0 || rows.length > limits.batch) throw invalid('rows', `has ${rows.length} items; 1 to ${limits.batch} are allowed`)
  const groups = new Map<string, Group>()
  let last: Group | undefined
  for (const [i, row] of rows.entries()) {
    if (!isObject(row))
      throw invalid(Array.isArray(input) ? `rows[${i}]` : 'rows', 'is not an object by column name, such as {"name": "Alice"}')
    const columns = Object.keys(row)
    if (!last || !same(columns, last.columns)) {
      const key = JSON.stringify(columns.toSorted())
      last = groups.get(key) ?? { columns, places: [], rows: [] }
      groups.set(key, last)
    }
    last.places.push(i)
    last.rows.push(row)
  }
  if (groups.size > limits.rowShapes)
    throw invalid('rows', `give ${groups.size} different sets of columns; at most ${limits.rowShapes} are allowed`)
  return [...groups.values()]
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i])
}
