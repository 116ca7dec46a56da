import type { Duration } from '../durations.ts'
import type { FlowOptions, JobError, JobStatus, QueueRetryPolicy, RetryPolicy } from '../job-types.ts'
import type { CallOptions } from '../options.ts'
import type { SchemaVersion } from '../schemas.ts'

/** How a job is enqueued. */
export interface EnqueueOptions extends FlowOptions {
  /** -100 to 100, default 0; a higher one runs first. */
  readonly priority?: number
  /** Wait before the first attempt. At most 366 days. Not together with `runAt`. */
  readonly delay?: Duration
  /** Earliest time of the first attempt. */
  readonly runAt?: Date
  /** Attempts in all. 1 to 1000. Default: the queue's retry policy. */
  readonly maxAttempts?: number
  /** Longest time of one attempt. At most 7 days. Default: no limit. */
  readonly timeout?: Duration
  /** The same key in the same queue returns the first job; with another payload it is a `ConflictError`. */
  readonly idempotencyKey?: string
  /** Headers for the handler. At most 64. */
  readonly headers?: Readonly<Record<string, string>>
}

/** One job of a batch to enqueue. */
export interface NewJob<T = unknown> extends EnqueueOptions {
  /** Any JSON value or a `Uint8Array`. At most the server's limit, 4 MiB by default. */
  readonly payload: T
}

/** What became of an enqueued job. */
export interface EnqueueResult {
  /** The job's id: `job_…`. */
  readonly jobId: string
  /** Position in the order of submission; grows, with gaps. */
  readonly seq: number
  /** False when it is an earlier job: of the same idempotency key, or one that stands for this request too. */
  readonly created: boolean
}

/** How jobs are received. */
export interface ReceiveOptions extends CallOptions {
  /** Most jobs to take. 1 to 1000, default 1. */
  readonly max?: number
  /** How long the jobs are this caller's unless it renews. 1 s to 12 h, default 30 s. */
  readonly lease?: Duration
  /** How long to wait for a first job. At most 60 s, default 0. */
  readonly wait?: Duration
  /** Names the worker, for people. */
  readonly workerId?: string
}

/** How jobs are delivered. */
export interface DeliveriesOptions {
  /** As in {@link ReceiveOptions}. */
  readonly lease?: Duration
  /** Most jobs at a time that are delivered and not settled. 1 to 10,000, default 1. */
  readonly concurrency?: number
  /** Names the worker, for people. */
  readonly workerId?: string
  /** Ends the iteration with an `AbortError`. */
  readonly signal?: AbortSignal
}

/** How an attempt fails. */
export interface FailOptions extends CallOptions {
  /** False: do not try again, whatever attempts are left. Default true. */
  readonly retry?: boolean
  /** Wait before the next attempt instead of the policy's backoff. At most 366 days. */
  readonly delay?: Duration
}

/** A job as it stands. */
export interface JobInfo<T = unknown> {
  /** `job_…`. Ids sort by time of enqueueing. */
  readonly id: string
  /** The queue it was enqueued to. */
  readonly queue: string
  /** Where it is in its life. */
  readonly status: JobStatus
  /** What was enqueued. */
  readonly payload: T
  /** Headers given at submission. */
  readonly headers: Readonly<Record<string, string>>
  /** The schema that the payload was checked against; absent when the queue had none. */
  readonly schema?: SchemaVersion
  /** -100 to 100. */
  readonly priority: number
  /** Attempts begun. */
  readonly attempts: number
  /** Attempts it has in all. */
  readonly maxAttempts: number
  /** What it was completed with. */
  readonly result?: unknown
  /** The last attempt's error, until an attempt completes. */
  readonly error?: JobError
  /** When it was enqueued. */
  readonly createdAt: Date
  /** When the latest attempt began. */
  readonly startedAt?: Date
  /** When it ended. */
  readonly finishedAt?: Date
  /** When it may run next, while it is scheduled. */
  readonly runAt?: Date
  /** The worker of the latest attempt. */
  readonly workerId?: string
  /** What the latest attempt said of its progress, or why the job was cancelled. */
  readonly message?: string
  /** Position in the order of submission. */
  readonly seq: number
}

/** Counts of a queue's jobs. */
export interface QueueStats {
  /** Ready to run now. */
  readonly pending: number
  /** Wait for their time. */
  readonly scheduled: number
  /** Jobs that wait for other jobs to end, or for their start within a rate limit. */
  readonly blocked: number
  /** Under a lease now. */
  readonly processing: number
  /** Completed since the queue's first use. */
  readonly completed: number
  /** Ended in failure since the queue's first use, less those replayed. */
  readonly failed: number
  /** Cancelled since the queue's first use. */
  readonly cancelled: number
  /** Failed jobs that are kept now. */
  readonly dead: number
  /** Enqueued since the queue's first use. */
  readonly total: number
  /** Age of the oldest pending job; 0 when none is pending. */
  readonly oldestAgeMs: number
}

/** A queue's settings. */
export interface QueueInfo {
  /** Its name. */
  readonly name: string
  /** How its jobs are tried again. */
  readonly retryPolicy: QueueRetryPolicy
  /** Most jobs that may wait; 0 is the server's default. */
  readonly maxDepth: number
  /** True while it hands out no jobs. */
  readonly paused: boolean
  /** When it was first used. */
  readonly createdAt?: Date
}

/** A change of a queue's settings; what is left out stays. */
export interface UpdateQueueOptions extends CallOptions {
  /** The new policy; what it leaves out takes its default. */
  readonly retryPolicy?: RetryPolicy
  /** Most jobs that may wait; more are held back. 0 is the server's default. */
  readonly maxDepth?: number
}

/** Which page of a list to read. */
export interface ListOptions extends CallOptions {
  /** Items on one page. 1 to 1000, default 100. */
  readonly limit?: number
  /** Where to begin: `nextCursor` of a page. */
  readonly cursor?: string
}
