import type { Seq, TenantId } from '../ports.ts'
import { endLines, serveInTurn } from './lines.ts'
import { type Program, query } from './program.ts'

/**
 * A gate lets so many jobs through at a time; the others stand in line before it, `blocked`. A job is through from the
 * moment it becomes pending until it ends. Whenever one ends the first in line is let through, in the same transaction: so
 * long as there is room nobody waits.
 */

/** The gate of the jobs that work on one state. */
export function stateGate(namespace: string, key: string): string {
  return `state ${namespace} ${key}`
}

/** The gate of the jobs of a queue with one key. */
export function queueGate(namespace: string, queue: string, key: string): string {
  return `queue ${namespace} ${queue} ${key}`
}

/** Takes a place behind the gate when there is one. The gate's row is locked until the end of the transaction either way. */
export function* enterGate(tenant: TenantId, gate: string, capacity: number): Program<boolean> {
  const entered = yield* query(
    `INSERT INTO millrace.gates AS g (tenant, gate, inside) VALUES ($1, $2, 1)
      ON CONFLICT (tenant, gate) DO UPDATE SET inside = g.inside + 1 WHERE g.inside < $3 RETURNING inside`,
    [tenant, gate, capacity],
  )
  return entered.length > 0
}

/** Gives a place back. Returns those who may have it now: they are inside already, and no longer in line. */
export function* leaveGate(tenant: TenantId, gate: string): Program<readonly Seq[]> {
  const [left] = yield* query<{ inside: number; turn: number }>(
    'UPDATE millrace.gates SET inside = inside - 1 WHERE tenant = $1 AND gate = $2 RETURNING inside, turn',
    [tenant, gate],
  )
  if (!left) return []
  const next: Seq[] = []
  const inTurn = left.turn > 0
  if (inTurn) next.push(...(yield* serveInTurn(tenant, gate, Number.MAX_SAFE_INTEGER, ({ capacity }) => capacity - left.inside, 'line')))
  while (!inTurn) {
    const [first] = yield* query<{ seq: Seq; capacity: number }>(
      `SELECT seq, capacity FROM millrace.flows WHERE tenant = $1 AND gate = $2 AND line IS NOT NULL ORDER BY line, seq LIMIT 1`,
      [tenant, gate],
    )
    // The first in line has its own idea of how many may be inside; nobody overtakes it.
    if (!first || left.inside + next.length >= first.capacity) break
    yield* leaveLine(tenant, first.seq)
    next.push(first.seq)
  }
  const inside = left.inside + next.length
  if (inside === 0) {
    if (inTurn) yield* endLines(tenant, gate)
    yield* query('DELETE FROM millrace.gates WHERE tenant = $1 AND gate = $2', [tenant, gate])
  } else if (next.length > 0) yield* query('UPDATE millrace.gates SET inside = $3 WHERE tenant = $1 AND gate = $2', [tenant, gate, inside])
  return next
}

/** Stands in line: lower places first, then older jobs. */
export function* joinLine(tenant: TenantId, seq: Seq, place: number): Program<void> {
  yield* query('UPDATE millrace.flows SET line = $3 WHERE tenant = $1 AND seq = $2', [tenant, seq, place])
}

/** Gives up waiting. */
export function* leaveLine(tenant: TenantId, seq: Seq): Program<void> {
  yield* query('UPDATE millrace.flows SET line = NULL WHERE tenant = $1 AND seq = $2', [tenant, seq])
}
