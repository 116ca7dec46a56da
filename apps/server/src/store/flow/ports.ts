import type { JobError, JobState, NewJob, Page, Scope, Seq } from '../ports.ts'

/** Bytes and what they are; '' means JSON. */
export interface Content {
  readonly data: Uint8Array
  readonly contentType: string
}

/** What makes a job stateful: it runs alone, and in order of submission, among those with its key in its namespace. */
export interface Stateful {
  readonly key: string
  /** The state to begin with when there is none. */
  readonly initial?: Content
  /** How long the state is kept after the latest completion; 0 means for ever. */
  readonly ttlMs: number
}

/** What stateful jobs with one key keep between executions. */
export interface StateRecord {
  readonly key: string
  /** Filled by `get` alone. */
  readonly content?: Content
  readonly size: number
  /** Counts the changes of the content. */
  readonly revision: number
  readonly updatedAt: number
  readonly expiresAt?: number
}

export interface StateStore {
  get(scope: Scope, key: string, now: number): Promise<StateRecord | undefined>
  /** By key, those after `after`. */
  list(scope: Scope, prefix: string, page: { readonly limit: number; readonly after: string }, now: number): Promise<readonly StateRecord[]>
  /** False when there was none. */
  delete(scope: Scope, key: string, now: number): Promise<boolean>
}

/** How many jobs with a key in a queue may be ready or running at a time, this one included. '' is the whole queue. */
export interface Concurrency {
  readonly key: string
  readonly limit: number
}

/** How many jobs with a key in a queue may start within a time, this one included. '' is the whole queue. */
export interface RateLimit {
  readonly key: string
  readonly limit: number
  readonly perMs: number
}

/** Jobs of a queue and function with this key that have not begun are one, with the payload of the latest; `runAt` is its start. */
export interface Debounce {
  readonly key: string
  /** It starts at most so long after it was first asked for; 0 means as late as it is put off. */
  readonly maxDelayMs: number
}

/** Jobs of a queue and function with this key are one within the window. */
export interface Deduplicate {
  readonly key: string
  readonly windowMs: number
}

/** Where a job is in a pipeline. */
export interface StagePlace {
  /** Absent while the pipeline is made: its number is the batch's. */
  readonly pipeline?: Seq
  /** Its position among the pipeline's stages. */
  readonly stage: number
  /** Of a stage that runs once for each item: which. */
  readonly item?: number
  /** It waits for other stages. */
  readonly blocked: boolean
}

/** What a claimed job is told of its pipeline. */
export interface ClaimedStage {
  readonly pipeline: Seq
  readonly name: string
  /** The results of the stages it depends on; without contents when they are large together. */
  readonly inputs: readonly { readonly stage: string; readonly result?: Content }[]
}

/** The tasks of a stage, but for their payloads. */
export type StageTask = Pick<NewJob, 'queue' | 'function' | 'labels' | 'priority' | 'timeoutMs' | 'retry'>

/** A stage to run. */
export interface NewStage {
  readonly name: string
  readonly task: StageTask
  /** Of a stage without a list. */
  readonly payload: Content
  /** Positions of the stages that it waits for, that of `forEach` included. */
  readonly dependsOn: readonly number[]
  /** Where its list comes from: the position of a stage, or the list itself as JSON. */
  readonly forEach?: number | Uint8Array
}

/** A pipeline to run. Its stages are an acyclic graph: checked already. */
export interface NewPipeline {
  readonly name: string
  readonly stages: readonly NewStage[]
  readonly continueOnFailure: boolean
  /** 0 means none. */
  readonly timeoutMs: number
}

/** A stage as it stands. */
export interface StageRecord {
  readonly name: string
  readonly state: JobState
  /** Its job; absent for a stage that runs once for each item. */
  readonly job?: Seq
  readonly function: string
  readonly dependsOn: readonly number[]
  /** Once its list is known. */
  readonly items?: number
  readonly itemsLeft: number
  readonly startedAt?: number
  readonly finishedAt?: number
  readonly error?: JobError
}

/** A pipeline as it stands: running, completed, failed or cancelled. */
export interface PipelineRecord {
  readonly seq: Seq
  readonly name: string
  readonly state: JobState
  readonly continueOnFailure: boolean
  readonly stageCount: number
  readonly stagesLeft: number
  readonly createdAt: number
  readonly finishedAt?: number
  readonly deadline?: number
  /** Why it was cancelled, or failed as a whole. */
  readonly reason: string
  /** Filled by `get` alone. */
  readonly stages?: readonly StageRecord[]
}

/** Something that happened to a pipeline. */
export interface PipelineEvent {
  /** From 1, without gaps. */
  readonly number: number
  /** The stage's position and name; absent when it is about the whole pipeline. */
  readonly stage?: number
  readonly name: string
  readonly state: JobState
  readonly at: number
  readonly error?: JobError
}

/** Pipelines. Each change is told of as one of a job with the pipeline's number. */
export interface PipelineStore {
  /** Starts a pipeline; returns its number. A repeat of `requestId` answers as the first did. Rejects with QUOTA_EXCEEDED when a queue is full. */
  create(scope: Scope, pipeline: NewPipeline, requestId: string, now: number): Promise<Seq>
  get(scope: Scope, seq: Seq): Promise<PipelineRecord | undefined>
  /** Where it is in its life, without a look at its stages; undefined when there is none. */
  stateOf(scope: Scope, seq: Seq): Promise<JobState | undefined>
  /** Newest first, those before `before`. */
  list(
    scope: Scope,
    filter: { readonly name?: string; readonly states?: readonly JobState[] },
    page: { readonly limit: number; readonly before?: Seq },
  ): Promise<Page<PipelineRecord>>
  /** Rejects with FAILED_PRECONDITION when it has ended, NOT_FOUND when there is none. */
  cancel(scope: Scope, seq: Seq, reason: string, now: number): Promise<void>
  /** Runs what did not complete again; FAILED_PRECONDITION when it is not failed or cancelled, or its jobs are forgotten. */
  retry(scope: Scope, seq: Seq, now: number): Promise<void>
  /** What happened after event `after`, in order. */
  events(scope: Scope, seq: Seq, page: { readonly limit: number; readonly after: number }): Promise<readonly PipelineEvent[]>
  /** The result of a completed stage, by its position; undefined when there is none. Rejects with QUOTA_EXCEEDED when it is too large for one answer. */
  result(scope: Scope, seq: Seq, stage: number): Promise<Content | undefined>
}

/** What workers prove of where jobs ran; kept as long as completed jobs are. */
export interface ProofStore {
  /** Keeps the proof of an attempt, by the token of its lease; that of a later attempt takes its place. */
  keep(scope: Scope, seq: Seq, token: number, data: Uint8Array, now: number): Promise<void>
  get(scope: Scope, seq: Seq): Promise<Uint8Array | undefined>
}
