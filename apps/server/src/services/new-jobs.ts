import {
  BackoffStrategy,
  type Concurrency as ConcurrencyMessage,
  type NewJob as NewJobMessage,
  type NewTask,
  type RetryPolicy as RetryPolicyMessage,
} from '@millrace/protocol'
import { attestedLane } from '../domain/jobs/attested.ts'
import type { Concurrency, NewJob, RetryPolicy, Stateful } from '../store/ports.ts'
import type { Checks } from './checks.ts'
import { limits } from './limits.ts'

const strategies = {
  [BackoffStrategy.UNSPECIFIED]: 'exponential',
  [BackoffStrategy.FIXED]: 'fixed',
  [BackoffStrategy.LINEAR]: 'linear',
  [BackoffStrategy.EXPONENTIAL]: 'exponential',
} as const

/** The queue, and the function, of a task that names none. */
export const defaultName = 'default'

const noLabels: Readonly<Record<string, string>> = Object.freeze({})

/**
 * Checks a retry policy and fills in its defaults.
 *
 * @param field - the policy's field in its request.
 */
export function readRetryPolicy(checks: Checks, field: string, policy: RetryPolicyMessage): RetryPolicy {
  const { maxAttempts, initialBackoffMs, maxBackoffMs, multiplier, jitter } = policy
  const strategy = strategies[policy.strategy as keyof typeof strategies]
  checks.integer(`${field}.maxAttempts`, maxAttempts, 0, limits.attempts)
  checks.integer(`${field}.initialBackoffMs`, initialBackoffMs, 0, limits.backoff)
  checks.integer(`${field}.maxBackoffMs`, maxBackoffMs, 0, limits.backoff)
  if (multiplier !== 0) checks.number(`${field}.multiplier`, multiplier, 1, 100)
  checks.number(`${field}.jitter`, jitter, 0, 1)
  if (strategy === undefined) checks.fail(`${field}.strategy`, `${policy.strategy} is not a strategy`)
  return {
    maxAttempts: maxAttempts || 3,
    initialBackoffMs: maxAttempts === 0 && initialBackoffMs === 0 ? 1000 : initialBackoffMs,
    maxBackoffMs: maxBackoffMs || 300_000,
    multiplier: multiplier || 2,
    strategy: strategy ?? 'exponential',
    jitter,
  }
}

/** Checks a queue job and makes it what the engine takes. The result means nothing when a check failed. */
export function readNewJob(checks: Checks, job: NewJobMessage, queue: string, now: number, payloadLimit: number): NewJob {
  checks.integer('maxAttempts', job.maxAttempts, 0, limits.attempts)
  return {
    ...readCommon(checks, job, now, payloadLimit),
    queue,
    function: '',
    labels: noLabels,
    maxAttempts: job.maxAttempts || undefined,
    concurrency: readConcurrency(checks, job.concurrency),
  }
}

/** Checks a task and makes it what the engine takes. The result means nothing when a check failed. */
export function readNewTask(checks: Checks, task: NewTask, now: number, payloadLimit: number): NewJob {
  checks.labels('labels', task.labels)
  return {
    ...readCommon(checks, task, now, payloadLimit),
    queue: checks.nameOr('queue', task.queue, defaultName),
    function: laneOf(checks.nameOr('function', task.function, defaultName), task.teeRequired),
    labels: task.labels,
    retry: task.retry && readRetryPolicy(checks, 'retry', task.retry),
    stateful: readStateful(checks, task, payloadLimit),
    concurrency: readConcurrency(checks, task.concurrency),
  }
}

function laneOf(name: string, teeRequired: boolean): string {
  return teeRequired ? attestedLane(name) : name
}

/** How many jobs may be at work at a time; undefined when there is no limit. */
function readConcurrency(checks: Checks, concurrency: ConcurrencyMessage | undefined): Concurrency | undefined {
  if (!concurrency) return undefined
  const { key, limit } = concurrency
  checks.text('concurrency.key', key, limits.text)
  checks.integer('concurrency.limit', limit, 1, limits.concurrency)
  return { key, limit }
}

/** What makes a task stateful; undefined when it is not. */
function readStateful(
  checks: Checks,
  { stateKey, initialState, stateTtlMs, concurrency }: NewTask,
  payloadLimit: number,
): Stateful | undefined {
  if (stateKey === '') {
    if (initialState) checks.fail('initialState', 'needs a stateKey')
    if (stateTtlMs !== 0) checks.fail('stateTtlMs', 'needs a stateKey')
    return undefined
  }
  checks.text('stateKey', stateKey, limits.text)
  if (concurrency) checks.fail('concurrency', 'cannot stand together with stateKey, whose tasks run one at a time')
  checks.integer('stateTtlMs', stateTtlMs, 0, limits.delay)
  if (initialState) {
    checks.payload('initialState.data', initialState.data, payloadLimit)
    checks.text('initialState.contentType', initialState.contentType, limits.text)
  }
  return { key: stateKey, initial: initialState, ttlMs: stateTtlMs }
}

type Common = Pick<NewJob, 'payload' | 'contentType' | 'headers' | 'priority' | 'timeoutMs' | 'idempotencyKey' | 'runAt'>

function readCommon(checks: Checks, job: NewJobMessage | NewTask, now: number, payloadLimit: number): Common {
  const { payload, contentType, headers, priority, timeoutMs, idempotencyKey, delayMs } = job
  checks.payload('payload', payload, payloadLimit)
  checks.text('contentType', contentType, limits.text)
  checks.headers('headers', headers)
  checks.integer('priority', priority, -limits.priority, limits.priority)
  checks.integer('timeoutMs', timeoutMs, 0, limits.timeout)
  checks.text('idempotencyKey', idempotencyKey, limits.text)
  checks.integer('delayMs', delayMs, 0, limits.delay)
  const runAt = checks.time('runAt', job.runAt)
  if (delayMs !== 0 && job.runAt !== undefined) checks.fail('delayMs', 'cannot stand together with runAt; give one of them')
  return { payload, contentType, headers, priority, timeoutMs, idempotencyKey, runAt: delayMs > 0 ? now + delayMs : runAt }
}
