import {
  type ApiKey,
  BackoffStrategy,
  FailurePolicy,
  type ItemError,
  type Job,
  type JobError as JobErrorMessage,
  type JobInfo,
  type LogEntry as LogEntryMessage,
  type Pipeline,
  type PipelineEvent,
  type Queue,
  type RetryPolicy as RetryPolicyMessage,
  type StageInput,
  type State,
  type Task,
  type TaskUpdate,
} from '@millrace/protocol'
import { functionOfLane, isAttestedLane } from '../domain/jobs/attested.ts'
import { isTerminal } from '../domain/jobs/followers.ts'
import { formatId, jobId } from '../domain/jobs/ids.ts'
import { unmark } from '../domain/schemas/guard.ts'
import type { MillraceError } from '../errors.ts'
import type { JobError, JobRecord, KeyRecord, LogEntry, QueueSettings, RetryPolicy, StateRecord } from '../store/ports.ts'
import {
  type ClaimedJob,
  type ClaimedStage,
  type Content,
  JobState,
  type PipelineEvent as PipelineEventRecord,
  type PipelineRecord,
} from '../store/ports.ts'

const noBytes = new Uint8Array(0)

/** A delivery. */
export function toJob(job: ClaimedJob): Job {
  return {
    jobId: jobId(job),
    queue: job.queue,
    function: functionOfLane(job.function),
    payload: job.payload,
    contentType: job.contentType,
    ...unmark(job.headers),
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
    inputs: job.stage ? job.stage.inputs.map(toStageInput) : noInputs,
    pipelineId: job.stage ? formatId('pipe', job.stage.pipeline) : '',
    stage: job.stage?.name ?? '',
    teeRequired: isAttestedLane(job.function),
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
    ...unmark(job.headers),
    result: job.result ?? noBytes,
    resultContentType: job.resultContentType,
    error: toJobError(job.error),
    createdAt: new Date(job.createdAt),
    startedAt: toDate(job.startedAt),
    finishedAt: toDate(job.finishedAt),
    runAt: toDate(job.runAt),
    workerId: job.workerId,
    message: job.message,
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
    function: functionOfLane(job.function),
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
    batchId: job.batch === undefined || job.pipeline !== undefined ? '' : formatId('batch', job.batch),
    payload: withPayload ? (job.payload ?? noBytes) : noBytes,
    contentType: job.contentType,
    stateKey: job.stateKey ?? '',
    pipelineId: job.pipeline === undefined ? '' : formatId('pipe', job.pipeline),
    teeRequired: isAttestedLane(job.function),
    waitsFor: '',
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

const noInputs: StageInput[] = []

function toStageInput({ stage, result }: ClaimedStage['inputs'][number]): StageInput {
  return { stage, result: result?.data ?? noBytes, contentType: result?.contentType ?? '', omitted: !result }
}

/** A pipeline as it stands. */
export function toPipeline(pipeline: PipelineRecord): Pipeline {
  const { stages = [] } = pipeline
  return {
    pipelineId: formatId('pipe', pipeline.seq),
    name: pipeline.name,
    state: pipeline.state,
    onFailure: pipeline.continueOnFailure ? FailurePolicy.CONTINUE : FailurePolicy.STOP,
    stageCount: pipeline.stageCount,
    stagesLeft: pipeline.stagesLeft,
    createdAt: new Date(pipeline.createdAt),
    finishedAt: toDate(pipeline.finishedAt),
    deadline: toDate(pipeline.deadline),
    reason: pipeline.reason,
    stages: stages.map((stage) => ({
      name: stage.name,
      state: stage.state,
      taskId: stage.job === undefined ? '' : formatId('task', stage.job),
      function: stage.function,
      dependsOn: stage.dependsOn.map((position) => stages[position]!.name),
      items: stage.items ?? 0,
      itemsLeft: stage.itemsLeft,
      startedAt: toDate(stage.startedAt),
      finishedAt: toDate(stage.finishedAt),
      error: toJobError(stage.error),
    })),
  }
}

/** What happened to a pipeline. @param terminal - nothing follows. @param result - of a completed stage, unless it is large. */
export function toPipelineEvent(event: PipelineEventRecord, terminal: boolean, result: Content | undefined): PipelineEvent {
  const completed = event.stage !== undefined && event.state === JobState.completed
  return {
    number: event.number,
    stage: event.name,
    state: event.state,
    timestamp: new Date(event.at),
    error: toJobError(event.error),
    result: result?.data ?? noBytes,
    resultContentType: result?.contentType ?? '',
    resultOmitted: completed && !result,
    terminal,
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
    rateLimit: key.rateLimit,
  }
}

/** Why an item of a batch was refused. */
export function toItemError(error: MillraceError): ItemError {
  const { reason, message, fields = [], retryAfterMs = 0, quota, resource = '', id = '' } = error
  return { reason, message, fields: [...fields], retryAfterMs, quota, resource, id }
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

/** A retry policy as it is shown. */
export function toRetryPolicy(retry: RetryPolicy): RetryPolicyMessage {
  return {
    maxAttempts: retry.maxAttempts,
    initialBackoffMs: retry.initialBackoffMs,
    maxBackoffMs: retry.maxBackoffMs,
    multiplier: retry.multiplier,
    strategy: strategies[retry.strategy],
    jitter: retry.jitter,
  }
}
