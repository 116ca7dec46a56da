import { JobState } from '../ports.ts'
import { Bytes, type ColumnSpec, type Columns, columns, numbers } from './arrays.ts'
import { addCounts } from './counts.ts'
import type { Statement, Value } from './database.ts'
import { type EnqueuePlan, type FirstUse, type PlannedJob, type PlannedRequest, storedRequestId } from './enqueue-plan.ts'
import type { LaneEntry, QueueEntry } from './lanes.ts'
import { textOfRecord } from './rows.ts'

/** An idempotency key of a queue. */
export interface KeyUse {
  readonly queue: QueueEntry
  readonly key: string
}

/** A planned job, and where its payload is among those of the batch. */
interface NewRow extends PlannedJob {
  readonly start: number
}
const waitingColumns = {
  tenant: ['int', ({ lane }) => lane.queue.tenant],
  seq: ['bigint', ({ seq }) => seq],
  lane: ['int', ({ lane }) => lane.number],
  state: ['smallint', stateOf],
  priority: ['int', ({ job }) => job.priority],
  namespace: ['text', ({ lane }) => lane.queue.namespace],
  max_attempts: ['int', ({ maxAttempts }) => maxAttempts],
  rank: ['int', ({ job, scheduled, blocked }) => (scheduled || blocked ? null : -job.priority)],
  run_at: ['bigint', ({ job, scheduled }) => (scheduled ? job.runAt : null)],
  timeout_ms: ['bigint', ({ job }) => job.timeoutMs],
  created_at: ['bigint', ({ now }) => now],
  updated_at: ['bigint', ({ now }) => now],
  batch: ['bigint', ({ batch }) => batch],
  idempotency_key: ['text', ({ job }) => job.idempotencyKey || null],
  retry: ['text', ({ job }) => job.retry && JSON.stringify(job.retry)],
  content_type: ['text', ({ job }) => job.contentType || null],
  headers: ['text', ({ job }) => textOfRecord(job.headers)],
  labels: ['text', ({ job }) => textOfRecord(job.labels)],
} satisfies ColumnSpec<NewRow>
/** Of jobs that begin at once. */
const takenColumns = {
  ...waitingColumns,
  attempts: ['int', ({ taken }) => (taken ? 1 : 0)],
  revision: ['int', ({ taken }) => (taken ? 2 : 1)],
  token: ['bigint', ({ taken }) => taken?.token],
  worker: ['text', ({ taken }) => taken?.workerId],
  lease_ms: ['bigint', ({ taken }) => taken?.leaseMs],
  lease_until: ['bigint', ({ taken }) => taken?.leaseUntil],
  deadline: ['bigint', ({ taken }) => taken?.deadline],
  started_at: ['bigint', ({ taken, now }) => taken && now],
} satisfies ColumnSpec<NewRow>
const payloadColumns = {
  payload_at: ['int', ({ start }) => start],
  payload_length: ['int', ({ job }) => job.payload.length],
} satisfies ColumnSpec<NewRow>

interface Added {
  readonly lane: LaneEntry
  scheduled: number
  pending: number
  blocked: number
  running: number
}
const countRows = columns<Added>({
  tenant: ['int', ({ lane }) => lane.queue.tenant],
  lane: ['int', ({ lane }) => lane.number],
  scheduled: ['int', ({ scheduled }) => scheduled],
  pending: ['int', ({ pending }) => pending],
  blocked: ['int', ({ blocked }) => blocked],
  running: ['int', ({ running }) => running],
})

/** What looks after the leases of jobs that begin at once. */
interface Watch {
  readonly tenant: number
  readonly id: number
  dueAt: number
  readonly seqs: number[]
}
const watchRows = columns<Watch>({
  tenant: ['int', ({ tenant }) => tenant],
  id: ['bigint', ({ id }) => id],
  due_at: ['bigint', ({ dueAt }) => dueAt],
  seqs: ['text', ({ seqs }) => numbers(seqs)],
})

interface Label {
  readonly tenant: number
  readonly key: string
  readonly value: string
  readonly seq: number
}
const labelRows = columns<Label>({
  tenant: ['int', ({ tenant }) => tenant],
  key: ['text', ({ key }) => key],
  value: ['text', ({ value }) => value],
  seq: ['bigint', ({ seq }) => seq],
})

const keyRows = columns<KeyUse & FirstUse>({
  tenant: ['int', ({ queue }) => queue.tenant],
  queue: ['int', ({ queue }) => queue.number],
  key: ['text', ({ key }) => key],
  seq: ['bigint', ({ seq }) => seq],
  hash: ['text', ({ hash }) => hash],
})

const requestRows = columns<PlannedRequest>({
  tenant: ['int', ({ request }) => request.scope.tenant],
  id: ['text', ({ request }) => storedRequestId(request)],
  outcome: ['text', ({ outcome }) => outcome],
  now: ['bigint', ({ request }) => request.now],
})

/** A statement that adds jobs of some columns with all that belongs to them; its first parameters are the payloads and the writer. */
function writeStatement(name: string, spec: ColumnSpec<NewRow>) {
  const jobRows = columns<NewRow>({ ...spec, ...payloadColumns })
  const names = Object.keys(spec).join(', ')
  const counts = 3 + jobRows.width
  const labels = counts + countRows.width
  const keys = labels + labelRows.width
  const requests = keys + keyRows.width
  const watches = requests + requestRows.width
  const text = `
    WITH added AS (
      INSERT INTO millrace.jobs (${names}, payload)
      SELECT ${names}, substring($1::bytea FROM payload_at FOR payload_length) FROM ${jobRows.from('i', 3)}
    ), counted AS (
      ${addCounts(
        `SELECT tenant, lane, scheduled, pending, blocked, running, 0, 0, 0, 0, scheduled + pending + blocked + running FROM ${countRows.from('i', counts)}`,
        '$2::int',
      )}
    ), labelled AS (
      INSERT INTO millrace.labels (tenant, key, value, seq) SELECT * FROM ${labelRows.from('i', labels)}
    ), keyed AS (
      INSERT INTO millrace.idempotency (tenant, queue, key, seq, hash)
      SELECT tenant, queue, key, seq, decode(hash, 'hex') FROM ${keyRows.from('i', keys)} ORDER BY tenant, queue, key
    ), remembered AS (
      INSERT INTO millrace.requests (tenant, id, outcome, created_at)
      SELECT tenant, id, outcome, now FROM ${requestRows.from('i', requests)} ORDER BY tenant, id
    )
    INSERT INTO millrace.leases (tenant, id, due_at, seqs) SELECT tenant, id, due_at, seqs::bigint[] FROM ${watchRows.from('i', watches)}`
  // Not repeatable by itself: see `#write`.
  return { statement: { name, text, repeatable: false } satisfies Statement, jobRows }
}

const waiting = writeStatement('enqueue', waitingColumns)
const taken = writeStatement('enqueue_taken', takenColumns)

/** The statement that writes a plan, and its values. */
export function writeOf(plan: EnqueuePlan, writer: number): { readonly statement: Statement; readonly values: Value[] } {
  const { statement, jobRows } = plan.jobs.some((job) => job.taken) ? taken : waiting
  return { statement, values: valuesOf(plan, jobRows, writer) }
}

function stateOf({ scheduled, blocked, taken }: PlannedJob): JobState {
  if (scheduled) return JobState.scheduled
  if (blocked) return JobState.blocked
  return taken ? JobState.running : JobState.pending
}

function valuesOf({ jobs, keys, requests }: EnqueuePlan, jobRows: Columns<NewRow>, writer: number): Value[] {
  const payloads = new Bytes()
  const rows: NewRow[] = []
  const counts = new Map<LaneEntry, Added>()
  const watches = new Map<number, Watch>()
  const labels: Label[] = []
  for (const planned of jobs) {
    const { job, seq, lane, scheduled, blocked, taken } = planned
    const { tenant } = lane.queue
    rows.push({ ...planned, start: payloads.add(job.payload) })
    const count = counts.get(lane) ?? { lane, scheduled: 0, pending: 0, blocked: 0, running: 0 }
    counts.set(lane, count)
    count[scheduled ? 'scheduled' : blocked ? 'blocked' : taken ? 'running' : 'pending']++
    for (const key in job.labels) labels.push({ tenant, key, value: job.labels[key]!, seq })
    if (!taken) continue
    const watch = watches.get(tenant) ?? { tenant, id: taken.token, dueAt: taken.leaseUntil, seqs: [] }
    watches.set(tenant, watch)
    watch.seqs.push(seq)
    watch.dueAt = Math.min(watch.dueAt, taken.leaseUntil)
  }
  return [
    payloads.all(),
    writer,
    ...jobRows.values(rows),
    ...countRows.values([...counts.values()]),
    ...labelRows.values(labels),
    ...keyRows.values([...keys.values()]),
    ...requestRows.values([...requests.values()]),
    ...watchRows.values([...watches.values()]),
  ]
}
