import type { Duration } from '../durations.ts'
import type { FlowOptions, JobError, JobStatus, RetryPolicy } from '../job-types.ts'
import type { CallOptions } from '../options.ts'
import type { TaskWatch } from './task-watch.ts'

/** How urgent a task is: -10, 0, 10 or 100, or a number from -100 to 100. A higher one runs first. */
export type TaskPriority = 'low' | 'normal' | 'high' | 'critical' | number

/** Whether a task works on a state that it shares with others. */
export type TaskType = 'stateless' | 'stateful'

/** A task to submit. */
export interface SubmitTaskOptions extends FlowOptions {
  /** What handles it. Default: `payload.function` when that is text, else `default`. */
  readonly function?: string
  /** Any JSON value or a `Uint8Array`. At most the server's limit, 4 MiB by default. */
  readonly payload?: unknown
  /** A stateless task depends on its payload alone; a stateful one works on a state too. Default: stateful when there is a `stateKey`. */
  readonly type?: TaskType
  /**
   * The state that a stateful task works on, by name within the namespace. Tasks with the same key run one at a time, in
   * order of submission, whatever their function; others beside them. At most 255 characters.
   */
  readonly stateKey?: string
  /** The state to begin with when there is none: any JSON value or a `Uint8Array`. */
  readonly initialState?: unknown
  /** How long the state is kept after the latest completed task. At most 366 days. Default: for ever. */
  readonly stateTtl?: Duration
  /** Default `normal`. */
  readonly priority?: TaskPriority
  /** Longest time of one attempt. At most 7 days. Default: no limit. */
  readonly timeout?: Duration
  /** The same key in the same namespace and queue returns the first task; with another function or payload it is a `ConflictError`. */
  readonly idempotencyKey?: string
  /** Labels to find it by. At most 32. */
  readonly labels?: Readonly<Record<string, string>>
  /** Headers for the handler. At most 64. */
  readonly headers?: Readonly<Record<string, string>>
  /** Wait before the first attempt. At most 366 days. Not together with `runAt`. */
  readonly delay?: Duration
  /** Earliest time of the first attempt. */
  readonly runAt?: Date
  /** Instead of the queue's retry policy. */
  readonly retry?: RetryPolicy
  /**
   * Run it in a trusted execution environment alone, on a worker whose attestation the server has verified. It waits until
   * there is one; `tasks.proof` then proves where it ran. Default false.
   */
  readonly teeRequired?: boolean
  /** The queue that carries it. Default `default`. */
  readonly queue?: string
}

/** Tasks to submit in one transaction: all or none. Options beside `tasks` are defaults for each of them. */
export interface SubmitBatchOptions extends Omit<SubmitTaskOptions, 'payload' | 'idempotencyKey'> {
  /** The tasks, at most 10,000. */
  readonly tasks: readonly SubmitTaskOptions[]
}

/** What became of a submitted task. */
export interface TaskResult {
  /** The task's id: `task_…`. */
  readonly taskId: string
  /** False when it is an earlier task: of the same idempotency key, or one that stands for this request too. */
  readonly created: boolean
}

/** A submitted task, with what can be done with it. */
export interface TaskHandle<R = unknown> extends TaskResult {
  /** Waits for its end; see `tasks.wait`. */
  wait(options?: WaitOptions): Promise<TaskStatus<R>>
  /** Follows it; see `tasks.watch`. */
  watch(options?: WatchOptions): TaskWatch<R>
  /** Cancels it; see `tasks.cancel`. */
  cancel(options?: CancelOptions): Promise<TaskInfo<R>>
}

/** What became of a batch. */
export interface SubmitBatchResult {
  /** The batch's id: `batch_…`; `tasks.list({ batchId })` finds its tasks. */
  readonly batchId: string
  /** The tasks' ids, in order. */
  readonly taskIds: readonly string[]
}

/** How far a task is. */
export interface TaskStatus<R = unknown> {
  /** `task_…`. Ids sort by time of submission. */
  readonly taskId: string
  /** Where it is in its life. */
  readonly status: JobStatus
  /** 0 to 100, as its handler last said; 100 when completed. */
  readonly progress: number
  /** What it was doing, as its handler last said. */
  readonly message: string
  /** What the handler returned, once completed. */
  readonly result?: R
  /** The last attempt's error, until an attempt completes. */
  readonly error?: JobError
}

/** A task's state after a change. */
export interface TaskUpdate<R = unknown> extends TaskStatus<R> {
  /** When the change happened. */
  readonly timestamp: Date
  /** Attempts begun. */
  readonly attempts: number
}

/** All that is known of a task. */
export interface TaskInfo<R = unknown> extends TaskStatus<R> {
  /** What handles it. */
  readonly function: string
  /** Whether it works on a state. */
  readonly type: TaskType
  /** The state that it works on; absent for a stateless task. */
  readonly stateKey?: string
  /** True: it runs in trusted execution environments alone. */
  readonly teeRequired: boolean
  /** What a pending task waits for, when that is more than its turn; only `tasks.get` says so. */
  readonly waitsFor?: string
  /** The queue that carries it. */
  readonly queue: string
  /** -100 to 100. */
  readonly priority: number
  /** The payload; only `tasks.get` fills it. */
  readonly payload?: unknown
  /** Labels given at submission. */
  readonly labels: Readonly<Record<string, string>>
  /** The batch it was submitted in. */
  readonly batchId?: string
  /** The pipeline that it is a stage of. */
  readonly pipelineId?: string
  /** Attempts begun. */
  readonly attempts: number
  /** Attempts it has in all. */
  readonly maxAttempts: number
  /** When it was submitted. */
  readonly createdAt: Date
  /** When the latest attempt began. */
  readonly startedAt?: Date
  /** When it ended. */
  readonly finishedAt?: Date
  /** When it may run next, while it is scheduled. */
  readonly runAt?: Date
  /** The worker of the latest attempt. */
  readonly executedOn?: string
  /** How long the latest attempt took, once the task has ended. */
  readonly durationMs?: number
}

/** How to wait for a task. */
export interface WaitOptions {
  /** Longest wait; then it rejects with `TaskTimeoutError`, and the task goes on. Default: no limit. */
  readonly timeout?: Duration
  /** Ask at this interval instead of being told at once; for networks that cut long answers. */
  readonly pollInterval?: Duration
  /** Ends the wait; the task goes on. */
  readonly signal?: AbortSignal
}

/** How to wait for several tasks. */
export interface WaitBatchOptions extends Omit<WaitOptions, 'pollInterval'> {
  /** Reject with `TaskFailedError` as soon as one fails or is cancelled. Default false. */
  readonly failFast?: boolean
}

/** How to follow a task. */
export interface WatchOptions {
  /** Ends the watch with an `AbortError`. */
  readonly signal?: AbortSignal
}

/** How to cancel a task. */
export interface CancelOptions extends CallOptions {
  /** Why, for people. At most 1 KiB. */
  readonly reason?: string
}

/** Which tasks to list: those that meet every condition, newest first. */
export interface ListTasksOptions extends CallOptions {
  /** Tasks that carry all of these. */
  readonly labels?: Readonly<Record<string, string>>
  /** Tasks in this state, or in one of these. */
  readonly status?: JobStatus | readonly JobStatus[]
  /** Tasks of this function. */
  readonly function?: string
  /** Tasks of this queue. */
  readonly queue?: string
  /** Tasks of this batch. */
  readonly batchId?: string
  /** Tasks on one page. 1 to 1000, default 100. */
  readonly limit?: number
  /** Where to begin: `nextCursor` of a page. */
  readonly cursor?: string
}

/** One line of a task's log. */
export interface TaskLogEntry {
  /** When it was written, by the worker's clock. */
  readonly timestamp: Date
  /** How serious it is. */
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** The text. */
  readonly message: string
  /** Structured fields. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/** Which lines of a log to read. */
export interface TaskLogsOptions extends CallOptions {
  /** Lines on one page. 1 to 1000, default 100. */
  readonly limit?: number
  /** Where to begin: `nextCursor` of a page. */
  readonly cursor?: string
}
