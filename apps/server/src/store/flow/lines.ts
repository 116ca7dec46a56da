import type { Seq, TenantId } from '../ports.ts'
import { forEach, type Program, query } from './program.ts'

/**
 * Jobs with fair keys that wait before a gate stand there in lines, one for each key: lower places first, then older jobs. Those
 * who may go through are taken from the lines in turn, the keys first that were served least lately.
 *
 * `flows.stands` is the gate before which a job with a key stands. `fair_keys` are the lines of a gate, with the turn in which each
 * was served last; `gates.turn` is the latest. Those without a key, where there are some, are one line more: that of the key ''.
 */

/** Keys that are served at once. */
export const keysAtOnce = 32

/** What a job in line thinks of how many may be inside. */
export interface Standing {
  readonly seq: Seq
  readonly capacity: number
  readonly limit: number
}

/** Where those without a key stand: in the line of a gate, or in that of a limit on starts. */
export type Unkeyed = 'line' | 'rate_line'
const gateOf = { line: 'gate', rate_line: 'rate_gate' } as const

/**
 * Stands in the line of its key.
 *
 * @param ahead - by so many turns before those that were served just now.
 * @param mixed - jobs without a key may stand there, too.
 */
export function* standInTurn(tenant: TenantId, seq: Seq, gate: string, key: string, ahead: number, mixed: boolean): Program<void> {
  yield* query('UPDATE millrace.flows SET stands = $3 WHERE tenant = $1 AND seq = $2', [tenant, seq, gate])
  if (mixed) {
    const begun = yield* query('UPDATE millrace.gates SET turn = 1 WHERE tenant = $1 AND gate = $2 AND turn = 0 RETURNING turn', [
      tenant,
      gate,
    ])
    if (begun.length > 0) yield* query(addLine, [tenant, gate, '', 0])
  }
  yield* query(
    `INSERT INTO millrace.fair_keys (tenant, gate, key, turn)
      SELECT tenant, gate, $3, turn - $4 FROM millrace.gates WHERE tenant = $1 AND gate = $2 ON CONFLICT (tenant, gate, key) DO NOTHING`,
    [tenant, gate, key, ahead],
  )
}

/** True when somebody with a key stands before a gate. */
export function* standsSomebody(tenant: TenantId, gate: string): Program<boolean> {
  const first = yield* query('SELECT seq FROM millrace.flows WHERE tenant = $1 AND stands = $2 LIMIT 1', [tenant, gate])
  return first.length > 0
}

/**
 * Takes those from the lines whose turn it is.
 *
 * @param most - so many at most.
 * @param places - how many there are places for, as a job thinks; nobody overtakes one that thinks there are no more.
 * @param unkeyed - where those without a key stand, if there are any.
 */
export function* serveInTurn(
  tenant: TenantId,
  gate: string,
  most: number,
  places: (job: Standing) => number,
  unkeyed?: Unkeyed,
): Program<readonly Seq[]> {
  const [row] = yield* query<{ turn: number }>('SELECT turn FROM millrace.gates WHERE tenant = $1 AND gate = $2', [tenant, gate])
  let turn = row?.turn ?? 0
  const served: Seq[] = []
  const out = unkeyed ? `, ${unkeyed} = NULL` : ''
  for (let full = false; !full && served.length < most; ) {
    const keys = yield* query<{ key: string }>(
      `SELECT key FROM millrace.fair_keys WHERE tenant = $1 AND gate = $2 ORDER BY turn, key LIMIT ${keysAtOnce}`,
      [tenant, gate],
    )
    if (keys.length === 0) break
    // When few keys have jobs, several of each: no more than there are places for.
    let share = 0
    for (const { key } of keys) {
      if (share === 0) {
        const [first] = yield* lineOf(tenant, gate, key, 1, unkeyed)
        const room = first ? Math.min(most, places(first)) - served.length : 0
        full = first !== undefined && room <= 0
        share = room > 0 ? Math.max(1, Math.floor(room / keys.length)) : 0
      }
      if (full) break
      const line = share > 0 ? yield* lineOf(tenant, gate, key, share + 1, unkeyed) : []
      const next: Seq[] = []
      for (const job of line.slice(0, share)) {
        full = served.length + next.length >= Math.min(most, places(job))
        if (full) break
        next.push(job.seq)
      }
      served.push(...next)
      yield* forEach(next, [tenant], (list) => `UPDATE millrace.flows SET stands = NULL${out} WHERE tenant = $1 AND seq IN ${list}`)
      if (line.length === next.length && key !== '') yield* query(endLine, [tenant, gate, key])
      else if (next.length > 0 || line.length === 0) yield* query(setTurn, [tenant, gate, key, ++turn])
      // Of several lines, those who have no key may be none; alone, they need no turns.
      if (key === '' && line.length === 0 && keys.length === 1) {
        yield* query(endLine, [tenant, gate, ''])
        turn = 0
        full = true
      }
    }
  }
  yield* query('UPDATE millrace.gates SET turn = $3 WHERE tenant = $1 AND gate = $2', [tenant, gate, turn])
  return served
}

/** Nobody stands before a gate. */
export function* endLines(tenant: TenantId, gate: string): Program<void> {
  yield* query('DELETE FROM millrace.fair_keys WHERE tenant = $1 AND gate = $2', [tenant, gate])
}

const ofKey = 'tenant = $1 AND gate = $2 AND key = $3'
const addLine =
  'INSERT INTO millrace.fair_keys (tenant, gate, key, turn) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, gate, key) DO NOTHING'
const setTurn = `UPDATE millrace.fair_keys SET turn = $4 WHERE ${ofKey}`
const endLine = `DELETE FROM millrace.fair_keys WHERE ${ofKey}`

function* lineOf(tenant: TenantId, gate: string, key: string, count: number, unkeyed?: Unkeyed): Program<readonly Standing[]> {
  const columns = 'seq, capacity, rate_limit AS "limit"'
  if (unkeyed && key === '') {
    return yield* query<Standing>(
      `SELECT ${columns} FROM millrace.flows WHERE tenant = $1 AND ${gateOf[unkeyed]} = $2 AND ${unkeyed} IS NOT NULL
        ORDER BY ${unkeyed}, seq LIMIT $3`,
      [tenant, gate, count],
    )
  }
  return yield* query<Standing>(
    `SELECT ${columns} FROM millrace.flows WHERE tenant = $1 AND stands = $2 AND fair_key = $3 ORDER BY place, seq LIMIT $4`,
    [tenant, gate, key, count],
  )
}
