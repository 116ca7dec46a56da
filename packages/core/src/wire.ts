import type * as wire from '@millrace/protocol'
import type { ErrorDetails } from '@millrace/protocol/errors'
import { toMs } from './durations.ts'
import { invalid } from './errors/errors.ts'
import type { ConcurrencyLimit, FlowOptions, JobError, JobStatus, QueueRetryPolicy, RetryPolicy } from './job-types.ts'

/** Statuses in the order of the protocol's `JobState`, which begins with "unspecified". */
const statuses = ['scheduled', 'pending', 'blocked', 'running', 'completed', 'failed', 'cancelled'] as const
const strategies = ['fixed', 'linear', 'exponential'] as const

/** The protocol's number of a status. */
export function toState(status: JobStatus): wire.JobState {
  const index = statuses.indexOf(status)
  if (index < 0) throw invalid('status', `'${status}' is not one of ${statuses.join(', ')}.`)
  return (index + 1) as wire.JobState
}

/** The status of the protocol's number. A state that a newer server may have counts as running. */
export function fromState(state: wire.JobState): JobStatus {
  return statuses[state - 1] ?? 'running'
}

/** True when nothing follows this state. */
export function isTerminalState(state: wire.JobState): boolean {
  return state >= 5
}

/** The error of an attempt, when there is one. */
export function fromJobError(error: wire.JobError | undefined): JobError | undefined {
  return error && { message: error.message, code: error.code, ...(error.stack && { stack: error.stack }) }
}

/** What the server keeps of an error's message and stack. */
const maxErrorText = 16 << 10

/** Whatever a handler threw, as the error of its attempt. */
export function toJobError(thrown: unknown): wire.JobError {
  if (!(thrown instanceof Error)) return { message: String(thrown).slice(0, maxErrorText), code: 'Error', stack: '' }
  const { name, message, stack = '' } = thrown
  return { message: (message || name).slice(0, maxErrorText), code: name, stack: stack.slice(0, maxErrorText) }
}

/** The fields that the server filled in: an empty text, or nothing at all, is what it does not know. */
export function known<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], '' | undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== '')) as never
}

/** A whole number that the protocol can carry; ranges are the server's to check. */
export function toInt(path: string, value: number | undefined): number {
  if (value === undefined) return 0
  if (!Number.isInteger(value) || Math.abs(value) > 0x7fffffff) throw invalid(path, `${String(value)} is not a whole number in range.`)
  return value
}

/** Text that the protocol can carry. */
export function toText(path: string, value: string | undefined): string {
  if (value === undefined) return ''
  // For a lone surrogate UTF-8 has no bytes: encoders put U+FFFD in its place, and different texts would become the same.
  if (typeof value !== 'string' || /\p{Cs}/u.test(value)) throw invalid(path, 'is not a valid text.')
  return value
}

const noTexts: Readonly<Record<string, string>> = Object.freeze({})

/** Labels or headers: texts by name. */
export function toTexts(path: string, value: Readonly<Record<string, string>> | undefined): Record<string, string> {
  if (value === undefined) return noTexts
  for (const key in value) toText(`${path}.${key}`, value[key])
  return { ...value }
}

/** A time that the protocol can carry. */
export function toDate(path: string, value: Date | undefined): Date | undefined {
  if (value !== undefined && !(value instanceof Date && Number.isFinite(value.getTime()))) throw invalid(path, 'is not a valid Date.')
  return value
}

/** What is to become of a job beside others, as it travels. */
export function toFlow({
  concurrency,
  rateLimit,
  fairKey,
  debounce,
  deduplicate,
  expiresIn,
}: FlowOptions): Pick<wire.NewJob, 'concurrency' | 'rateLimit' | 'fairKey' | 'debounce' | 'deduplicate' | 'expiresInMs'> {
  return {
    // `wanted && { … }` is a habit: what is not wanted is false, or null.
    concurrency: concurrency ? toLimit('concurrency', concurrency) : undefined,
    rateLimit: rateLimit ? { ...toLimit('rateLimit', rateLimit), perMs: toMs('rateLimit.per', rateLimit.per) } : undefined,
    fairKey: toText('fairKey', fairKey),
    debounce: debounce
      ? {
          key: toText('debounce.key', debounce.key),
          delayMs: toMs('debounce.delay', debounce.delay),
          maxDelayMs: toMs('debounce.maxDelay', debounce.maxDelay),
        }
      : undefined,
    deduplicate: deduplicate
      ? { key: toText('deduplicate.key', deduplicate.key), windowMs: toMs('deduplicate.window', deduplicate.window) }
      : undefined,
    expiresInMs: toMs('expiresIn', expiresIn),
  }
}

function toLimit(path: string, { key, limit }: ConcurrencyLimit): wire.Concurrency {
  return { key: toText(`${path}.key`, key), limit: toInt(`${path}.limit`, limit) }
}

/** A retry policy with the defaults that the server would fill in; undefined when there is none. */
export function toRetryPolicy(path: string, policy: RetryPolicy | null | undefined): wire.RetryPolicy | undefined {
  if (policy === undefined || policy === null) return undefined
  if (typeof policy !== 'object') throw invalid(path, 'is not a policy.')
  const strategy = strategies.indexOf(policy.strategy ?? 'exponential')
  if (strategy < 0) throw invalid(`${path}.strategy`, `'${policy.strategy}' is not one of ${strategies.join(', ')}.`)
  return {
    maxAttempts: toInt(`${path}.maxAttempts`, policy.maxAttempts ?? 3),
    initialBackoffMs: toMs(`${path}.initialBackoff`, policy.initialBackoff ?? 1000),
    maxBackoffMs: toMs(`${path}.maxBackoff`, policy.maxBackoff ?? 300_000),
    multiplier: policy.multiplier ?? 2,
    strategy: (strategy + 1) as wire.BackoffStrategy,
    jitter: policy.jitter ?? 0.2,
  }
}

/** A retry policy as the server has it. */
export function fromRetryPolicy(policy: wire.RetryPolicy): QueueRetryPolicy {
  return {
    maxAttempts: policy.maxAttempts,
    initialBackoff: policy.initialBackoffMs,
    maxBackoff: policy.maxBackoffMs,
    multiplier: policy.multiplier,
    strategy: strategies[policy.strategy - 1] ?? 'exponential',
    jitter: policy.jitter,
  }
}

/** About how many bytes a submitted thing takes beside its payload. */
export const itemOverhead = 128

/** A message that the contract promises and the answer lacks. */
export function missingField(what: string): ErrorDetails {
  return { reason: 'INTERNAL', message: `The server's answer lacks ${what}. Do the server's and the client's versions fit?` }
}
