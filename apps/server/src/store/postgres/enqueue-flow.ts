import { addFlow, arrive, flowKindOf } from '../flow/flows.ts'
import { queueGate, stateGate } from '../flow/gates.ts'
import { type EnqueueRequest, type EnqueueResult, JobState } from '../ports.ts'
import { columns } from './arrays.ts'
import type { Context } from './context.ts'
import { Writer } from './counts.ts'
import type { Statement } from './database.ts'
import { EnqueuePlan, type PlannedJob, storedRequestId } from './enqueue-plan.ts'
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
  const gateOf = ({ lane: { queue }, job: { stateful, concurrency } }: PlannedJob) => {
    const gate = stateful ? stateGate(queue.namespace, stateful.key) : queueGate(queue.namespace, queue.name, concurrency?.key ?? '')
    return `${String(queue.tenant).padStart(10)} ${gate}`
  }
  const arriving = jobs.filter(({ job, scheduled }) => !job.stage && !scheduled).sort((a, b) => compare(gateOf(a), gateOf(b)))
  for (const planned of arriving) planned.blocked = !(await flow.run(arrive(planned.lane.queue.tenant, planned.seq)))
}

/** After they are written: says that they have to do with others. */
export async function markFlows(flow: FlowWork, jobs: readonly PlannedJob[]): Promise<void> {
  await flow.change(mark, names.values(jobs))
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
  const queues = await lanes.load([...new Set(jobs.map(({ queue }) => queue))].map((queue) => [scope, queue] as const))
  const id = storedRequestId(request)
  const known = requestId === '' ? [] : await flow.change<[string]>(remembered, [scope.tenant, id])
  const requests = new Map(known.map(([outcome]) => [`${scope.tenant} ${id}`, outcome]))
  const plan = new EnqueuePlan({ queues, keys: new Map(), requests }, lanes, () => sequence.next(), {
    defaultRetry: options.defaultRetry,
    defaultMaxDepth,
  })
  const result = plan.add(request)
  if (plan.jobs.length === 0 && plan.requests.size === 0) return result
  await lanes.store([...new Set(plan.jobs.map((job) => job.lane))], now)
  await enterLines(flow, plan.jobs)
  const { statement, values } = writeOf(plan, context.writer(Writer.other))
  await flow.change(statement, values)
  await markFlows(flow, plan.jobs)
  for (const { lane, seq, job, blocked } of plan.jobs) {
    const { tenant } = lane.queue
    if (!blocked) flow.ready.push({ tenant, lane: lane.number, rank: -job.priority, seq })
    flow.changes.push({ tenant, seq, state: blocked ? JobState.blocked : JobState.pending, cause: 'other' })
  }
  return result
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
