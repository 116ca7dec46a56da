import { addFlow, arrive } from '../flow/flows.ts'
import { columns } from './arrays.ts'
import type { Statement } from './database.ts'
import type { PlannedJob } from './enqueue-plan.ts'
import type { FlowWork } from './flow.ts'

const names = columns<PlannedJob>({ tenant: ['int', ({ lane }) => lane.queue.tenant], seq: ['bigint', ({ seq }) => seq] })
const mark: Statement = {
  name: 'flow_mark',
  repeatable: false,
  text: `UPDATE millrace.jobs j SET flow = 1 FROM ${names.from('i', 1)} WHERE j.tenant = i.tenant AND j.seq = i.seq`,
}

/** Before new jobs are written: finds out which of them must wait for others. */
export async function enterLines(flow: FlowWork, jobs: readonly PlannedJob[]): Promise<void> {
  for (const { lane, seq, job } of jobs) await flow.run(addFlow(lane.queue, seq, job.stateful!))
  // Gates in order, as everywhere; jobs of one gate stay in theirs.
  const gateOf = ({ lane, job }: PlannedJob) => `${String(lane.queue.tenant).padStart(10)} ${lane.queue.namespace} ${job.stateful!.key}`
  const arriving = jobs.filter(({ scheduled }) => !scheduled).sort((a, b) => compare(gateOf(a), gateOf(b)))
  for (const planned of arriving) planned.blocked = !(await flow.run(arrive(planned.lane.queue.tenant, planned.seq)))
}

/** After they are written: says that they have to do with others. */
export async function markFlows(flow: FlowWork, jobs: readonly PlannedJob[]): Promise<void> {
  await flow.change(mark, names.values(jobs))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
