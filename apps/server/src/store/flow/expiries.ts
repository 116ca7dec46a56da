import type { Seq, TenantId } from '../ports.ts'
import { type Program, query } from './program.ts'

/** Why a job ended that was not taken in time. */
export const expired = 'It expired: no worker began it in time.'

/** A job ends at this time unless it has begun by then. */
export function* addExpiry(tenant: TenantId, seq: Seq, at: number): Program<void> {
  yield* query('INSERT INTO millrace.expiries (tenant, seq, at) VALUES ($1, $2, $3)', [tenant, seq, at])
}

/** When the next job expires. */
export function* nextExpiry(): Program<number | undefined> {
  const [row] = yield* query<{ at: number | null }>('SELECT min(at) AS at FROM millrace.expiries', [])
  return row?.at ?? undefined
}

/** Jobs of all tenants whose time to begin is over, begun or not; they are told of once. */
export function* takeExpired(now: number, limit: number): Program<readonly { readonly tenant: TenantId; readonly seq: Seq }[]> {
  return yield* query(
    `DELETE FROM millrace.expiries WHERE (tenant, seq) IN
      (SELECT tenant, seq FROM millrace.expiries WHERE at <= $1 ORDER BY at LIMIT $2) RETURNING tenant, seq`,
    [now, limit],
  )
}
