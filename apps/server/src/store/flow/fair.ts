import type { Seq, TenantId } from '../ports.ts'
import { holdGates } from './hold.ts'
import { keysAtOnce as round, serveInTurn, standInTurn, standsSomebody } from './lines.ts'
import { forEach, type Program, query } from './program.ts'

/**
 * Jobs with fair keys take turns. They become ready in rounds: the first of each key's line, in the order in which the keys were
 * served last, and when few keys have jobs, as many of each as make a round full. The next round begins when all of one are taken,
 * so nobody waits for more than a round beside his turn, and what a round costs does not depend on how many wait.
 *
 * Those with limits come to them first, and stand there in lines of their keys, too: one customer's jobs neither fill a line before
 * a limit that all share, nor the next rounds when their limits let many through.
 *
 * `gates.inside` counts the jobs of the round that nobody has taken; `flows.fair_turn` marks them.
 */

/** The gate of the jobs of a queue and function that take turns; the last that a job comes to. */
export function turnGateOf(namespace: string, queue: string, name: string): string {
  return `turn ${namespace} ${queue} ${name}`
}

/** A job could run now. True when it is in the round; otherwise it stands in its key's line. */
export function* arriveInTurn(
  tenant: TenantId,
  { seq, gate, key }: { readonly seq: Seq; readonly gate: string; readonly key: string },
): Program<boolean> {
  yield* holdGates(tenant, [gate])
  // Nobody waits: the round goes on.
  if (!(yield* standsSomebody(tenant, gate))) {
    const entered = yield* query(
      `UPDATE millrace.gates SET inside = inside + 1 WHERE tenant = $1 AND gate = $2 AND inside < ${round} RETURNING inside`,
      [tenant, gate],
    )
    if (entered.length > 0) {
      yield* query('UPDATE millrace.flows SET fair_turn = 0 WHERE tenant = $1 AND seq = $2', [tenant, seq])
      return true
    }
  }
  // One who comes is served before those of the round that is under way, and after those who wait for longer.
  yield* standInTurn(tenant, seq, gate, key, round, false)
  return false
}

/** Jobs are through their limits. Returns those of them that may begin. */
export function* enterTurns(tenant: TenantId, seqs: readonly Seq[]): Program<readonly Seq[]> {
  const rows = yield* forEach<{ seq: Seq; gate: string; key: string }>(
    seqs,
    [tenant],
    (list) =>
      `SELECT seq, turn_gate AS gate, fair_key AS key FROM millrace.flows WHERE tenant = $1 AND turn_gate IS NOT NULL AND seq IN ${list}`,
  )
  const turns = new Map(rows.map((row) => [row.seq, row]))
  const begin: Seq[] = []
  for (const seq of seqs) {
    const turn = turns.get(seq)
    if (!turn || (yield* arriveInTurn(tenant, turn))) begin.push(seq)
  }
  return begin
}

/** Jobs are taken. Returns those of the next round, when it begins. */
export function* takeInTurn(tenant: TenantId, seqs: readonly Seq[]): Program<readonly Seq[]> {
  const taken = yield* forEach<{ gate: string }>(
    seqs,
    [tenant],
    (list) =>
      `UPDATE millrace.flows SET fair_turn = NULL WHERE tenant = $1 AND fair_turn IS NOT NULL AND seq IN ${list} RETURNING turn_gate AS gate`,
  )
  const counts = new Map<string, number>()
  for (const { gate } of taken) counts.set(gate, (counts.get(gate) ?? 0) + 1)
  const next: Seq[] = []
  for (const [gate, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [left] = yield* query<{ inside: number }>(
      'UPDATE millrace.gates SET inside = inside - $3 WHERE tenant = $1 AND gate = $2 RETURNING inside',
      [tenant, gate, count],
    )
    if (left?.inside === 0) next.push(...(yield* nextRound(tenant, gate)))
  }
  return next
}

/** A job has ended, which may have waited. Returns those of the next round, when it begins. */
export function* leaveTurn(tenant: TenantId, seq: Seq): Program<readonly Seq[]> {
  yield* query('UPDATE millrace.flows SET stands = NULL WHERE tenant = $1 AND seq = $2 AND stands IS NOT NULL', [tenant, seq])
  return yield* takeInTurn(tenant, [seq])
}

function* nextRound(tenant: TenantId, gate: string): Program<readonly Seq[]> {
  const next = yield* serveInTurn(tenant, gate, round, () => round)
  yield* forEach(next, [tenant], (list) => `UPDATE millrace.flows SET fair_turn = 0 WHERE tenant = $1 AND seq IN ${list}`)
  if (next.length === 0) yield* query('DELETE FROM millrace.gates WHERE tenant = $1 AND gate = $2', [tenant, gate])
  else yield* query('UPDATE millrace.gates SET inside = $3 WHERE tenant = $1 AND gate = $2', [tenant, gate, next.length])
  return next
}
