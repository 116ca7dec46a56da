import type { Seq, TenantId } from '../ports.ts'
import { forEach, type Program, query } from './program.ts'
import { holdGates } from './rates.ts'

/**
 * Jobs with fair keys take turns. Each key has a line of its own: lower places first, then older jobs. They become ready in rounds:
 * the first of each line, in the order in which the keys were served last, and when few keys have jobs, as many of each as make
 * a round full. The next round begins when all of one are taken, so nobody waits for more than a round beside his turn, and what
 * a round costs does not depend on how many wait.
 *
 * `gates.inside` counts the jobs of the round that nobody has taken; `flows.fair_turn` marks them. `gates.turn` counts turns, `round` a round.
 */

/** The gate of the jobs of a queue and function that take turns. */
export function fairGate(namespace: string, queue: string, name: string): string {
  return `fair ${namespace} ${queue} ${name}`
}

/** Jobs of a round. */
const round = 32

/** A job could run now. True when it is in the round; otherwise it stands in its key's line. */
export function* arriveInTurn(
  tenant: TenantId,
  { seq, gate, key, place }: { readonly seq: Seq; readonly gate: string; readonly key: string; readonly place: number },
): Program<boolean> {
  yield* holdGates(tenant, [gate])
  const waiting = yield* query('SELECT seq FROM millrace.flows WHERE tenant = $1 AND gate = $2 AND line IS NOT NULL LIMIT 1', [
    tenant,
    gate,
  ])
  // Nobody waits: the round goes on.
  if (waiting.length === 0) {
    const entered = yield* query(
      `UPDATE millrace.gates SET inside = inside + 1 WHERE tenant = $1 AND gate = $2 AND inside < ${round} RETURNING inside`,
      [tenant, gate],
    )
    if (entered.length > 0) {
      yield* query('UPDATE millrace.flows SET fair_turn = 0 WHERE tenant = $1 AND seq = $2', [tenant, seq])
      return true
    }
  }
  yield* query('UPDATE millrace.flows SET line = $3 WHERE tenant = $1 AND seq = $2', [tenant, seq, place])
  // One who comes is served before those of the round that is under way, and after those who wait for longer.
  yield* query(
    `INSERT INTO millrace.fair_keys (tenant, gate, key, turn)
      SELECT tenant, gate, $3, turn - ${round} FROM millrace.gates WHERE tenant = $1 AND gate = $2 ON CONFLICT (tenant, gate, key) DO NOTHING`,
    [tenant, gate, key],
  )
  return false
}

/** Jobs are taken. Returns those of the next round, when it begins. */
export function* takeInTurn(tenant: TenantId, seqs: readonly Seq[]): Program<readonly Seq[]> {
  const taken = yield* forEach<{ gate: string }>(
    seqs,
    [tenant],
    (list) => `UPDATE millrace.flows SET fair_turn = NULL WHERE tenant = $1 AND fair_turn IS NOT NULL AND seq IN ${list} RETURNING gate`,
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
  yield* query('UPDATE millrace.flows SET line = NULL WHERE tenant = $1 AND seq = $2 AND line IS NOT NULL', [tenant, seq])
  return yield* takeInTurn(tenant, [seq])
}

function* nextRound(tenant: TenantId, gate: string): Program<readonly Seq[]> {
  const next: Seq[] = []
  const [row] = yield* query<{ turn: number }>(
    `UPDATE millrace.gates SET turn = turn + ${round} WHERE tenant = $1 AND gate = $2 RETURNING turn`,
    [tenant, gate],
  )
  let turn = (row?.turn ?? 0) - round
  // Lines whose jobs were all cancelled are found empty, and are no more.
  while (next.length === 0) {
    const keys = yield* query<{ key: string }>(
      `SELECT key FROM millrace.fair_keys WHERE tenant = $1 AND gate = $2 ORDER BY turn, key LIMIT ${round}`,
      [tenant, gate],
    )
    if (keys.length === 0) break
    const share = Math.max(1, Math.floor(round / keys.length))
    for (const { key } of keys) {
      turn++
      const line = yield* query<{ seq: Seq }>(
        `SELECT seq FROM millrace.flows WHERE tenant = $1 AND gate = $2 AND fair_key = $3 AND line IS NOT NULL
          ORDER BY line, seq LIMIT ${share + 1}`,
        [tenant, gate, key],
      )
      next.push(...line.slice(0, share).map(({ seq }) => seq))
      if (line.length > share) {
        yield* query('UPDATE millrace.fair_keys SET turn = $4 WHERE tenant = $1 AND gate = $2 AND key = $3', [tenant, gate, key, turn])
      } else yield* query('DELETE FROM millrace.fair_keys WHERE tenant = $1 AND gate = $2 AND key = $3', [tenant, gate, key])
    }
  }
  yield* forEach(
    next,
    [tenant, turn],
    (list) => `UPDATE millrace.flows SET line = NULL, fair_turn = $2 WHERE tenant = $1 AND seq IN ${list}`,
  )
  if (next.length === 0) yield* query('DELETE FROM millrace.gates WHERE tenant = $1 AND gate = $2', [tenant, gate])
  else yield* query('UPDATE millrace.gates SET inside = $3 WHERE tenant = $1 AND gate = $2', [tenant, gate, next.length])
  return next
}
