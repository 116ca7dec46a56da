import type { Duration } from './durations.ts'

/** Where a task or job is in its life. The last three are terminal. */
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

/** When and how often a failed job runs again. */
export interface RetryPolicy {
  /** Attempts in all, the first included. 1 to 1000, default 3. */
  readonly maxAttempts?: number
  /** Wait after the first failed attempt. Default 1 s. */
  readonly initialBackoff?: Duration
  /** Longest wait between two attempts. Default 5 min. */
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
