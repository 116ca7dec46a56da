import { listPipelines, readEvents, readPipeline, readPipelineState, readStageResult } from '../flow/pipeline-read.ts'
import { cancelPipeline, createPipeline, expirePipeline, overduePipelines, retryPipeline } from '../flow/pipelines.ts'
import { stageJobs } from '../flow/stage-jobs.ts'
import type { Content, JobState, NewPipeline, Page, PipelineEvent, PipelineRecord, PipelineStore, Scope, Seq } from '../ports.ts'
import type { Context } from './context.ts'
import { addJobs } from './enqueue-flow.ts'
import { violatedConstraint } from './errors.ts'
import { runAlone, withFlow } from './flow.ts'

/** Graphs of jobs. */
export class PostgresPipelines implements PipelineStore {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async create(scope: Scope, pipeline: NewPipeline, requestId: string, now: number): Promise<Seq> {
    const { jobs, seqsOf } = stageJobs(pipeline)
    const { defaultMaxDepth } = this.#context.options
    const attempt = () =>
      withFlow(this.#context, async (flow) => {
        const request = { scope, jobs, requestId, partial: false, batch: true, now }
        const result = await addJobs(this.#context, flow, request, defaultMaxDepth)
        const seq = result.batch!
        // A repeated request is answered and not carried out again.
        if (await flow.run(readPipeline(scope, seq))) return seq
        await flow.apply(scope, await flow.run(createPipeline(scope, seq, pipeline, seqsOf(result), now)), now)
        return seq
      })
    try {
      return await attempt()
    } catch (error) {
      // The same request came in twice at once: now the first one is there.
      if (violatedConstraint(error) !== 'requests_pkey') throw error
      return attempt()
    }
  }

  get(scope: Scope, seq: Seq): Promise<PipelineRecord | undefined> {
    return runAlone(this.#context, readPipeline(scope, seq))
  }

  stateOf(scope: Scope, seq: Seq): Promise<JobState | undefined> {
    return runAlone(this.#context, readPipelineState(scope, seq))
  }

  list(
    scope: Scope,
    filter: { name?: string; states?: readonly JobState[] },
    page: { limit: number; before?: Seq },
  ): Promise<Page<PipelineRecord>> {
    return runAlone(this.#context, listPipelines(scope, filter, page))
  }

  cancel(scope: Scope, seq: Seq, reason: string, now: number): Promise<void> {
    return withFlow(this.#context, async (flow) => {
      await flow.lockPipeline(scope.tenant, seq)
      await flow.apply(scope, await flow.run(cancelPipeline(scope, seq, reason, now)), now)
    })
  }

  retry(scope: Scope, seq: Seq, now: number): Promise<void> {
    return withFlow(this.#context, async (flow) => {
      await flow.lockPipeline(scope.tenant, seq)
      await flow.apply(scope, await flow.run(retryPipeline(scope, seq, now)), now)
    })
  }

  events(scope: Scope, seq: Seq, page: { limit: number; after: number }): Promise<readonly PipelineEvent[]> {
    return runAlone(this.#context, readEvents(scope, seq, page))
  }

  result(scope: Scope, seq: Seq, stage: number): Promise<Content | undefined> {
    return runAlone(this.#context, readStageResult(scope, seq, stage, this.#context.lists))
  }

  /** Ends pipelines whose time is over; returns how many, at most `limit`. */
  async expire(now: number, limit: number): Promise<number> {
    const due = await runAlone(this.#context, overduePipelines(now, limit))
    for (const { tenant, seq } of due) {
      await withFlow(this.#context, async (flow) => {
        await flow.lockPipeline(tenant, seq)
        await flow.apply({ tenant, namespace: '' }, await flow.run(expirePipeline(tenant, seq, now)), now)
      })
    }
    return due.length
  }
}
