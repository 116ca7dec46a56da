import type * as wire from '@millrace/protocol'
import { toMs } from '../durations.ts'
import { InternalError, invalid } from '../errors/errors.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import { toPriority, toStateValue } from '../tasks/convert.ts'
import { missingField, toDate, toInt, toRetryPolicy, toText, toTexts } from '../wire.ts'
import type { CreateScheduleOptions, Schedule, ScheduleRules, ScheduleRun, UpdateScheduleOptions } from './types.ts'

const policies = ['skip', 'queue', 'allow'] as const

/** A schedule to make, on the wire. */
export function toNewSchedule(options: CreateScheduleOptions): wire.NewSchedule {
  const { name, cron, every, at, timezone, function: fn, queue, headers, labels, priority, maxAttempts, timeout } = options
  return {
    name: toText('name', name),
    cron: toText('cron', cron),
    everyMs: toMs('every', every),
    at: toDate('at', at),
    timezone: toText('timezone', timezone),
    ...toRules(options),
    jitterMs: toMs('jitter', options.jitter),
    overlap: toOverlap(options) ?? 0,
    function: toText('function', fn),
    queue: toText('queue', queue),
    ...encodePayload('payload', options.payload),
    headers: toTexts('headers', headers),
    labels: toTexts('labels', labels),
    priority: toPriority(priority),
    maxAttempts: toInt('maxAttempts', maxAttempts),
    timeoutMs: toMs('timeout', timeout),
    paused: options.paused === true,
    retry: toRetryPolicy('retry', options.retry),
    stateKey: toText('stateKey', options.stateKey),
    initialState: options.initialState === undefined ? undefined : toStateValue('initialState', options.initialState),
    stateTtlMs: toMs('stateTtl', options.stateTtl),
    teeRequired: options.teeRequired === true,
  }
}

/** A change, on the wire. */
export function toChange(name: string, options: UpdateScheduleOptions): wire.UpdateScheduleRequest {
  const { cron, every, at, timezone, jitter, payload } = options
  const encoded = payload === undefined ? { payload: undefined, contentType: '' } : encodePayload('payload', payload)
  return {
    name: toText('name', name),
    cron: cron === undefined ? undefined : toText('cron', cron),
    everyMs: every === undefined ? undefined : toMs('every', every),
    at: toDate('at', at),
    timezone: timezone === undefined ? undefined : toText('timezone', timezone),
    jitterMs: jitter === undefined ? undefined : toMs('jitter', jitter),
    overlap: toOverlap(options),
    ...toRules(options),
    ...encoded,
  }
}

function toRules({ catchUp }: ScheduleRules): { readonly catchUp: number | undefined } {
  if (catchUp === undefined) return { catchUp }
  if (catchUp === 'none') return { catchUp: 0 }
  if (catchUp?.max === undefined) throw invalid('catchUp', "is neither { max } nor 'none'.")
  return { catchUp: toInt('catchUp.max', catchUp.max) }
}

function toOverlap({ overlap }: ScheduleRules): wire.OverlapPolicy | undefined {
  if (overlap === undefined) return undefined
  const index = policies.indexOf(overlap)
  if (index < 0) throw invalid('overlap', `'${overlap}' is not one of ${policies.join(', ')}.`)
  return (index + 1) as wire.OverlapPolicy
}

/** A schedule as the server has it. @param withPayload - false in lists, which have none. */
export function fromSchedule(schedule: wire.Schedule | undefined, withPayload = true): Schedule {
  const settings = schedule?.settings
  if (!settings) throw new InternalError(missingField('the schedule'))
  const { name, cron, everyMs, at, timezone, jitterMs, overlap, catchUp, function: fn, queue, payload, contentType, paused } = settings
  const { nextAt, lastAt, createdAt = new Date(0), updatedAt = new Date(0) } = schedule
  return {
    name,
    ...(cron && { cron }),
    ...(everyMs && { every: everyMs }),
    ...(at && { at }),
    timezone,
    jitter: jitterMs,
    overlap: policies[overlap - 1] ?? 'skip',
    catchUp: { max: catchUp ?? 1 },
    ...(fn && { function: fn }),
    queue,
    ...(withPayload && { payload: decodePayload('payload', payload, contentType) }),
    ...(settings.stateKey && { stateKey: settings.stateKey }),
    teeRequired: settings.teeRequired,
    paused,
    ...(nextAt && { nextAt }),
    ...(lastAt && { lastAt }),
    createdAt,
    updatedAt,
  }
}

/** A run as the server has it. */
export function fromRun({ at, manual, outcome, reason, jobId }: wire.ScheduleRun): ScheduleRun {
  return {
    at: at ?? new Date(0),
    manual,
    outcome: outcome === 1 ? 'submitted' : 'skipped',
    ...(reason && { reason }),
    ...(jobId && { jobId }),
  }
}
