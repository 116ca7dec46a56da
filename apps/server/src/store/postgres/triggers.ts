import { findTriggered, noteTriggered, startOf, triggerOf } from '../flow/triggers.ts'
import { type EnqueueOutcome, type EnqueueRequest, type EnqueueResult, JobState, type NewJob, type Scope, type Seq } from '../ports.ts'
import type { Context } from './context.ts'
import type { Statement } from './database.ts'
import { addJobs } from './enqueue-flow.ts'
import { storedRequestId } from './enqueue-plan.ts'
import { type FlowWork, withFlow } from './flow.ts'
import { recall, remember } from './remembered.ts'
import { textOfRecord } from './rows.ts'

/** A job that has not begun gets the payload of the latest trigger; one that waits for its time waits for the new one. */
const replace: Statement = {
  name: 'trigger_replace',
  repeatable: false,
  text: `
    UPDATE millrace.jobs SET payload = $3::bytea, content_type = $4::text, headers = $5::text, updated_at = $6::bigint, revision = revision + 1,
      run_at = CASE WHEN state = ${JobState.scheduled} THEN $7::bigint END
    WHERE tenant = $1 AND seq = $2 AND state <= ${JobState.blocked} AND attempts = 0 RETURNING state`,
}
const remembered: Statement = {
  name: 'trigger_remembered',
  repeatable: true,
  text: 'SELECT outcome FROM millrace.requests WHERE tenant = $1 AND id = $2',
}
const keep: Statement = {
  name: 'trigger_keep',
  repeatable: false,
  text: 'INSERT INTO millrace.requests (tenant, id, outcome, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
}

/** Jobs of a request that come to one, by their positions. */
interface Group {
  job: NewJob
  readonly positions: number[]
  firstAt: number
}

/** Adds jobs of which some have triggers, in a transaction of their own. */
export function enqueueTriggered(context: Context, request: EnqueueRequest): Promise<EnqueueResult> {
  const { scope, requestId, now } = request
  return withFlow(context, async (flow) => {
    const id = storedRequestId(request)
    const [known] = requestId === '' ? [] : await flow.change<[string]>(remembered, [scope.tenant, id])
    if (known) return recall(known[0])
    const result = await addTriggered(context, flow, request)
    if (requestId !== '' && !result.outcomes.some((outcome) => 'error' in outcome)) {
      await flow.change(keep, [scope.tenant, id, remember(result.outcomes, result.batch), now])
    }
    return result
  })
}

/** Adds jobs, triggers or none, inside a transaction of other work. Those of one trigger come to one job: what the last asks for counts. */
export async function addTriggered(context: Context, flow: FlowWork, request: EnqueueRequest): Promise<EnqueueResult> {
  const { scope, now } = request
  const outcomes: EnqueueOutcome[] = []
  const added: Group[] = []
  for (const group of groupsOf(request)) {
    const first = await standIn(flow, scope, group, now)
    if (first === undefined) added.push(group)
    else for (const position of group.positions) outcomes[position] = { seq: first, created: false }
  }
  const jobs = added.map(({ job, firstAt }) => (job.debounce ? { ...job, runAt: startOf(job, firstAt) } : job))
  const result = await addJobs(context, flow, { ...request, jobs, requestId: '' }, context.options.defaultMaxDepth)
  for (const [i, { job, positions, firstAt }] of added.entries()) {
    const outcome = result.outcomes[i]!
    positions.forEach((position, n) => {
      outcomes[position] = 'seq' in outcome ? { ...outcome, created: outcome.created && n === 0 } : outcome
    })
    if ('seq' in outcome && triggerOf(job)) await flow.run(noteTriggered(scope, job, { first: outcome.seq, firstAt }, now))
  }
  return { outcomes, batch: result.batch }
}

/** The groups in the order in which their triggers are held, which is the same for everybody; then the jobs without any, as they come. */
function groupsOf({ jobs, now }: EnqueueRequest): readonly Group[] {
  const groups = new Map<string, Group>()
  jobs.forEach((job, position) => {
    const trigger = triggerOf(job)
    const key = trigger ? JSON.stringify([trigger.queue, trigger.function, trigger.kind, trigger.key]) : `~${String(position).padStart(6)}`
    const group = groups.get(key)
    group?.positions.push(position)
    if (!group) groups.set(key, { job, positions: [position], firstAt: now })
    // Of deduplicated jobs the first counts.
    else if (job.debounce) group.job = job
  })
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group)
}

/** The job that stands for a group already, brought up to date; undefined when a new one is to be made. */
async function standIn(flow: FlowWork, scope: Scope, group: Group, now: number): Promise<Seq | undefined> {
  const { job } = group
  const trigger = triggerOf(job)
  if (!trigger) return undefined
  const { first, firstAt } = await flow.run(findTriggered(scope, trigger, now))
  if (first === undefined || job.deduplicate) return first
  const runAt = startOf(job, firstAt)
  const { payload, contentType, headers } = job
  const values = [scope.tenant, first, Buffer.from(payload), contentType || null, textOfRecord(headers), now, runAt]
  const [replaced] = await flow.change<[JobState]>(replace, values)
  if (!replaced) return undefined
  await flow.run(noteTriggered(scope, job, { first, firstAt }, now))
  flow.changes.push({
    tenant: scope.tenant,
    seq: first,
    state: replaced[0],
    cause: 'other',
    dueAt: replaced[0] === JobState.scheduled ? runAt : undefined,
  })
  return first
}
