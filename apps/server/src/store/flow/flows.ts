import type { Content, JobState, Scope, Seq, Stateful, TenantId } from '../ports.ts'
import { enterGate, joinLine, leaveGate, leaveLine, stateGate } from './gates.ts'
import { type Program, query } from './program.ts'
import { commitState, readState } from './states.ts'

/** What a job has to do with others. A job without a flow has no row and costs nothing. */
interface FlowRow {
  readonly gate: string
  readonly state_key: string
  readonly initial: Uint8Array | null
  readonly initial_type: string | null
  readonly state_ttl: number
}

/** How many work on one state at a time. */
const capacity = 1

/** Notes what a new job has to do with others. */
export function* addFlow({ tenant, namespace }: Scope, seq: Seq, { key, initial, ttlMs }: Stateful): Program<void> {
  yield* query(
    `INSERT INTO millrace.flows (tenant, seq, gate, state_key, initial, initial_type, state_ttl) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [tenant, seq, stateGate(namespace, key), key, initial?.data ?? null, initial?.contentType || null, ttlMs],
  )
}

/** A job could run now. True when it may; otherwise it stands in line from now on. */
export function* arrive(tenant: TenantId, seq: Seq): Program<boolean> {
  const flow = yield* flowOf(tenant, seq)
  if (!flow || (yield* enterGate(tenant, flow.gate, capacity))) return true
  yield* joinLine(tenant, seq, 0)
  return false
}

/** A job that was let through has ended. Returns those who may begin now. */
export function* depart(tenant: TenantId, seq: Seq): Program<readonly Seq[]> {
  const flow = yield* flowOf(tenant, seq)
  return flow ? yield* leaveGate(tenant, flow.gate, capacity) : []
}

/** A blocked job ends without having begun. */
export function* giveUp(tenant: TenantId, seq: Seq): Program<void> {
  yield* leaveLine(tenant, seq)
}

/** True when a job in this state holds its place: one that waits for its first time does not, one between attempts does. */
export function isInside(state: JobState, attempts: number): boolean {
  return state === 2 || state === 4 || (state === 1 && attempts > 0)
}

/** What a job's handler is given beside its payload. */
export function* take(scope: Scope, seq: Seq, now: number): Program<{ stateKey?: string; state?: Content }> {
  const flow = yield* flowOf(scope.tenant, seq)
  if (!flow) return {}
  const stored = yield* readState(scope, flow.state_key, now)
  return { stateKey: flow.state_key, state: stored?.content ?? initialOf(flow) }
}

/** A job completed: its new state, in the transaction that completes it. */
export function* finish(scope: Scope, seq: Seq, state: Content | null | undefined, now: number): Program<void> {
  const flow = yield* flowOf(scope.tenant, seq)
  if (!flow) return
  yield* commitState(scope, flow.state_key, { change: state, initial: initialOf(flow), ttlMs: flow.state_ttl, now })
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
    'SELECT gate, state_key, initial, initial_type, state_ttl FROM millrace.flows WHERE tenant = $1 AND seq = $2',
    [tenant, seq],
  )
  return flow
}

function initialOf({ initial, initial_type }: FlowRow): Content | undefined {
  return initial === null ? undefined : { data: initial, contentType: initial_type ?? '' }
}
