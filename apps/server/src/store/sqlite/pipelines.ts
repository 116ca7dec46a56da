import type { Aftermath } from '../flow/aftermath.ts'
import { listPipelines, readEvents, readPipeline, readPipelineState, readStageResult } from '../flow/pipeline-read.ts'
import { cancelPipeline, createPipeline, expirePipeline, overduePipelines, retryPipeline } from '../flow/pipelines.ts'
import { stageJobs } from '../flow/stage-jobs.ts'
import type { Content, JobState, NewPipeline, Page, PipelineEvent, PipelineRecord, PipelineStore, Scope, Seq } from '../ports.ts'
import type { Context } from './context.ts'
import type { Enqueue } from './enqueue.ts'
import type { Aftermaths } from './flow.ts'
import type { LaneEntry } from './lanes.ts'

/** Graphs of jobs. */
export class SqlitePipelines implements PipelineStore {
  readonly #context: Context
  readonly #enqueue: Enqueue
  readonly #aftermaths: Aftermaths

  constructor(context: Context, enqueue: Enqueue, aftermaths: Aftermaths) {
    this.#context = context
    this.#enqueue = enqueue
    this.#aftermaths = aftermaths
  }

  create(scope: Scope, pipeline: NewPipeline, requestId: string, now: number): Promise<Seq> {
    return this.#context.writer.mutate(() => {
      const { jobs, seqsOf } = stageJobs(pipeline)
      const result = this.#enqueue.enqueue({ scope, jobs, requestId, partial: false, batch: true, now })
      const seq = result.batch!
      // A repeated request is answered and not carried out again.
      if (this.#context.flow.run(readPipeline(scope, seq))) return seq
      this.#apply(scope, this.#context.flow.run(createPipeline(scope, seq, pipeline, seqsOf(result), now)), now)
      return seq
    })
  }

  get(scope: Scope, seq: Seq): Promise<PipelineRecord | undefined> {
    return this.#context.read(() => this.#context.flow.run(readPipeline(scope, seq)))
  }

  stateOf(scope: Scope, seq: Seq): Promise<JobState | undefined> {
    return this.#context.read(() => this.#context.flow.run(readPipelineState(scope, seq)))
  }

  list(
    scope: Scope,
    filter: { name?: string; states?: readonly JobState[] },
    page: { limit: number; before?: Seq },
  ): Promise<Page<PipelineRecord>> {
    return this.#context.read(() => this.#context.flow.run(listPipelines(scope, filter, page)))
  }

  cancel(scope: Scope, seq: Seq, reason: string, now: number): Promise<void> {
    return this.#context.writer.mutate(() => this.#apply(scope, this.#context.flow.run(cancelPipeline(scope, seq, reason, now)), now))
  }

  retry(scope: Scope, seq: Seq, now: number): Promise<void> {
    return this.#context.writer.mutate(() => this.#apply(scope, this.#context.flow.run(retryPipeline(scope, seq, now)), now))
  }

  events(scope: Scope, seq: Seq, page: { limit: number; after: number }): Promise<readonly PipelineEvent[]> {
    return this.#context.read(() => this.#context.flow.run(readEvents(scope, seq, page)))
  }

  result(scope: Scope, seq: Seq, stage: number): Promise<Content | undefined> {
    return this.#context.read(() => this.#context.flow.run(readStageResult(scope, seq, stage, this.#context.lists)))
  }

  /** Ends pipelines whose time is over; returns how many, at most `limit`. */
  expire(now: number, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      const due = this.#context.flow.run(overduePipelines(now, limit))
      for (const { tenant, seq } of due) {
        this.#apply({ tenant, namespace: '' }, this.#context.flow.run(expirePipeline(tenant, seq, now)), now)
      }
      return due.length
    })
  }

  #apply(scope: Scope, aftermath: Aftermath, now: number): void {
    const touched = new Set<LaneEntry>()
    this.#aftermaths.apply(scope, aftermath, now, touched)
    for (const lane of touched) this.#context.ready(lane)
  }
}
