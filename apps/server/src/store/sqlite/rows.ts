import { FlowKind, stateKeyOf } from '../flow/flows.ts'
import type { JobError, JobRecord, JobState, TenantId } from '../ports.ts'
import { BlobKind } from './blobs.ts'
import type { Context } from './context.ts'

/** A row of `jobs`, as far as a {@link JobRecord} needs it. */
export interface JobRow {
  readonly tenant: number
  readonly seq: number
  readonly lane: number
  readonly state: JobState
  readonly priority: number
  readonly attempts: number
  readonly max_attempts: number
  readonly due_at: number | null
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
  readonly flow: number | null
}

/** The columns of {@link JobRow}. */
export const jobColumns = `tenant, seq, lane, state, priority, attempts, max_attempts, due_at, created_at, started_at, finished_at,
  updated_at, revision, worker, batch, progress, message, content_type, headers, labels, result_type, error, payload, result, flow`

const nothing: Readonly<Record<string, string>> = Object.freeze({})
const completed = 5

/** What a text column of headers or labels holds. */
export function recordOfText(text: string | null): Readonly<Record<string, string>> {
  return text === null ? nothing : (JSON.parse(text) as Record<string, string>)
}

/** A job as the domain sees it, with its payload or without. */
export function jobRecord(row: JobRow, { lanes, blobs, flow }: Context, withPayload: boolean): JobRecord {
  const lane = lanes.lane(row.lane)
  const tenant: TenantId = row.tenant
  return {
    seq: row.seq,
    namespace: lane.queue.namespace,
    queue: lane.queue.name,
    function: lane.function,
    state: row.state,
    priority: row.priority,
    payload: withPayload ? blobs.load(tenant, row.seq, BlobKind.payload, row.payload) : undefined,
    contentType: row.content_type ?? '',
    headers: recordOfText(row.headers),
    labels: recordOfText(row.labels),
    attempts: row.attempts,
    maxAttempts: row.max_attempts,
    progress: row.progress ?? 0,
    message: row.message ?? '',
    result: row.state === completed ? blobs.load(tenant, row.seq, BlobKind.result, row.result) : undefined,
    resultContentType: row.result_type ?? '',
    error: row.error === null ? undefined : (JSON.parse(row.error) as JobError),
    createdAt: row.created_at,
    startedAt: row.started_at ?? undefined,
    finishedAt: row.finished_at ?? undefined,
    updatedAt: row.updated_at,
    runAt: row.state === 1 ? (row.due_at ?? undefined) : undefined,
    workerId: row.worker ?? '',
    revision: row.revision,
    batch: row.batch ?? undefined,
    stateKey: row.flow === FlowKind.stateful ? flow.run(stateKeyOf(tenant, row.seq)) : undefined,
    pipeline: row.flow === FlowKind.stage ? (row.batch ?? undefined) : undefined,
  }
}
