import type { Duration } from './durations.ts'

/** Where a task or job is in its life. `blocked`: it waits for others to end, or for its start within a rate limit. The last three are terminal. */
export type JobStatus = 'scheduled' | 'pending' | 'blocked' | 'running' | 'completed' | 'failed' | 'cancelled'

/** Why an attempt failed. */
export interface JobError {
  /** What went wrong, for people. */
  readonly message: string
  /** The name of the error that was thrown, or `timeout`, `lease_expired`. */
  readonly code: string
  /** The stack trace, when the worker sent one. */
  readonly stack?: string
}

/** How many jobs may be at work at a time. */
export interface ConcurrencyLimit {
  /** What the limit is for, such as a customer, within the queue. At most 255 characters. Default: the whole queue. */
  readonly key?: string
  /**
   * So many jobs of this key may be ready or running at a time, this one included; it waits, `blocked`, until there is room:
   * higher priorities first, then older jobs. A job keeps its place between attempts. 1 to 10,000.
   */
  readonly limit: number
}

/** How many jobs may start within a time. */
export interface JobRateLimit {
  /** What the limit is for, such as a customer, within the queue. At most 255 characters. Default: the whole queue. */
  readonly key?: string
  /**
   * So many jobs of this key may start within any window of this length, this one included; it waits, `blocked`, until one more
   * may: higher priorities first, then older jobs. Each attempt is a start. 1 to 10,000.
   */
  readonly limit: number
  /** The length of the window. 1 ms to 31 days. */
  readonly per: Duration
}

/** Makes one job of many requests: one that has not begun is replaced by the next with the same key. */
export interface DebounceOptions {
  /** What the requests have in common, within the queue and the function. At most 255 characters. Default: all of them. */
  readonly key?: string
  /** The job starts so long after the last request. 1 ms to 366 days. */
  readonly delay: Duration
  /** The job starts at most so long after the first request that it stands for. Default: as late as it is put off. */
  readonly maxDelay?: Duration
}

/** Makes one job of the requests within a time. */
export interface DeduplicateOptions {
  /** What the requests have in common, within the queue and the function. 1 to 255 characters. */
  readonly key: string
  /** For so long after the first request the others are answered with its job. 1 ms to 366 days. */
  readonly window: Duration
}

/** What is to become of a job beside others, and in time. */
export interface FlowOptions {
  /** Limits how many are at work at a time, all of the queue or those of a key. Not of a stateful task. */
  readonly concurrency?: ConcurrencyLimit
  /** Limits how many start within a time, all of the queue or those of a key. Not of a stateful task. */
  readonly rateLimit?: JobRateLimit
  /**
   * Whose it is, such as a customer's: keys take turns however many jobs each has waiting, within the queue and the function, and
   * priority orders the jobs of one key alone. With `concurrency` or `rateLimit` keys take turns before the limit, too. At most 255
   * characters. Not of a stateful task.
   */
  readonly fairKey?: string
  /**
   * Puts it off until no more requests with the same key come, and runs it once for all of them, with the payload and the headers
   * of the last. If it runs already, it runs once more. Not together with `delay`, `runAt` and `idempotencyKey`.
   */
  readonly debounce?: DebounceOptions
  /** A request with the same key within a time is answered with the first one's job. Not together with `idempotencyKey`. */
  readonly deduplicate?: DeduplicateOptions
  /** It is cancelled unless a worker has begun it so long after its submission. At most 366 days. Default: never. */
  readonly expiresIn?: Duration
}

/** When and how often a failed job runs again. */
export interface RetryPolicy {
  /** Attempts in all, the first included. 1 to 1000, default 3. */
  readonly maxAttempts?: number
  /** Wait after the first failed attempt. At most 7 days, default 1 s. */
  readonly initialBackoff?: Duration
  /** Longest wait between two attempts. At most 7 days, default 5 min. */
  readonly maxBackoff?: Duration
  /** Growth of the exponential strategy. 1 to 100, default 2. */
  readonly multiplier?: number
  /** How the wait grows: not at all, by `initialBackoff` each time, or by `multiplier`. Default `exponential`. */
  readonly strategy?: 'fixed' | 'linear' | 'exponential'
  /** Random spread: the wait is multiplied by a number drawn from [1 - jitter, 1 + jitter]. 0 to 1, default 0.2. */
  readonly jitter?: number
}

/** A retry policy as the server has it: everything filled in, waits in milliseconds. */
export type QueueRetryPolicy = {
  readonly [K in keyof RetryPolicy]-?: K extends 'initialBackoff' | 'maxBackoff' ? number : Required<RetryPolicy>[K]
}
