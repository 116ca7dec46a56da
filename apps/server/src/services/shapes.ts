import {
  type ApiKey,
  BackoffStrategy,
  type ItemError,
  type Job,
  type JobError as JobErrorMessage,
  type JobInfo,
  type LogEntry as LogEntryMessage,
  type Queue,
  type RetryPolicy as RetryPolicyMessage,
  type State,
  type Task,
  type TaskUpdate,
} from '@millrace/protocol'
import { isTerminal } from '../domain/jobs/followers.ts'
import { formatId, jobId } from '../domain/jobs/ids.ts'
import type { MillraceError } from '../errors.ts'
import type { ClaimedJob, JobError, JobRecord, KeyRecord, LogEntry, QueueSettings, RetryPolicy, StateRecord } from '../store/ports.ts'

const noBytes = new Uint8Array(0)

/** A delivery. */
export function toJob(job: ClaimedJob): Job {
  return {
    jobId: jobId(job),
    queue: job.queue,
    function: job.function,
    payload: job.payload,
    contentType: job.contentType,
    headers: job.headers,
    labels: job.labels,
    priority: job.priority,
    attempt: job.attempt,
    maxAttempts: job.maxAttempts,
    createdAt: new Date(job.createdAt),
    leaseToken: String(job.token),
    leaseExpiresAt: new Date(job.leaseExpiresAt),
    deadline: toDate(job.deadline),
    stateKey: job.stateKey ?? '',
    state: job.state,
  }
}

/** A queue job as it stands. */
export function toJobInfo(job: JobRecord): JobInfo {
  return {
    jobId: jobId(job),
    queue: job.queue,
    state: job.state,
    priority: job.priority,
    attempts: job.attempts,
    maxAttempts: job.maxAttempts,
    payload: job.payload ?? noBytes,
    contentType: job.contentType,
    headers: job.headers,
    result: job.result ?? noBytes,
    resultContentType: job.resultContentType,
    error: toJobError(job.error),
    createdAt: new Date(job.createdAt),
    startedAt: toDate(job.startedAt),
    finishedAt: toDate(job.finishedAt),
    runAt: toDate(job.runAt),
    workerId: job.workerId,
    seq: job.seq,
  }
}

/**
 * A task as it stands.
 *
 * @param withPayload - whether the payload comes along.
 */
export function toTask(job: JobRecord, withPayload = false): Task {
  return {
    taskId: formatId('task', job.seq),
    state: job.state,
    function: job.function,
    queue: job.queue,
    priority: job.priority,
    progress: job.progress,
    message: job.message,
    result: job.result ?? noBytes,
    resultContentType: job.resultContentType,
    error: toJobError(job.error),
    attempts: job.attempts,
    maxAttempts: job.maxAttempts,
    labels: job.labels,
    createdAt: new Date(job.createdAt),
    startedAt: toDate(job.startedAt),
    finishedAt: toDate(job.finishedAt),
    runAt: toDate(job.runAt),
    workerId: job.workerId,
    revision: job.revision,
    batchId: job.batch === undefined ? '' : formatId('batch', job.batch),
    payload: withPayload ? (job.payload ?? noBytes) : noBytes,
    contentType: job.contentType,
    stateKey: job.stateKey ?? '',
  }
}

/** A task's state after a change. */
export function toTaskUpdate(job: JobRecord): TaskUpdate {
  return {
    taskId: formatId('task', job.seq),
    state: job.state,
    progress: job.progress,
    message: job.message,
    timestamp: new Date(isTerminal(job.state) ? (job.finishedAt ?? job.updatedAt) : job.updatedAt),
    result: job.result ?? noBytes,
    resultContentType: job.resultContentType,
    error: toJobError(job.error),
    revision: job.revision,
    attempts: job.attempts,
  }
}

/** A line of a job's log. */
export function toLogEntry(entry: LogEntry): LogEntryMessage {
  return {
    timestamp: new Date(entry.timestamp),
    level: entry.level as LogEntryMessage['level'],
    message: entry.message,
    fieldsJson: entry.fields,
    sequence: entry.sequence,
  }
}

/** What stateful tasks keep. */
export function toState(state: StateRecord): State {
  return {
    key: state.key,
    data: state.content?.data ?? noBytes,
    contentType: state.content?.contentType ?? '',
    revision: state.revision,
    size: state.size,
    updatedAt: new Date(state.updatedAt),
    expiresAt: toDate(state.expiresAt),
  }
}

/** A queue's settings. */
export function toQueue(queue: QueueSettings): Queue {
  return {
    name: queue.name,
    retryPolicy: toRetryPolicy(queue.retry),
    maxDepth: queue.maxDepth,
    paused: queue.paused,
    createdAt: toDate(queue.createdAt),
  }
}

/** A key without its secret. */
export function toApiKey(key: KeyRecord): ApiKey {
  return {
    keyId: formatId('key', key.seq),
    name: key.name,
    tenant: key.tenantName,
    scopes: [...key.scopes],
    namespaces: [...key.namespaces],
    createdAt: new Date(key.createdAt),
    expiresAt: toDate(key.expiresAt),
    revokedAt: toDate(key.revokedAt),
    hint: key.hint,
  }
}

/** Why an item of a batch was refused. */
export function toItemError(error: MillraceError): ItemError {
  const { reason, message, fields = [], retryAfterMs = 0, quota } = error
  return { reason, message, fields: [...fields], retryAfterMs, quota }
}

/** Milliseconds since 1970 as a date. */
export function toDate(ms: number | undefined): Date | undefined {
  return ms === undefined ? undefined : new Date(ms)
}

function toJobError(error: JobError | undefined): JobErrorMessage | undefined {
  return error && { message: error.message, code: error.code, stack: error.stack }
}

const strategies = {
  fixed: BackoffStrategy.FIXED,
  linear: BackoffStrategy.LINEAR,
  exponential: BackoffStrategy.EXPONENTIAL,
} as const

function toRetryPolicy(retry: RetryPolicy): RetryPolicyMessage {
  return {
    maxAttempts: retry.maxAttempts,
    initialBackoffMs: retry.initialBackoffMs,
    maxBackoffMs: retry.maxBackoffMs,
    multiplier: retry.multiplier,
    strategy: strategies[retry.strategy],
    jitter: retry.jitter,
  }
}
