import type { Evidence } from '@millrace/attestation'
import type { Duration, MillraceError } from '@millrace/core'

/** Options that every worker has. */
export interface WorkerBaseOptions {
  /** Handlers that run at a time. 1 to 5000, default 10. */
  readonly concurrency?: number
  /** How long a job stays this worker's without a sign of life; it is renewed by itself. 1 s to 12 h, default 30 s. */
  readonly lease?: Duration
  /** Names the worker, for people. Default: host, process and a random part. */
  readonly workerId?: string
  /** Drain on SIGTERM and SIGINT, and end the process then. Default true. */
  readonly signals?: boolean
  /**
   * Gets evidence of where this worker runs, so that it may have tasks with `teeRequired`: a quote or report that carries
   * these 64 bytes of report data, from the platform's driver. Asked once, when the worker starts.
   */
  readonly attestation?: (reportData: Uint8Array) => Evidence | Promise<Evidence>
}

/**
 * Handles the tasks of a function; what it returns becomes the task's result. It may say what the state is:
 * `(payload, ctx: JobContext<Counter>) => …`.
 *
 * @typeParam P - the payload.
 */
export type TaskHandler<P = unknown> = {
  /** Its parameters are compared both ways, so that a handler may know more of its context than the worker does. */
  handle(payload: P, ctx: JobContext): unknown
}['handle']

/**
 * A worker for tasks.
 *
 * @typeParam T - the payload of each function.
 */
export interface TaskWorkerOptions<T extends object> extends WorkerBaseOptions {
  /** What handles each function; what it returns becomes the task's result. */
  readonly tasks: { readonly [K in keyof T]: TaskHandler<T[K]> }
  /** The queue that carries the tasks. Default `default`. */
  readonly queue?: string
}

/**
 * A worker for the jobs of one queue.
 *
 * @typeParam P - the queue's payloads.
 */
export interface QueueWorkerOptions<P> extends WorkerBaseOptions {
  /** The queue. */
  readonly queue: string
  /** What handles a job; what it returns becomes the job's result. */
  readonly handler: (job: WorkerJob<P>, ctx: JobContext) => unknown
  /** With it, the handler takes many jobs at once: see {@link BatchWorkerOptions}. */
  readonly batch?: undefined
}

/**
 * A worker that handles many jobs of a queue at once.
 *
 * @typeParam P - the queue's payloads.
 */
export interface BatchWorkerOptions<P> extends WorkerBaseOptions {
  /** The queue. */
  readonly queue: string
  /** How jobs are brought together. */
  readonly batch: {
    /** Jobs of one batch at most. 1 to 1000. */
    readonly size: number
    /** How long the first job of a batch waits for more. Default 50 ms. */
    readonly wait?: Duration
  }
  /**
   * What handles a batch. It returns an array with the result of each job, in their order, in which an `Error` fails its job
   * alone; or nothing. What it throws fails all.
   */
  readonly handler: (jobs: readonly BatchJob<P>[]) => unknown
  /** Batches that are handled at a time. Together with their sizes at most 5000 jobs. Default 1. */
  readonly concurrency?: number
}

/** A job of a batch. */
export interface BatchJob<P = unknown> extends WorkerJob<P> {
  /** What its handler knows of it and can say about it. */
  readonly ctx: JobContext
}

/** A job as a handler gets it. */
export interface WorkerJob<P = unknown> {
  /** `job_…`. */
  readonly id: string
  /** The queue it came from. */
  readonly queue: string
  /** What was enqueued. */
  readonly payload: P
  /** Headers given at submission. */
  readonly headers: Readonly<Record<string, string>>
  /** -100 to 100. */
  readonly priority: number
  /** The number of this attempt, from 1. */
  readonly attempt: number
  /** Attempts the job has in all. */
  readonly maxAttempts: number
  /** When it was enqueued. */
  readonly createdAt: Date
}

/** Writes to the job's log, which `tasks.logs` reads. Lines are sent with the next batch. */
export interface JobLog {
  /** For the author of the handler. */
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void
  /** Normal operation. */
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  /** Something odd that the handler coped with. */
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  /** Something failed. */
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}

/**
 * What a handler knows of its job and can say about it.
 *
 * @typeParam S - the state of a stateful task.
 */
export interface JobContext<S = unknown> {
  /** `task_…` or `job_…`. */
  readonly id: string
  /** The number of this attempt, from 1. */
  readonly attempt: number
  /** Labels given at submission. */
  readonly labels: Readonly<Record<string, string>>
  /** Headers given at submission. */
  readonly headers: Readonly<Record<string, string>>
  /** When the attempt is given up; undefined when the job has no timeout. */
  readonly deadline: Date | undefined
  /** Aborts when the handler shall stop; its `reason` is a `JobRevokedError` that says why. */
  readonly signal: AbortSignal
  /**
   * The state of a stateful task: what the latest completed task with its key left, or else this task's initial state.
   * Assign it, or change what is in it: the new state is stored in the transaction that completes the task, and a failed
   * attempt leaves it as it was. `undefined` forgets it. Of other jobs it is undefined, and assigning it throws.
   */
  state: S
  /** Of a pipeline's stage: the results of the stages it depends on, by their names. Empty for other jobs. */
  readonly inputs: Readonly<Record<string, unknown>>
  /** Says how far the work is, 0 to 100. Sent with the next batch; an older one not sent yet is replaced. */
  progress(percent: number, message?: string): void
  /** Writes to the job's log. */
  readonly log: JobLog
  /**
   * Moves the end of the lease now; leases are renewed by themselves as long as the event loop is not blocked.
   *
   * @returns when the lease ends.
   * @throws ConflictError when the lease is lost.
   */
  renew(): Promise<Date>
}

/** A handled job, as events tell of it. */
export interface HandledJob {
  /** `task_…` or `job_…`. */
  readonly id: string
  /** The queue it came from. */
  readonly queue: string
  /** The task's function; empty for a queue job. */
  readonly function: string
  /** The number of this attempt, from 1. */
  readonly attempt: number
  /** How long the handler took. */
  readonly durationMs: number
}

/** Events of a worker. */
export interface WorkerEvents {
  /** A job is completed, durably. */
  completed: HandledJob & { readonly result: unknown }
  /** An attempt failed, durably; `error` is what the handler threw. */
  failed: HandledJob & { readonly error: unknown }
  /** Something else went wrong: a result came too late, the server refused the worker. The worker goes on. */
  error: MillraceError
  /** The worker takes jobs. */
  connected: { readonly workerId: string }
  /** The connection is gone: `error` says why, unless the worker was stopped. A running worker connects again by itself. */
  disconnected: { readonly error?: MillraceError }
}

/** How a worker stops. */
export interface StopOptions {
  /** Longest wait for running handlers. Then their signals abort and their jobs are given back. Default 30 s. */
  readonly drain?: Duration
}
