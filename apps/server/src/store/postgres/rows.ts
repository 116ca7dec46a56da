import { FlowKind } from '../flow/flows.ts'
import { type JobError, type JobRecord, JobState } from '../ports.ts'

/** SQL: completed jobs that finished before this are past their retention and are not seen. */
export const horizon = "(SELECT value FROM millrace.meta WHERE key = 'horizon')"

/** SQL: a completed job is not past its retention. (A sum, so that no plan takes the index by time where jobs are looked up by number.) */
export const seen = `finished_at + 0 >= ${horizon}`

/** What {@link jobColumns} gives. */
export interface JobRow {
  readonly seq: number
  readonly namespace: string
  readonly queue: string
  readonly function: string
  readonly state: JobState
  readonly priority: number
  readonly attempts: number
  readonly max_attempts: number
  readonly run_at: number | null
  readonly created_at: number
  readonly started_at: number | null
  readonly finished_at: number | null
  readonly updated_at: number
  readonly revision: number
  readonly worker: string | null
  readonly batch: number | null
  readonly progress: number | null
  readonly message: string | null
  readonly content_type: string | null
  readonly headers: string | null
  readonly labels: string | null
  readonly result_type: string | null
  readonly error: string | null
  readonly payload: Uint8Array | null
  readonly result: Uint8Array | null
  readonly state_key: string | null
  readonly flow: number | null
}

const shared =
  'seq, lane, priority, attempts, max_attempts, created_at, started_at, revision, worker, batch, message, content_type, headers, labels, flow'

/** SQL: jobs that have not completed, in the columns that {@link jobColumns} names. */
export const jobsRead = `SELECT tenant, ${shared}, coalesce(failed_at, cancelled_at) AS finished_at, state, run_at, updated_at, progress, NULL::text AS result_type, error, payload, NULL::bytea AS result
    FROM millrace.jobs`

/** SQL: completed jobs, in the same columns. */
export const completedRead = `SELECT tenant, ${shared}, finished_at, ${JobState.completed}::smallint AS state, NULL::bigint AS run_at, finished_at AS updated_at,
    100::real AS progress, result_type, NULL::text AS error, payload, result FROM millrace.completed`

/** SQL: the columns of {@link JobRow} out of a job `j`, its lane `l` and its queue `q`. */
export function jobColumns(withPayload: boolean): string {
  return `j.seq, q.namespace, q.name AS queue, l.function, j.state, j.priority, j.attempts, j.max_attempts, j.run_at, j.created_at, j.started_at,
    j.finished_at, j.updated_at, j.revision, j.worker, j.batch, j.progress, j.message, j.content_type, j.headers, j.labels, j.result_type, j.error,
    ${withPayload ? 'j.payload' : 'NULL::bytea AS payload'}, j.result,
    j.flow, CASE WHEN j.flow = ${FlowKind.stateful} THEN (SELECT f.state_key FROM millrace.flows f WHERE f.tenant = j.tenant AND f.seq = j.seq) END AS state_key`
}

/** SQL: the lane and queue of a job `j`, when they are in the namespace. */
export function inNamespace(namespace: string): string {
  return `JOIN millrace.lanes l ON l.tenant = j.tenant AND l.lane = j.lane AND l.namespace = ${namespace}
    JOIN millrace.queues q ON q.tenant = l.tenant AND q.queue = l.queue`
}

const nothing: Readonly<Record<string, string>> = Object.freeze({})

/** What a text column of headers or labels holds. */
export function recordOfText(text: string | null): Readonly<Record<string, string>> {
  return text === null ? nothing : (JSON.parse(text) as Record<string, string>)
}

/** NULL for an empty record. */
export function textOfRecord(record: Readonly<Record<string, string>>): string | null {
  for (const _ in record) return JSON.stringify(record)
  return null
}

/** A job as the domain sees it. */
export function jobRecord(row: JobRow): JobRecord {
  return {
    seq: row.seq,
    namespace: row.namespace,
    queue: row.queue,
    function: row.function,
    state: row.state,
    priority: row.priority,
    payload: row.payload ?? undefined,
    contentType: row.content_type ?? '',
    headers: recordOfText(row.headers),
    labels: recordOfText(row.labels),
    attempts: row.attempts,
    maxAttempts: row.max_attempts,
    progress: row.progress ?? 0,
    message: row.message ?? '',
    result: row.result ?? undefined,
    resultContentType: row.result_type ?? '',
    error: row.error === null ? undefined : (JSON.parse(row.error) as JobError),
    createdAt: row.created_at,
    startedAt: row.started_at ?? undefined,
    finishedAt: row.finished_at ?? undefined,
    updatedAt: row.updated_at,
    runAt: row.state === JobState.scheduled ? (row.run_at ?? undefined) : undefined,
    workerId: row.worker ?? '',
    revision: row.revision,
    batch: row.batch ?? undefined,
    stateKey: row.state_key ?? undefined,
    pipeline: row.flow === FlowKind.stage ? (row.batch ?? undefined) : undefined,
  }
}
