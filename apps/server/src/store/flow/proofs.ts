import type { Scope, Seq } from '../ports.ts'
import { type Program, query } from './program.ts'

/** Keeps what a lease's holder proved of the attempt; a later attempt's takes its place. */
export function* keepProof({ tenant, namespace }: Scope, seq: Seq, token: number, data: Uint8Array, now: number): Program<void> {
  yield* query(
    `INSERT INTO millrace.proofs (tenant, seq, namespace, token, data, created_at) VALUES ($1, $2, $3, $4, $5, $6)
      ON CONFLICT (tenant, seq) DO UPDATE SET token = excluded.token, data = excluded.data, created_at = excluded.created_at
      WHERE proofs.token < excluded.token`,
    [tenant, seq, namespace, token, data, now],
  )
}

/** The latest proof of a job. */
export function* readProof({ tenant, namespace }: Scope, seq: Seq): Program<Uint8Array | undefined> {
  const [row] = yield* query<{ data: Uint8Array }>('SELECT data FROM millrace.proofs WHERE tenant = $1 AND seq = $2 AND namespace = $3', [
    tenant,
    seq,
    namespace,
  ])
  return row?.data
}

/** Deletes proofs older than completed jobs are kept; returns how many, at most `limit`. */
export function* sweepProofs(before: number, limit: number): Program<number> {
  const gone = yield* query(
    `DELETE FROM millrace.proofs WHERE (tenant, seq) IN
      (SELECT tenant, seq FROM millrace.proofs WHERE created_at <= $1 ORDER BY created_at LIMIT $2) RETURNING 1 AS gone`,
    [before, limit],
  )
  return gone.length
}
