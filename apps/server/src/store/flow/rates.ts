import type { Seq, TenantId } from '../ports.ts'
import { enterTurns } from './fair.ts'
import { holdGates } from './hold.ts'
import { endLines, serveInTurn, standInTurn, standsSomebody } from './lines.ts'
import { forEach, insertRows, type Program, query } from './program.ts'

/**
 * A limit on starts is a gate whose places are given back by time. A job takes a place when it becomes pending. The place is
 * kept until the job is claimed, and for the window's length from then on; so whenever one looks, no more than the limit have
 * started within the window before, however long jobs were ready before somebody took them.
 *
 * `gates.inside` counts the places of a gate; `gates.due_at` is when the first is given back, while somebody waits for it.
 */

/** The gate of the jobs of a queue with one key whose starts are limited. */
export function rateGate(namespace: string, queue: string, key: string): string {
  return `rate ${namespace} ${queue} ${key}`
}

/** The `until` of a place whose job has not started. */
const notStarted = Number.MAX_SAFE_INTEGER
/** Those in line are let through in parts of so many, … */
const part = 250
/** … and at most so many parts in one transaction. */
const parts = 4

/** SQL of the end of a place in the gate `$2`: the time given, or soon after it when the job has started at the same moment before. */
const freeFrom = (until: string, seq: string) => `coalesce((SELECT max(o.until) + 1 FROM millrace.rate_places o
  WHERE o.tenant = $1 AND o.gate = $2 AND o.until BETWEEN ${until} AND ${until} + 999 AND o.seq = ${seq}), ${until})`

/** Where a job comes to a limit on starts. */
export interface Rated {
  readonly seq: Seq
  readonly gate: string
  readonly limit: number
  /** Lower ones are let through first, then older jobs. */
  readonly place: number
  /** In whose line it stands when it must wait; null: in that of all. */
  readonly key: string | null
  /** It has arrived before: its last attempt may not have used its place. */
  readonly again: boolean
}

/** Whether a job that arrived may begin. */
export interface Arrival {
  readonly through: boolean
  /** It waits, and the gate is to be turned then. */
  readonly dueAt?: number
}

/** A job could start now: it takes a place, or stands in line. One that has not used its last place needs no other. */
export function* arriveAtRate(tenant: TenantId, { seq, gate, limit, place, key, again }: Rated, now: number): Program<Arrival> {
  yield* holdGates(tenant, [gate])
  if (again && (yield* hasPlace(tenant, gate, seq))) return { through: true }
  // While nobody waits, places whose time is over are not taken back.
  const waitedFor = yield* isWaitedFor(tenant, gate)
  if (!waitedFor) yield* collect(tenant, gate, now)
  const entered = yield* query(
    'UPDATE millrace.gates SET inside = inside + 1 WHERE tenant = $1 AND gate = $2 AND inside < $3 RETURNING inside',
    [tenant, gate, limit],
  )
  if (entered.length > 0) {
    yield* insertRows('rate_places', [{ tenant, gate, until: notStarted, seq }])
    return { through: true }
  }
  if (key !== null) yield* standInTurn(tenant, seq, gate, key, 0, true)
  else yield* query('UPDATE millrace.flows SET rate_line = $3 WHERE tenant = $1 AND seq = $2', [tenant, seq, place])
  return { through: false, dueAt: yield* setDue(tenant, gate, !waitedFor) }
}

/** Jobs start: their places are given back when the window is over. Returns when somebody's time comes. */
export function* startRated(tenant: TenantId, seqs: readonly Seq[], now: number): Program<number | undefined> {
  const rated = yield* forEach<{ seq: Seq; gate: string; ms: number }>(
    seqs,
    [tenant],
    (list) =>
      `SELECT seq, rate_gate AS gate, rate_ms AS ms FROM millrace.flows WHERE tenant = $1 AND rate_gate IS NOT NULL AND seq IN ${list}`,
  )
  const groups = new Map<string, typeof rated>()
  for (const job of rated) {
    const key = `${job.ms} ${job.gate}`
    groups.set(key, [...(groups.get(key) ?? []), job])
  }
  let due: number | undefined
  for (const jobs of groups.values()) {
    const { gate, ms } = jobs[0]!
    yield* holdGates(tenant, [gate])
    const until = now + ms
    const started = yield* forEach<{ seq: Seq }>(
      jobs.map(({ seq }) => seq),
      [tenant, gate, until, notStarted],
      (list) =>
        `UPDATE millrace.rate_places AS p SET until = ${freeFrom('$3', 'p.seq')} WHERE tenant = $1 AND gate = $2 AND until = $4 AND seq IN ${list} RETURNING seq`,
    )
    // One that was given back by its worker, unbegun, starts once more: on a place of its own, whether there is room or not.
    const again = jobs.filter(({ seq }) => !started.some((place) => place.seq === seq))
    for (const { seq } of again) {
      yield* query(`INSERT INTO millrace.rate_places (tenant, gate, until, seq) VALUES ($1, $2, ${freeFrom('$3', '$4')}, $4)`, [
        tenant,
        gate,
        until,
        seq,
      ])
      yield* query('UPDATE millrace.gates SET inside = inside + 1 WHERE tenant = $1 AND gate = $2', [tenant, gate])
    }
    const at = yield* setDue(tenant, gate, yield* isWaitedFor(tenant, gate))
    if (at !== undefined) due = Math.min(due ?? at, at)
  }
  return due
}

/** A job has ended: unless it has started, its place is free now. Returns those who may begin. */
export function* leaveRate(tenant: TenantId, seq: Seq, gate: string, now: number): Program<readonly Seq[]> {
  yield* query('UPDATE millrace.flows SET rate_line = NULL WHERE tenant = $1 AND seq = $2 AND rate_line IS NOT NULL', [tenant, seq])
  const left = yield* query('DELETE FROM millrace.rate_places WHERE tenant = $1 AND gate = $2 AND until = $3 AND seq = $4 RETURNING seq', [
    tenant,
    gate,
    notStarted,
    seq,
  ])
  if (left.length === 0) return []
  yield* query('UPDATE millrace.gates SET inside = inside - 1 WHERE tenant = $1 AND gate = $2', [tenant, gate])
  return yield* turnGate(tenant, gate, now)
}

/** Takes back the places whose time is over and lets through those who are first in line. Returns them. */
export function* turnGate(tenant: TenantId, gate: string, now: number): Program<readonly Seq[]> {
  yield* holdGates(tenant, [gate])
  const { inside: left, turn } = yield* collect(tenant, gate, now)
  let inside = left
  const through: Seq[] = []
  let more = true
  for (let n = 0; more && n < parts; n++) {
    const taken = inside
    const next =
      turn > 0 ? yield* serveInTurn(tenant, gate, part, ({ limit }) => limit - taken, 'rate_line') : yield* serveInLine(tenant, gate, taken)
    inside += next.length
    if (next.length > 0)
      yield* insertRows(
        'rate_places',
        next.map((seq) => ({ tenant, gate, until: notStarted, seq })),
      )
    through.push(...next)
    more = next.length === part
  }
  if (inside === 0) {
    if (turn > 0) yield* endLines(tenant, gate)
    yield* query('DELETE FROM millrace.gates WHERE tenant = $1 AND gate = $2', [tenant, gate])
  } else {
    yield* query('UPDATE millrace.gates SET inside = $3, due_at = $4 WHERE tenant = $1 AND gate = $2', [
      tenant,
      gate,
      inside,
      more ? now : null,
    ])
    if (!more) yield* setDue(tenant, gate, yield* isWaitedFor(tenant, gate))
  }
  return turn > 0 ? yield* enterTurns(tenant, through) : through
}

/** Takes those who are first in line, while there are places beside those that are taken. */
function* serveInLine(tenant: TenantId, gate: string, taken: number): Program<readonly Seq[]> {
  const line = yield* query<{ seq: Seq; limit: number }>(
    `SELECT seq, rate_limit AS "limit" FROM millrace.flows WHERE tenant = $1 AND rate_gate = $2 AND rate_line IS NOT NULL
      ORDER BY rate_line, seq LIMIT ${part}`,
    [tenant, gate],
  )
  const next: Seq[] = []
  // Each has its own idea of how many may start; nobody overtakes the first.
  for (const { seq, limit } of line) {
    if (taken + next.length >= limit) break
    next.push(seq)
  }
  yield* forEach(next, [tenant], (list) => `UPDATE millrace.flows SET rate_line = NULL WHERE tenant = $1 AND seq IN ${list}`)
  return next
}

/** Gates of all tenants that somebody waits before and whose time has come. */
export function* dueGates(now: number, limit: number): Program<readonly { readonly tenant: TenantId; readonly gate: string }[]> {
  return yield* query('SELECT tenant, gate FROM millrace.gates WHERE due_at <= $1 ORDER BY due_at LIMIT $2', [now, limit])
}

/** Gates of all tenants with places whose time is over: nobody came to ask for them. */
export function* staleGates(now: number, limit: number): Program<readonly { readonly tenant: TenantId; readonly gate: string }[]> {
  return yield* query(
    'SELECT DISTINCT tenant, gate FROM (SELECT tenant, gate FROM millrace.rate_places WHERE until <= $1 ORDER BY until LIMIT $2) AS places',
    [now, limit],
  )
}

/** When the next gate's time comes. */
export function* nextGateDue(): Program<number | undefined> {
  const [row] = yield* query<{ due: number | null }>('SELECT min(due_at) AS due FROM millrace.gates WHERE due_at IS NOT NULL', [])
  return row?.due ?? undefined
}

/** Takes back the places whose time is over. Returns how many are left, and the turn of those who wait in turn. */
function* collect(tenant: TenantId, gate: string, now: number): Program<{ readonly inside: number; readonly turn: number }> {
  const over = yield* query('DELETE FROM millrace.rate_places WHERE tenant = $1 AND gate = $2 AND until <= $3 RETURNING seq', [
    tenant,
    gate,
    now,
  ])
  const [left] = yield* query<{ inside: number; turn: number }>(
    'UPDATE millrace.gates SET inside = inside - $3 WHERE tenant = $1 AND gate = $2 RETURNING inside, turn',
    [tenant, gate, over.length],
  )
  return left ?? { inside: 0, turn: 0 }
}

function* hasPlace(tenant: TenantId, gate: string, seq: Seq): Program<boolean> {
  const place = yield* query('SELECT seq FROM millrace.rate_places WHERE tenant = $1 AND gate = $2 AND until = $3 AND seq = $4', [
    tenant,
    gate,
    notStarted,
    seq,
  ])
  return place.length > 0
}

function* isWaitedFor(tenant: TenantId, gate: string): Program<boolean> {
  const first = yield* query('SELECT seq FROM millrace.flows WHERE tenant = $1 AND rate_gate = $2 AND rate_line IS NOT NULL LIMIT 1', [
    tenant,
    gate,
  ])
  return first.length > 0 || (yield* standsSomebody(tenant, gate))
}

/** Notes when the gate is to be turned: when its first place is given back, if somebody waits for it and it has started. */
function* setDue(tenant: TenantId, gate: string, waitedFor: boolean): Program<number | undefined> {
  if (!waitedFor) return undefined
  const [first] = yield* query<{ until: number }>('SELECT min(until) AS until FROM millrace.rate_places WHERE tenant = $1 AND gate = $2', [
    tenant,
    gate,
  ])
  if (!first || first.until === notStarted) return undefined
  yield* query('UPDATE millrace.gates SET due_at = $3 WHERE tenant = $1 AND gate = $2 AND (due_at IS NULL OR due_at > $3)', [
    tenant,
    gate,
    first.until,
  ])
  return first.until
}
