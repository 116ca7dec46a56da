/** Array literals: what a batch statement binds for a column of all its rows. (The driver's own are several times slower.) */

/** A literal for `int[]`, `bigint[]` and the like. */
export function numbers(values: readonly (number | null | undefined)[]): string {
  let literal = '{'
  for (let i = 0; i < values.length; i++) {
    if (i > 0) literal += ','
    literal += values[i] ?? 'NULL'
  }
  return `${literal}}`
}

const special = /["\\]/g

/** A literal for `text[]`. */
export function texts(values: readonly (string | null | undefined)[]): string {
  let literal = '{'
  for (let i = 0; i < values.length; i++) {
    if (i > 0) literal += ','
    const value = values[i]
    literal += value === null || value === undefined ? 'NULL' : `"${storable(value).replace(special, '\\$&')}"`
  }
  return `${literal}}`
}

/** Postgres's text holds no NUL: the replacement character stands in for it. */
export function storable(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text
}

/** Many byte strings bound as one. */
export class Bytes {
  readonly #parts: Uint8Array[] = []
  #length = 0

  /** Appends a part; returns where it begins, counted from 1 as SQL does. */
  add(part: Uint8Array): number {
    this.#parts.push(part)
    this.#length += part.length
    return this.#length - part.length + 1
  }

  all(): Buffer {
    return Buffer.concat(this.#parts, this.#length)
  }
}

type Encode<T> =
  | readonly [type: 'int' | 'smallint' | 'bigint' | 'real', (row: T) => number | null | undefined]
  | readonly [type: 'text', (row: T) => string | null | undefined]

/** Rows bound to a statement as one array for each column. */
export interface Columns<T> {
  /** How many parameters they take. */
  readonly width: number
  /** SQL: the rows as `alias`, their arrays bound from parameter `$first` on. */
  from(alias: string, first: number): string
  /** The parameters' values. */
  values(rows: readonly T[]): string[]
}

/** Of each column by its name: its type, and its value in a row. */
export type ColumnSpec<T> = Readonly<Record<string, Encode<T>>>

/** Declares rows. */
export function columns<T>(spec: ColumnSpec<T>): Columns<T> {
  const entries = Object.entries(spec)
  return {
    width: entries.length,
    from(alias, first) {
      const arrays = entries.map(([, [type]], i) => `$${first + i}::${type}[]`)
      return `unnest(${arrays.join(', ')}) AS ${alias} (${entries.map(([name]) => name).join(', ')})`
    },
    values: (rows) => entries.map(([, [type, value]]) => (type === 'text' ? texts(rows.map(value)) : numbers(rows.map(value)))),
  }
}
