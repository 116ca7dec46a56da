import type { CallOptions } from '../options.ts'
import type { CancelOptions } from '../tasks/types.ts'
import type { Pipelines } from './pipelines.ts'
import type { MonitorOptions, PipelineInfo, StageUpdate, WaitPipelineOptions } from './types.ts'

/** A pipeline that was started, with what can be done with it. */
export class PipelineRun {
  /** `pipe_…`. */
  readonly pipelineId: string
  readonly #pipelines: Pipelines

  /** @internal Use `mr.pipelines.run`. */
  constructor(pipelines: Pipelines, pipelineId: string) {
    this.#pipelines = pipelines
    this.pipelineId = pipelineId
  }

  /** Follows it; see `pipelines.monitor`. */
  monitor(options?: MonitorOptions): AsyncIterable<StageUpdate> {
    return this.#pipelines.monitor(this.pipelineId, options)
  }

  /** Waits for its end; see `pipelines.wait`. */
  wait(options?: WaitPipelineOptions): Promise<PipelineInfo> {
    return this.#pipelines.wait(this.pipelineId, options)
  }

  /** All that is known of it. */
  get(call?: CallOptions): Promise<PipelineInfo> {
    return this.#pipelines.get(this.pipelineId, call)
  }

  /** The result of a completed stage; see `pipelines.result`. */
  result<R = unknown>(stage: string, call?: CallOptions): Promise<R> {
    return this.#pipelines.result<R>(this.pipelineId, stage, call)
  }

  /** Cancels it; see `pipelines.cancel`. */
  cancel(options?: CancelOptions): Promise<PipelineInfo> {
    return this.#pipelines.cancel(this.pipelineId, options)
  }

  /** Runs it again from the stages that did not complete; see `pipelines.retry`. */
  retry(call?: CallOptions): Promise<PipelineInfo> {
    return this.#pipelines.retry(this.pipelineId, call)
  }
}
