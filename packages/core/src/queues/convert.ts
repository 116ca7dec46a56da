import type * as wire from '@millrace/protocol'
import { toMs } from '../durations.ts'
import { InternalError } from '../errors/errors.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import { fromJobError, fromRetryPolicy, fromState, known, missingField, toDate, toFlow, toInt, toText, toTexts } from '../wire.ts'
import type { EnqueueOptions, JobInfo, QueueInfo } from './types.ts'

/** A job as it is enqueued. Complete by hand: this is the hot path. */
export function toNewJob(value: unknown, options: EnqueueOptions): wire.NewJob {
  const { payload, contentType } = encodePayload('payload', value)
  return {
    payload,
    contentType,
    priority: toInt('priority', options.priority),
    maxAttempts: toInt('maxAttempts', options.maxAttempts),
    timeoutMs: toMs('timeout', options.timeout),
    idempotencyKey: toText('idempotencyKey', options.idempotencyKey),
    headers: toTexts('headers', options.headers),
    delayMs: toMs('delay', options.delay),
    runAt: toDate('runAt', options.runAt),
    ...toFlow(options),
  }
}

export function fromJobInfo<T>(job: wire.JobInfo | undefined): JobInfo<T> {
  if (!job) throw new InternalError(missingField('the job'))
  const status = fromState(job.state)
  const error = fromJobError(job.error)
  return {
    id: job.jobId,
    queue: job.queue,
    status,
    payload: decodePayload('payload', job.payload, job.contentType) as T,
    headers: job.headers,
    ...(job.schema && { schema: job.schema }),
    priority: job.priority,
    attempts: job.attempts,
    maxAttempts: job.maxAttempts,
    ...(status === 'completed' && { result: decodePayload('result', job.result, job.resultContentType) }),
    ...(error && { error }),
    createdAt: job.createdAt ?? new Date(0),
    ...known({ startedAt: job.startedAt, finishedAt: job.finishedAt, runAt: job.runAt, workerId: job.workerId, message: job.message }),
    seq: job.seq,
  }
}

export function fromQueue(queue: wire.Queue | undefined): QueueInfo {
  if (!queue?.retryPolicy) throw new InternalError(missingField("the queue's settings"))
  return {
    name: queue.name,
    retryPolicy: fromRetryPolicy(queue.retryPolicy),
    maxDepth: queue.maxDepth,
    paused: queue.paused,
    ...(queue.createdAt && { createdAt: queue.createdAt }),
  }
}
