import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { toMs } from '../durations.ts'
import { AbortError, InternalError, invalid, QuotaExceededError, TimeoutError } from '../errors/errors.ts'
import { createRequestId } from '../ids.ts'
import type { CallOptions } from '../options.ts'
import { createList, type List } from '../page.ts'
import { decodePayload } from '../payload.ts'
import { toPriority } from '../tasks/convert.ts'
import type { CancelOptions } from '../tasks/types.ts'
import { missingField, toInt, toState, toText } from '../wire.ts'
import { fromPipeline, fromSummary } from './convert.ts'
import { monitorPipeline } from './monitor.ts'
import { Pipeline } from './pipeline.ts'
import { PipelineRun } from './run.ts'
import type {
  ExecuteOptions,
  ListPipelinesOptions,
  MonitorOptions,
  PipelineInfo,
  PipelineSummary,
  StageUpdate,
  WaitPipelineOptions,
} from './types.ts'

const policies = { stop: 1, continue: 2 } as const

/** Runs tasks that depend on each other. */
export class Pipelines {
  readonly #context: ClientContext

  /** @internal Use `mr.pipelines`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /**
   * Begins a pipeline: add its stages, then execute it. Makes no call.
   *
   * @example
   * ```ts
   * const pipeline = mr.pipelines.create('data-processing')
   * const extract = pipeline.addStage({ name: 'extract', function: 'extract', payload: { source } })
   * pipeline.addStage({ name: 'load', function: 'load', dependsOn: [extract] })
   * const run = await pipeline.execute({ timeout: '1h' })
   * ```
   */
  create(name: string): Pipeline {
    return new Pipeline(toText('name', name), (stages, options) => this.#execute(name, stages, options))
  }

  /** A pipeline that was started before, by its id. Makes no call. */
  run(pipelineId: string): PipelineRun {
    return new PipelineRun(this, toText('pipelineId', pipelineId))
  }

  /** All that is known of a pipeline. @throws NotFoundError */
  async get(pipelineId: string, call?: CallOptions): Promise<PipelineInfo> {
    const request = { pipelineId: toText('pipelineId', pipelineId) }
    return required(await this.#context.safe('PipelineService/GetPipeline', request, call))
  }

  /** Lists pipelines without their stages, newest first. */
  list(options: ListPipelinesOptions = {}): List<PipelineSummary> {
    const { name, status = [], limit, cursor } = options
    return createList(async (from) => {
      const request = {
        name: toText('name', name),
        states: (typeof status === 'string' ? [status] : status).map(toState),
        limit: toInt('limit', limit),
        cursor: from,
      }
      const { pipelines, nextCursor } = await this.#context.safe('PipelineService/ListPipelines', request, options)
      return { items: pipelines.map(fromSummary), nextCursor }
    }, cursor)
  }

  /** The result of a completed stage: of one that runs once for each item, the list of their results. @throws NotFoundError */
  async result<R = unknown>(pipelineId: string, stage: string, call?: CallOptions): Promise<R> {
    const request = { pipelineId: toText('pipelineId', pipelineId), stage: toText('stage', stage) }
    const { result, contentType } = await this.#context.safe('PipelineService/GetStageResult', request, call)
    return decodePayload('result', result, contentType) as R
  }

  /**
   * Follows a pipeline to its end: what happened so far, and then what happens, each once and in order. Breaks of the
   * connection are bridged. The last update has `isTerminal`.
   *
   * @throws NotFoundError, AbortError.
   */
  monitor(pipelineId: string, options: MonitorOptions = {}): AsyncIterable<StageUpdate> {
    const call = options.signal && { signal: options.signal }
    return monitorPipeline(this.#context, pipelineId, options, (stage) => this.result(pipelineId, stage, call).catch(leaveOut))
  }

  /**
   * Waits until a pipeline has ended, in whatever status. Woken by the server.
   *
   * @throws TimeoutError, NotFoundError, AbortError.
   */
  async wait(pipelineId: string, { timeout, signal }: WaitPipelineOptions = {}): Promise<PipelineInfo> {
    const timeoutMs = timeout === undefined ? undefined : toMs('timeout', timeout)
    const end = new AbortController()
    let late = false
    const abort = () => end.abort(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted) throw new AbortError(signal.reason)
    const cancelTimer =
      timeoutMs === undefined
        ? undefined
        : this.#context.clock.timer(timeoutMs, () => {
            late = true
            end.abort()
          })
    try {
      const { stagesLeft, status } = await this.get(pipelineId, { signal: end.signal })
      const noResult = () => Promise.resolve(undefined)
      const updates = () => monitorPipeline(this.#context, pipelineId, { signal: end.signal }, noResult)
      if (stagesLeft > 0 || status === 'running') for await (const _ of updates());
      return await this.get(pipelineId, { signal: end.signal })
    } catch (error) {
      if (!late) throw error
      const message = `The pipeline '${pipelineId}' has not ended within ${timeoutMs} ms; it goes on.`
      throw new TimeoutError({ reason: 'DEADLINE_EXCEEDED', message }, { cause: error })
    } finally {
      cancelTimer?.()
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Cancels a pipeline with its running stages. @throws ConflictError when it has ended, NotFoundError. */
  async cancel(pipelineId: string, options: CancelOptions = {}): Promise<PipelineInfo> {
    const request = { pipelineId: toText('pipelineId', pipelineId), reason: toText('reason', options.reason) }
    return required(await this.#context.unsafe('PipelineService/CancelPipeline', request, options))
  }

  /**
   * Runs a failed or cancelled pipeline again from the stages that did not complete; those that did keep their results.
   *
   * @throws ConflictError in any other status, NotFoundError.
   */
  async retry(pipelineId: string, call?: CallOptions): Promise<PipelineInfo> {
    const request = { pipelineId: toText('pipelineId', pipelineId) }
    return required(await this.#context.unsafe('PipelineService/RetryPipeline', request, call))
  }

  async #execute(name: string, stages: wire.NewStage[], options: ExecuteOptions): Promise<PipelineRun> {
    const { priority, timeout, onFailure = 'stop', signal } = options
    const policy = policies[onFailure]
    if (!policy) throw invalid('onFailure', `'${String(onFailure)}' is not 'stop' or 'continue'.`)
    const request = {
      name,
      stages,
      priority: toPriority(priority),
      timeoutMs: toMs('timeout', timeout),
      onFailure: policy,
      requestId: createRequestId(this.#context.clock.now()),
    }
    const bounds = { ...this.#context.bounds(signal && { signal }), safe: true, waitForRoom: true }
    const { pipelineId } = await this.#context.caller.unary('PipelineService/CreatePipeline', request, bounds)
    return new PipelineRun(this, pipelineId)
  }
}

/** A list that is too large for one answer stays so, however often it is asked for. */
function leaveOut(error: unknown): undefined {
  if (error instanceof QuotaExceededError && error.quotaType === 'stage_result') return undefined
  throw error
}

function required({ pipeline }: { readonly pipeline: wire.Pipeline | undefined }): PipelineInfo {
  if (!pipeline) throw new InternalError(missingField('the pipeline'))
  return fromPipeline(pipeline)
}
