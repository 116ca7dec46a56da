import { OverlapPolicy, RunOutcome, type Schedule, type ScheduleRun } from '@millrace/protocol'
import { functionOfLane, isAttestedLane } from '../domain/jobs/attested.ts'
import { jobId } from '../domain/jobs/ids.ts'
import type { ScheduleRecord, ScheduleRun as ScheduleRunRecord, ScheduleSpec } from '../store/schedule-port.ts'
import { toDate, toRetryPolicy } from './shapes.ts'

/** What the protocol's policies are. */
export const overlaps: Readonly<Record<number, ScheduleSpec['overlap']>> = {
  [OverlapPolicy.SKIP]: 'skip',
  [OverlapPolicy.QUEUE]: 'queue',
  [OverlapPolicy.ALLOW]: 'allow',
}

const policies = { skip: OverlapPolicy.SKIP, queue: OverlapPolicy.QUEUE, allow: OverlapPolicy.ALLOW } as const

/** A schedule as it is shown. */
export function toSchedule({ name, spec, payload, paused, nextAt, lastAt, createdAt, updatedAt }: ScheduleRecord): Schedule {
  const { cron = '', everyMs = 0, at, timezone, jitterMs, overlap, catchUp, job, state } = spec
  return {
    settings: {
      name,
      cron,
      everyMs,
      at: toDate(at),
      timezone,
      jitterMs,
      overlap: policies[overlap],
      catchUp,
      function: functionOfLane(job.function),
      queue: job.queue,
      payload,
      contentType: job.contentType,
      headers: job.headers,
      labels: job.labels,
      priority: job.priority,
      maxAttempts: job.maxAttempts ?? 0,
      timeoutMs: job.timeoutMs,
      paused,
      retry: job.retry && toRetryPolicy(job.retry),
      stateKey: state?.key ?? '',
      initialState:
        state?.initial === undefined ? undefined : { data: Buffer.from(state.initial, 'base64'), contentType: state.contentType ?? '' },
      stateTtlMs: state?.ttlMs ?? 0,
      teeRequired: isAttestedLane(job.function),
    },
    nextAt: toDate(nextAt),
    lastAt: toDate(lastAt),
    createdAt: toDate(createdAt),
    updatedAt: toDate(updatedAt),
  }
}

/** What became of a tick, as it is shown. */
export function toScheduleRun({ at, manual, submitted, reason, job }: ScheduleRunRecord, name: string): ScheduleRun {
  return {
    at: new Date(at),
    manual,
    outcome: submitted ? RunOutcome.SUBMITTED : RunOutcome.SKIPPED,
    reason,
    jobId: job === undefined ? '' : jobId({ seq: job, function: name }),
  }
}
