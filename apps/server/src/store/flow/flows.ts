import { type ClaimedJob, type Content, JobState, type NewJob, type Scope, type Seq, type Stateful, type TenantId } from '../ports.ts'
import { type Aftermath, noAftermath } from './aftermath.ts'
import { arriveInTurn, leaveTurn, turnGateOf } from './fair.ts'
import { enterGate, joinLine, leaveGate, leaveLine, queueGate, stateGate } from './gates.ts'
import { standInTurn } from './lines.ts'
import type { ListCache } from './list-cache.ts'
import { endStageJob, placeOf, takeStage } from './pipelines.ts'
import { insertRows, type Program, query } from './program.ts'
import { type Arrival, arriveAtRate, leaveRate, rateGate } from './rates.ts'
import { commitState, readState } from './states.ts'

/** What a job has to do with others. A job without a flow has no row and costs nothing. */
interface FlowRow {
  /** '' when it goes through none but a limit on starts. */
  readonly gate: string
  readonly capacity: number
  /** Where it stands among those that wait: its negated priority; 0 when they come in order of submission alone. */
  readonly place: number
  /** '' when it works on no state. */
  readonly state_key: string
  readonly initial: Uint8Array | null
  readonly initial_type: string | null
  readonly state_ttl: number
  /** Of a job that takes turns. */
  readonly fair_key: string | null
  /** The gate of the turns. */
  readonly turn_gate: string | null
  /** Of a job that takes turns: the gate before which it stands; NULL when it stands before none. */
  readonly stands: string | null
  readonly rate_gate: string | null
  readonly rate_limit: number
  /** Its place in line before `rate_gate`; NULL when it does not stand there. */
  readonly rate_line: number | null
}

/** The kinds of flow, as a job's row tells them apart. */
export const FlowKind = { stateful: 1, stage: 2, limited: 3, rated: 4, fair: 5, ratedFair: 6 } as const

/** Kinds whose starts are limited. */
export const ratedKinds: readonly number[] = [FlowKind.rated, FlowKind.ratedFair]
/** Kinds that take turns. */
export const fairKinds: readonly number[] = [FlowKind.fair, FlowKind.ratedFair]

/** The kind of a new job's flow; undefined when it has none. */
export function flowKindOf({ stateful, stage, concurrency, rateLimit, fairKey }: NewJob): number | undefined {
  if (stateful) return FlowKind.stateful
  if (stage) return FlowKind.stage
  if (rateLimit) return fairKey ? FlowKind.ratedFair : FlowKind.rated
  if (fairKey) return FlowKind.fair
  return concurrency && FlowKind.limited
}

/** Notes what a new job has to do with others. @param pipeline - of a stage. */
export function* addFlow(scope: Scope, seq: Seq, job: NewJob, pipeline?: Seq): Program<void> {
  const { stateful, stage, concurrency, rateLimit, fairKey, priority } = job
  if (stateful) yield* addStateful(scope, seq, stateful)
  else if (concurrency || rateLimit || fairKey) {
    const row = { capacity: concurrency?.limit ?? 0, place: -priority, state_key: '', state_ttl: 0 }
    const { gate, rate, turn } = gatesOf(scope.namespace, job)
    const rated = {
      rate_gate: rate ?? null,
      rate_limit: rateLimit?.limit ?? null,
      rate_ms: rateLimit?.perMs ?? null,
      fair_key: fairKey ?? null,
      turn_gate: turn ?? null,
    }
    yield* insertRows('flows', [{ tenant: scope.tenant, seq, gate: gate ?? '', ...row, ...rated }])
  }
  if (stage)
    yield* insertRows('stage_jobs', [{ tenant: scope.tenant, seq, pipeline: pipeline!, stage: stage.stage, item: stage.item ?? null }])
}

function* addStateful({ tenant, namespace }: Scope, seq: Seq, { key, initial, ttlMs }: Stateful): Program<void> {
  yield* query(
    `INSERT INTO millrace.flows (tenant, seq, gate, state_key, initial, initial_type, state_ttl) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [tenant, seq, stateGate(namespace, key), key, initial?.data ?? null, initial?.contentType || null, ttlMs],
  )
}

/** The gates that a new job comes to, in the order in which it does. */
export function gatesOf(
  namespace: string,
  { queue, function: name, stateful, concurrency, rateLimit, fairKey }: NewJob,
): { readonly gate?: string; readonly rate?: string; readonly turn?: string } {
  if (stateful) return { gate: stateGate(namespace, stateful.key) }
  return {
    gate: concurrency && queueGate(namespace, queue, concurrency.key),
    rate: rateLimit && rateGate(namespace, queue, rateLimit.key),
    turn: fairKey ? turnGateOf(namespace, queue, name) : undefined,
  }
}

/**
 * A job could run now. It may, or it stands in line from now on.
 *
 * @param attempts - it has begun so often, and kept its place among those at work since.
 */
export function* arrive(tenant: TenantId, seq: Seq, attempts: number, now: number): Program<Arrival> {
  const flow = yield* flowOf(tenant, seq)
  if (!flow) return { through: true }
  const { gate, capacity, place, fair_key: key } = flow
  if (attempts === 0 && gate !== '' && !(yield* enterGate(tenant, gate, capacity))) {
    if (key !== null) yield* standInTurn(tenant, seq, gate, key, 0, true)
    else yield* joinLine(tenant, seq, place)
    return { through: false }
  }
  return yield* arriveInside(tenant, seq, flow, attempts > 0, now)
}

/** It is through the first gate: now for the limit on starts, then for its turn. */
function* arriveInside(tenant: TenantId, seq: Seq, flow: FlowRow, again: boolean, now: number): Program<Arrival> {
  const { rate_gate: gate, rate_limit: limit, place, fair_key: key, turn_gate: turn } = flow
  if (gate !== null) {
    const arrival = yield* arriveAtRate(tenant, { seq, gate, limit, place, key, again }, now)
    if (!arrival.through) return arrival
  }
  // It has had its turn.
  if (again || key === null || turn === null) return { through: true }
  return { through: yield* arriveInTurn(tenant, { seq, gate: turn, key }) }
}

/** How a job ends. */
export interface End {
  readonly state: typeof JobState.completed | typeof JobState.failed | typeof JobState.cancelled
  readonly now: number
  /** It had been let through; see {@link isInside}. */
  readonly inside: boolean
  /** Of a completed job. */
  readonly result?: Content
  /** Of a completed stateful job; see `SettleAction`. */
  readonly change?: Content | null
  /** Of a failed job: its error as JSON. */
  readonly error?: string
}

/** A job has ended: what becomes of those that have to do with it. */
export function* endFlow(scope: Scope, seq: Seq, end: End): Program<Aftermath> {
  const { tenant } = scope
  const flow = yield* flowOf(tenant, seq)
  if (!flow) {
    const place = yield* placeOf(tenant, seq)
    return place ? yield* endStageJob(tenant, place, end, end.now) : noAftermath()
  }
  if (end.state === JobState.completed && flow.state_key !== '') {
    yield* commitState(scope, flow.state_key, { change: end.change, initial: initialOf(flow), ttlMs: flow.state_ttl, now: end.now })
  }
  const started: Seq[] = flow.fair_key !== null ? [...(yield* leaveTurn(tenant, seq))] : []
  const waiting: { seq: Seq; dueAt: number }[] = []
  if (flow.rate_gate !== null) started.push(...(yield* leaveRate(tenant, seq, flow.rate_gate, end.now)))
  // Whoever waits for a start, or for its turn after that, has a place among those at work.
  const isPast = flow.rate_line !== null || (flow.stands !== null && flow.stands !== flow.gate)
  if (flow.gate !== '' && (end.inside || isPast)) {
    for (const next of yield* leaveGate(tenant, flow.gate)) {
      const { through, dueAt } = yield* arriveInside(tenant, next, (yield* flowOf(tenant, next))!, false, end.now)
      if (through) started.push(next)
      else if (dueAt !== undefined) waiting.push({ seq: next, dueAt })
    }
  } else if (flow.gate !== '') yield* leaveLine(tenant, seq)
  return { ...noAftermath(), start: started, waiting }
}

/** True when a job in this state holds its place: one that waits for its first time does not, one between attempts does. */
export function isInside(state: JobState, attempts: number): boolean {
  return state === 2 || state === 4 || (state === 1 && attempts > 0)
}

/** What a job's handler is given beside its payload. */
export function* take(scope: Scope, seq: Seq, now: number, lists: ListCache): Program<Pick<ClaimedJob, 'stateKey' | 'state' | 'stage'>> {
  const flow = yield* flowOf(scope.tenant, seq)
  if (flow?.state_key === '') return {}
  if (flow) {
    const stored = yield* readState(scope, flow.state_key, now)
    return { stateKey: flow.state_key, state: stored?.content ?? initialOf(flow) }
  }
  const place = yield* placeOf(scope.tenant, seq)
  return place ? { stage: yield* takeStage(scope.tenant, place, now, lists) } : {}
}

/** The state that a job works on. */
export function* stateKeyOf(tenant: TenantId, seq: Seq): Program<string | undefined> {
  return (yield* flowOf(tenant, seq))?.state_key
}

/** Forgets a job's flow, with the job. */
export function* removeFlow(tenant: TenantId, seq: Seq): Program<void> {
  yield* query('DELETE FROM millrace.flows WHERE tenant = $1 AND seq = $2', [tenant, seq])
}

function* flowOf(tenant: TenantId, seq: Seq): Program<FlowRow | undefined> {
  const [flow] = yield* query<FlowRow>(
    `SELECT gate, capacity, place, state_key, initial, initial_type, state_ttl, fair_key, turn_gate, stands, rate_gate, rate_limit, rate_line
      FROM millrace.flows WHERE tenant = $1 AND seq = $2`,
    [tenant, seq],
  )
  return flow
}

function initialOf({ initial, initial_type }: FlowRow): Content | undefined {
  return initial === null ? undefined : { data: initial, contentType: initial_type ?? '' }
}
