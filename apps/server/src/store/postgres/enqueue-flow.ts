import { addFlow, arrive, flowKindOf, gatesOf } from '../flow/flows.ts'
import { holdGates } from '../flow/hold.ts'
import { insertRows } from '../flow/program.ts'
import { type EnqueueRequest, type EnqueueResult, JobState, type NewJob, type TenantId } from '../ports.ts'
import { columns } from './arrays.ts'
import type { Context } from './context.ts'
import { Writer } from './counts.ts'
import type { Statement } from './database.ts'
import { EnqueuePlan, type PlannedJob, storedRequestId } from './enqueue-plan.ts'
import { askedQueues, loadQueues, readDepths, readFirstUses } from './enqueue-read.ts'
import { writeOf } from './enqueue-rows.ts'
import type { FlowWork } from './flow.ts'

const names = columns<PlannedJob>({
  tenant: ['int', ({ lane }) => lane.queue.tenant],
  seq: ['bigint', ({ seq }) => seq],
  kind: ['int', ({ job }) => flowKindOf(job)],
})
const mark: Statement = {
  name: 'flow_mark',
  repeatable: false,
  text: `UPDATE millrace.jobs j SET flow = i.kind FROM ${names.from('i', 1)} WHERE j.tenant = i.tenant AND j.seq = i.seq`,
}
const remembered: Statement = {
  name: 'flow_remembered',
  repeatable: true,
  text: 'SELECT outcome FROM millrace.requests WHERE tenant = $1 AND id = $2',
}

/** Before new jobs are written: finds out which of them must wait for others. */
export async function enterLines(flow: FlowWork, jobs: readonly PlannedJob[]): Promise<void> {
  for (const { lane, seq, job, batch } of jobs) await flow.run(addFlow(lane.queue, seq, job, batch))
  for (const planned of jobs) if (planned.job.stage) planned.blocked = planned.job.stage.blocked
  // Gates in order, as everywhere; jobs of one gate stay in theirs.
  const arriving = jobs.flatMap((planned) => (planned.job.stage || planned.scheduled ? [] : [{ planned, ...namesOf(planned) }]))
  arriving.sort((a, b) => compare(a.first, b.first))
  if (arriving.some(({ several }) => several)) await holdAll(flow, arriving)
  for (const { planned } of arriving) {
    const { tenant } = planned.lane.queue
    const { through, dueAt } = await flow.run(arrive(tenant, planned.seq, 0, planned.now))
    planned.blocked = !through
    if (dueAt !== undefined) flow.changes.push({ tenant, seq: planned.seq, state: JobState.blocked, cause: 'other', dueAt })
  }
}

/** The first of a job's gates, named so that their order is that in which they are locked, and whether there are more. */
function namesOf({ lane: { queue }, job }: PlannedJob): { readonly first: string; readonly several: boolean } {
  const names = namedGates(queue.namespace, job)
  return { first: `${String(queue.tenant).padStart(10)} ${names[0]}`, several: names.length > 1 }
}

function namedGates(namespace: string, job: NewJob): readonly string[] {
  const { gate, rate, turn } = gatesOf(namespace, job)
  return [gate, rate, turn].filter((name) => name !== undefined)
}

/** Holds all gates of jobs that come to several: what is first for one may be second for another. */
async function holdAll(flow: FlowWork, arriving: readonly { readonly planned: PlannedJob }[]): Promise<void> {
  const gates = new Map<TenantId, Set<string>>()
  for (const { lane, job } of arriving.map(({ planned }) => planned)) {
    const { tenant, namespace } = lane.queue
    const own = gates.get(tenant) ?? new Set()
    gates.set(tenant, own)
    for (const name of namedGates(namespace, job)) own.add(name)
  }
  for (const [tenant, own] of [...gates].sort(([a], [b]) => a - b)) await flow.run(holdGates(tenant, [...own].sort(compare)))
}

/** After they are written: says that they have to do with others. */
export async function markFlows(flow: FlowWork, jobs: readonly PlannedJob[]): Promise<void> {
  await flow.change(mark, names.values(jobs))
}

/** The job is to begin by a time. */
export function expires({ job }: PlannedJob): boolean {
  return job.startBefore !== undefined
}

/** After jobs are written: says by when they are to begin. */
export async function noteExpiries(flow: FlowWork, jobs: readonly PlannedJob[]): Promise<void> {
  const rows = jobs.filter(expires).map(({ lane, seq, job }) => ({ tenant: lane.queue.tenant, seq, at: job.startBefore! }))
  if (rows.length > 0) await flow.run(insertRows('expiries', rows))
}

/**
 * Adds jobs inside a transaction of other work.
 *
 * @param defaultMaxDepth - for queues without a limit of their own; `Infinity` also for those with one.
 */
export async function addJobs(context: Context, flow: FlowWork, request: EnqueueRequest, defaultMaxDepth: number): Promise<EnqueueResult> {
  const { lanes, nodes, sequence, options } = context
  const { scope, jobs, requestId, now } = request
  await nodes.reserve(2 * jobs.length + 2)
  const asked = askedQueues([request])
  const queues = await loadQueues(context, asked)
  if (defaultMaxDepth !== Infinity) await readDepths(context, asked, queues)
  const keys = await readFirstUses({ run: (statement, values) => flow.change(statement, values) }, [request], queues)
  const id = storedRequestId(request)
  const known = requestId === '' ? [] : await flow.change<[string]>(remembered, [scope.tenant, id])
  const requests = new Map(known.map(([outcome]) => [`${scope.tenant} ${id}`, outcome]))
  const plan = new EnqueuePlan({ queues, keys, requests }, lanes, () => sequence.next(), {
    defaultRetry: options.defaultRetry,
    defaultMaxDepth,
  })
  const result = plan.add(request)
  if (plan.jobs.length === 0 && plan.requests.size === 0) return result
  await lanes.store([...new Set(plan.jobs.map((job) => job.lane))], now)
  const flowing = plan.jobs.filter(({ job }) => flowKindOf(job) !== undefined)
  await enterLines(flow, flowing)
  const { statement, values } = writeOf(plan, context.writer(Writer.other))
  await flow.change(statement, values)
  if (flowing.length > 0) await markFlows(flow, flowing)
  await noteExpiries(flow, plan.jobs)
  for (const { lane, seq, job, blocked, scheduled } of plan.jobs) {
    const { tenant } = lane.queue
    lanes.added(lane.queue)
    if (scheduled) {
      flow.changes.push({ tenant, seq, state: JobState.scheduled, cause: 'other', dueAt: job.runAt })
      continue
    }
    if (!blocked) flow.ready.push({ tenant, lane: lane.number, rank: -job.priority, seq })
    flow.changes.push({ tenant, seq, state: blocked ? JobState.blocked : JobState.pending, cause: 'other' })
  }
  return result
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
