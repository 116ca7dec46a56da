import type { TenantId } from '../ports.ts'

/**
 * Flow is what jobs have to do with each other: states they share, lines they wait in. Its rules are written once, as
 * programs over tables that every adapter has (`gates`, `flows`, `states`), and each adapter carries them out inside the
 * transaction that changes the job. A program never touches a job: it says which ones may begin.
 *
 * SQL is what SQLite and Postgres both understand, with `$1` for parameters; tables are named with the schema `millrace`.
 */
export interface Step {
  readonly sql: string
  readonly values: readonly Value[]
}

/** A value of a statement's parameter. */
export type Value = string | number | Uint8Array | null

/** A sequence of statements that ends in a result. */
export type Program<T> = Generator<Step, T, readonly object[]>

/** One statement of a program: its rows. */
export function* query<Row extends object>(sql: string, values: readonly Value[]): Program<readonly Row[]> {
  return (yield { sql, values }) as readonly Row[]
}

/** A job in a tenant. */
export interface JobName {
  readonly tenant: TenantId
  readonly seq: number
}

/** Lists in parts of few different lengths, so that there are few different statements. */
function* parts<T>(list: readonly T[]): Iterable<readonly T[]> {
  let from = 0
  for (let size = 64; from < list.length; ) {
    while (size > list.length - from) size /= 2
    yield list.slice(from, from + size)
    from += size
  }
}

/** Adds many rows; their columns are those of the first. */
export function* insertRows(table: string, rows: readonly Readonly<Record<string, Value>>[]): Program<void> {
  for (const part of parts(rows)) {
    const columns = Object.keys(part[0]!)
    const places = part.map((_, i) => `(${columns.map((_, j) => `$${i * columns.length + j + 1}`).join(', ')})`)
    yield* query(
      `INSERT INTO millrace.${table} (${columns.join(', ')}) VALUES ${places.join(', ')}`,
      part.flatMap((row) => columns.map((column) => row[column]!)),
    )
  }
}

/**
 * Carries out a statement for many numbers or texts.
 *
 * @param sql - the statement, given SQL of the list; its own parameters come first.
 */
export function* forEach<Row extends object>(
  items: readonly (number | string)[],
  values: readonly Value[],
  sql: (list: string) => string,
): Program<Row[]> {
  const rows: Row[] = []
  for (const part of parts(items)) {
    const list = part.map((_, i) => `$${values.length + i + 1}`).join(', ')
    rows.push(...(yield* query<Row>(sql(`(${list})`), [...values, ...part])))
  }
  return rows
}
