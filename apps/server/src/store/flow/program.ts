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
