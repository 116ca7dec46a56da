import { JobState, type Scope } from '../ports.ts'
import type { columns } from './arrays.ts'

/** What names a lease in a statement's rows. */
export interface Lease {
  readonly scope: Scope
  readonly seq: number
  readonly token: number
  readonly now: number
}

/** The columns of {@link Lease}; those of a statement's own come after. */
export const leaseColumns = {
  tenant: ['int', ({ scope }: Lease) => scope.tenant],
  namespace: ['text', ({ scope }: Lease) => scope.namespace],
  seq: ['bigint', ({ seq }: Lease) => seq],
  token: ['bigint', ({ token }: Lease) => token],
  now: ['bigint', ({ now }: Lease) => now],
} satisfies Parameters<typeof columns<Lease>>[0]

/**
 * SQL of the parts `input` and `held` of a statement: the rows, and those of them whose lease is current, locked, with the
 * place `at` of their job.
 *
 * Jobs are found by their key one by one, and changed by their place: no plan can turn this into a scan, however small the
 * tables were when it was made. A job that another transaction changed in between is found at its new place, where this
 * statement cannot see it yet: it is then left out of what the statement returns, and the caller tries again.
 *
 * @param rows - SQL of the rows, with {@link leaseColumns} among their columns.
 * @param condition - SQL of what more must hold of a job `j` for a row `i`.
 */
export function heldOf(rows: string, condition = ''): string {
  return `input AS MATERIALIZED (SELECT * FROM ${rows}), held AS MATERIALIZED (
      SELECT i.*, h.at, h.lease_until FROM input i CROSS JOIN LATERAL (
        SELECT j.ctid AS at, j.lease_until FROM millrace.jobs j
        WHERE j.tenant = i.tenant AND j.seq = i.seq AND j.token = i.token AND j.state = ${JobState.running} ${condition}
          AND j.namespace = i.namespace
        FOR UPDATE
      ) AS h
    )`
}

/** What names a job among all. */
export function jobKey(tenant: number, seq: number): string {
  return `${tenant} ${seq}`
}

/** Rows in the order in which every transaction locks jobs, so that none waits for another in a circle. */
export function inLockOrder<T extends { readonly scope: Scope; readonly seq: number }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => a.scope.tenant - b.scope.tenant || a.seq - b.seq)
}
