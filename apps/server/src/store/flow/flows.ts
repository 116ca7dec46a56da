import { type ClaimedJob, type Content, JobState, type NewJob, type Scope, type Seq, type Stateful, type TenantId } from '../ports.ts'
import { type Aftermath, noAftermath } from './aftermath.ts'
import { enterGate, joinLine, leaveGate, leaveLine, queueGate, stateGate } from './gates.ts'
import { endStageJob, placeOf, takeStage } from './pipelines.ts'
import { insertRows, type Program, query } from './program.ts'
import { commitState, readState } from './states.ts'

/** What a job has to do with others. A job without a flow has no row and costs nothing. */
interface FlowRow {
  readonly gate: string
  readonly capacity: number
  /** Where it stands among those that wait: its negated priority; 0 when they come in order of submission alone. */
  readonly place: number
  /** '' when it works on no state. */
  readonly state_key: string
  readonly initial: Uint8Array | null
  readonly initial_type: string | null
  readonly state_ttl: number
}

/** The kinds of flow, as a job's row tells them apart. */
export const FlowKind = { stateful: 1, stage: 2, limited: 3 } as const

/** The kind of a new job's flow; undefined when it has none. */
export function flowKindOf({ stateful, stage, concurrency }: NewJob): number | undefined {
  if (stateful) return FlowKind.stateful
  if (stage) return FlowKind.stage
  return concurrency && FlowKind.limited
}

/** Notes what a new job has to do with others. @param pipeline - of a stage. */
export function* addFlow(scope: Scope, seq: Seq, job: NewJob, pipeline?: Seq): Program<void> {
  const { stateful, stage, concurrency, queue, priority } = job
  if (stateful) yield* addStateful(scope, seq, stateful)
  else if (concurrency) {
    const gate = queueGate(scope.namespace, queue, concurrency.key)
    const row = { gate, capacity: concurrency.limit, place: -priority, state_key: '', state_ttl: 0 }
    yield* insertRows('flows', [{ tenant: scope.tenant, seq, ...row }])
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

/** A job could run now. True when it may; otherwise it stands in line from now on. */
export function* arrive(tenant: TenantId, seq: Seq): Program<boolean> {
  const flow = yield* flowOf(tenant, seq)
  if (!flow || (yield* enterGate(tenant, flow.gate, flow.capacity))) return true
  yield* joinLine(tenant, seq, flow.place)
  return false
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
  if (end.inside) return { ...noAftermath(), start: [...(yield* leaveGate(tenant, flow.gate))] }
  yield* leaveLine(tenant, seq)
  return noAftermath()
}

/** True when a job in this state holds its place: one that waits for its first time does not, one between attempts does. */
export function isInside(state: JobState, attempts: number): boolean {
  return state === 2 || state === 4 || (state === 1 && attempts > 0)
}

/** What a job's handler is given beside its payload. */
export function* take(scope: Scope, seq: Seq, now: number): Program<Pick<ClaimedJob, 'stateKey' | 'state' | 'stage'>> {
  const flow = yield* flowOf(scope.tenant, seq)
  if (flow?.state_key === '') return {}
  if (flow) {
    const stored = yield* readState(scope, flow.state_key, now)
    return { stateKey: flow.state_key, state: stored?.content ?? initialOf(flow) }
  }
  const place = yield* placeOf(scope.tenant, seq)
  return place ? { stage: yield* takeStage(scope.tenant, place, now) } : {}
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
    'SELECT gate, capacity, place, state_key, initial, initial_type, state_ttl FROM millrace.flows WHERE tenant = $1 AND seq = $2',
    [tenant, seq],
  )
  return flow
}

function initialOf({ initial, initial_type }: FlowRow): Content | undefined {
  return initial === null ? undefined : { data: initial, contentType: initial_type ?? '' }
}
