import {
  BackoffStrategy,
  type Concurrency as ConcurrencyMessage,
  type JobRateLimit,
  type NewJob as NewJobMessage,
  type NewTask,
  type RetryPolicy as RetryPolicyMessage,
} from '@millrace/protocol'
import { attestedLane } from '../domain/jobs/attested.ts'
import type { Concurrency, Debounce, Deduplicate, NewJob, RateLimit, RetryPolicy, Stateful } from '../store/ports.ts'
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
  }
}

/** The lane of a function's tasks. */
export function laneOf(name: string, teeRequired: boolean): string {
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

/** How many jobs may start within a time; undefined when there is no limit. */
function readRateLimit(checks: Checks, rateLimit: JobRateLimit | undefined): RateLimit | undefined {
  if (!rateLimit) return undefined
  const { key, limit, perMs } = rateLimit
  checks.text('rateLimit.key', key, limits.text)
  checks.integer('rateLimit.limit', limit, 1, limits.starts.count)
  checks.integer('rateLimit.perMs', perMs, 1, limits.starts.window)
  return { key, limit, perMs }
}

/** What makes a task stateful; undefined when it is not. */
export function readStateful(
  checks: Checks,
  task: Pick<NewTask, 'stateKey' | 'initialState' | 'stateTtlMs'> & Partial<Pick<NewTask, 'concurrency' | 'rateLimit' | 'fairKey'>>,
  payloadLimit: number,
): Stateful | undefined {
  const { stateKey, initialState, stateTtlMs, concurrency, rateLimit, fairKey } = task
  if (stateKey === '') {
    if (initialState) checks.fail('initialState', 'needs a stateKey')
    if (stateTtlMs !== 0) checks.fail('stateTtlMs', 'needs a stateKey')
    return undefined
  }
  checks.text('stateKey', stateKey, limits.text)
  if (concurrency) checks.fail('concurrency', 'cannot stand together with stateKey, whose tasks run one at a time')
  if (fairKey) checks.fail('fairKey', 'cannot stand together with stateKey, whose tasks run in order')
  if (rateLimit) checks.fail('rateLimit', 'cannot stand together with stateKey, whose tasks run one at a time')
  checks.integer('stateTtlMs', stateTtlMs, 0, limits.delay)
  if (initialState) {
    checks.payload('initialState.data', initialState.data, payloadLimit)
    checks.text('initialState.contentType', initialState.contentType, limits.text)
  }
  return { key: stateKey, initial: initialState, ttlMs: stateTtlMs }
}

type Common = Pick<
  NewJob,
  | 'payload'
  | 'contentType'
  | 'headers'
  | 'priority'
  | 'timeoutMs'
  | 'idempotencyKey'
  | 'runAt'
  | 'concurrency'
  | 'rateLimit'
  | 'fairKey'
  | 'debounce'
  | 'deduplicate'
  | 'startBefore'
>

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
  const delay = job.debounce?.delayMs ?? delayMs
  checks.integer('expiresInMs', job.expiresInMs, 0, limits.delay)
  if (job.expiresInMs > 0 && Math.max(now + delay, runAt ?? 0) >= now + job.expiresInMs) {
    checks.fail('expiresInMs', 'is over before the job may begin; give more time')
  }
  return {
    payload,
    contentType,
    headers,
    priority,
    timeoutMs,
    idempotencyKey,
    runAt: delay > 0 ? now + delay : runAt,
    concurrency: readConcurrency(checks, job.concurrency),
    rateLimit: readRateLimit(checks, job.rateLimit),
    fairKey: readFairKey(checks, job),
    debounce: readDebounce(checks, job),
    deduplicate: readDeduplicate(checks, job),
    startBefore: job.expiresInMs > 0 ? now + job.expiresInMs : undefined,
  }
}

/** With whom a job takes turns; undefined when it takes none. */
function readFairKey(checks: Checks, { fairKey }: NewJobMessage | NewTask): string | undefined {
  checks.text('fairKey', fairKey, limits.text)
  return fairKey === '' ? undefined : fairKey
}

/** By what a job is put off; undefined when it is not. */
function readDebounce(checks: Checks, job: NewJobMessage | NewTask): Debounce | undefined {
  const { debounce, delayMs, runAt, idempotencyKey, deduplicate } = job
  if (!debounce) return undefined
  const { key, maxDelayMs } = debounce
  checks.text('debounce.key', key, limits.text)
  checks.integer('debounce.delayMs', debounce.delayMs, 1, limits.delay)
  if (maxDelayMs !== 0) checks.integer('debounce.maxDelayMs', maxDelayMs, debounce.delayMs, limits.delay)
  if (delayMs !== 0 || runAt) checks.fail('debounce', 'cannot stand together with delayMs and runAt: it has a delay of its own')
  if (idempotencyKey !== '') checks.fail('debounce', 'cannot stand together with idempotencyKey: repeats replace the job')
  if (deduplicate) checks.fail('debounce', 'cannot stand together with deduplicate; give one of them')
  return { key, maxDelayMs }
}

/** Within which time a job is the only one; undefined when it is one of many. */
function readDeduplicate(checks: Checks, { deduplicate, idempotencyKey }: NewJobMessage | NewTask): Deduplicate | undefined {
  if (!deduplicate) return undefined
  const { key, windowMs } = deduplicate
  checks.text('deduplicate.key', key, limits.text)
  if (key === '') checks.fail('deduplicate.key', 'is missing')
  checks.integer('deduplicate.windowMs', windowMs, 1, limits.delay)
  if (idempotencyKey !== '') checks.fail('deduplicate', 'cannot stand together with idempotencyKey; give one of them')
  return { key, windowMs }
}
