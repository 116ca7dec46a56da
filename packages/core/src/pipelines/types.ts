import type { Duration } from '../durations.ts'
import type { JobError, JobStatus, RetryPolicy } from '../job-types.ts'
import type { CallOptions } from '../options.ts'
import type { TaskPriority } from '../tasks/types.ts'

/** A stage of a pipeline, as `addStage` returns it and `dependsOn` takes it. */
export interface PipelineStage {
  /** Its name, unique in its pipeline. */
  readonly name: string
}

/** A stage to add. */
export interface StageOptions {
  /** Its name, unique in the pipeline; dependents find its result in `ctx.inputs` under it. 1 to 255 characters. */
  readonly name: string
  /** What handles it. Default: `payload.function` when that is text, else `default`. */
  readonly function?: string
  /** Any JSON value or a `Uint8Array`. */
  readonly payload?: unknown
  /** The stages, or their names, that it waits for and whose results it gets. Default: none. */
  readonly dependsOn?: readonly (PipelineStage | string)[]
  /**
   * Runs once for each item of a list, all at the same time: a list of up to 10,000 items, or the stage whose result is the
   * list (it is waited for). The item is the payload; the stage's result is the list of their results, in order.
   */
  readonly forEach?: readonly unknown[] | PipelineStage | string
  /** Longest time of one attempt. At most 7 days. Default: no limit. */
  readonly timeout?: Duration
  /** Instead of the queue's retry policy. */
  readonly retry?: RetryPolicy
  /** Labels of its tasks. At most 32. */
  readonly labels?: Readonly<Record<string, string>>
  /** The queue that carries it. Default `default`. */
  readonly queue?: string
}

/** How to run a pipeline. */
export interface ExecuteOptions {
  /** Of all its tasks. Default `normal`. */
  readonly priority?: TaskPriority
  /** Longest time of the whole pipeline; then it fails and its stages are cancelled. At most 366 days. Default: no limit. */
  readonly timeout?: Duration
  /**
   * When a stage fails: `stop` begins no other one, and lets those that run end; `continue` goes on with the stages that do
   * not depend on it. The pipeline has failed either way. Default `stop`.
   */
  readonly onFailure?: 'stop' | 'continue'
  /** Ends the call with an `AbortError`. */
  readonly signal?: AbortSignal
}

/** Where a pipeline is in its life. */
export type PipelineStatus = 'running' | 'completed' | 'failed' | 'cancelled'

/** Something that happened to a pipeline. */
export interface StageUpdate {
  /** The stage; absent when it is about the whole pipeline. */
  readonly stage?: string
  /** Where the stage, or the pipeline, is in its life now. */
  readonly status: JobStatus
  /** The result of a completed stage; absent when it is a list that is too large for one answer. */
  readonly result?: unknown
  /** Why a stage failed. */
  readonly error?: JobError
  /** When it happened. */
  readonly timestamp: Date
  /** Its number, from 1: `monitor({ after })` goes on after it. */
  readonly number: number
  /** True when the whole pipeline has ended: nothing follows. */
  readonly isTerminal: boolean
}

/** A stage as it stands. */
export interface StageInfo {
  /** Its name. */
  readonly name: string
  /** Where it is in its life; `blocked` while it waits for others. */
  readonly status: JobStatus
  /** Its task; absent for one that runs once for each item. */
  readonly taskId?: string
  /** What handles it. */
  readonly function: string
  /** The stages that it waits for. */
  readonly dependsOn: readonly string[]
  /** Of one that runs once for each item: how many there are, and how many have not ended. */
  readonly items?: { readonly total: number; readonly left: number }
  /** When its first task began. */
  readonly startedAt?: Date
  /** When it ended. */
  readonly finishedAt?: Date
  /** Why it failed. */
  readonly error?: JobError
}

/** A pipeline as it stands, without its stages. */
export interface PipelineSummary {
  /** `pipe_…`. Ids sort by time of creation. */
  readonly pipelineId: string
  /** Its name. */
  readonly name: string
  /** Where it is in its life. */
  readonly status: PipelineStatus
  /** What becomes of it when a stage fails. */
  readonly onFailure: 'stop' | 'continue'
  /** Stages in all. */
  readonly stageCount: number
  /** Stages that have not ended. */
  readonly stagesLeft: number
  /** When it was started. */
  readonly createdAt: Date
  /** When it ended. */
  readonly finishedAt?: Date
  /** When it is given up. */
  readonly deadline?: Date
  /** Why it was cancelled, or failed as a whole. */
  readonly reason?: string
}

/** A pipeline as it stands. */
export interface PipelineInfo extends PipelineSummary {
  /** Its stages, in the order in which they were added. */
  readonly stages: readonly StageInfo[]
}

/** Which pipelines to list: those that meet every condition, newest first. */
export interface ListPipelinesOptions extends CallOptions {
  /** Pipelines of this name. */
  readonly name?: string
  /** Pipelines in this state, or in one of these. */
  readonly status?: PipelineStatus | readonly PipelineStatus[]
  /** Pipelines on one page. 1 to 1000, default 100. */
  readonly limit?: number
  /** Where to begin: `nextCursor` of a page. */
  readonly cursor?: string
}

/** How to follow a pipeline. */
export interface MonitorOptions {
  /** Only what happened after the update of this number. Default: from its beginning. */
  readonly after?: number
  /** Ends it with an `AbortError`. */
  readonly signal?: AbortSignal
}

/** How to wait for a pipeline. */
export interface WaitPipelineOptions {
  /** Longest wait; then it rejects with `TimeoutError`, and the pipeline goes on. Default: no limit. */
  readonly timeout?: Duration
  /** Ends the wait; the pipeline goes on. */
  readonly signal?: AbortSignal
}
