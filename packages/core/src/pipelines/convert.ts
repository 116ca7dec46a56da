import type * as wire from '@millrace/protocol'
import { toMs } from '../durations.ts'
import { invalid } from '../errors/errors.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import { functionOf } from '../tasks/convert.ts'
import { fromJobError, fromState, known, toRetryPolicy, toText, toTexts } from '../wire.ts'
import type { PipelineInfo, PipelineStage, PipelineStatus, PipelineSummary, StageInfo, StageOptions, StageUpdate } from './types.ts'

const noBytes = new Uint8Array(0)

/** A stage as it travels. @param path - where it is, for errors. */
export function toNewStage(path: string, options: StageOptions): wire.NewStage {
  const { forEach, dependsOn = [] } = options
  const items = Array.isArray(forEach)
  if (!Array.isArray(dependsOn)) throw invalid(`${path}.dependsOn`, 'is not a list of stages.')
  if (forEach !== undefined && options.payload !== undefined) {
    throw invalid(`${path}.payload`, 'is given together with forEach, whose items are the payloads.')
  }
  const { payload, contentType } = encodePayload(`${path}.payload`, options.payload)
  return {
    name: toText(`${path}.name`, options.name),
    function: functionOf(options),
    payload,
    contentType,
    queue: toText(`${path}.queue`, options.queue),
    timeoutMs: toMs(`${path}.timeout`, options.timeout),
    retry: toRetryPolicy(`${path}.retry`, options.retry),
    labels: toTexts(`${path}.labels`, options.labels),
    dependsOn: dependsOn.map((stage, i) => nameOf(`${path}.dependsOn[${i}]`, stage, 'a stage')),
    forEachStage: forEach === undefined || items ? '' : nameOf(`${path}.forEach`, forEach as PipelineStage | string, 'a list, a stage'),
    forEachItems: items ? encodePayload(`${path}.forEach`, forEach).payload : noBytes,
    forEachContentType: '',
  }
}

/** @param what - what is wanted, beside a stage's name. */
function nameOf(path: string, stage: PipelineStage | string, what: string): string {
  const name: unknown = typeof stage === 'string' ? stage : stage?.name
  // An empty name would be none at all.
  if (typeof name !== 'string' || name === '') throw invalid(path, `is not ${what} or the name of one.`)
  return name
}

export function fromPipeline(pipeline: wire.Pipeline): PipelineInfo {
  return { ...fromSummary(pipeline), stages: pipeline.stages.map(fromStage) }
}

export function fromSummary(pipeline: wire.Pipeline): PipelineSummary {
  const { finishedAt, deadline, reason } = pipeline
  return {
    pipelineId: pipeline.pipelineId,
    name: pipeline.name,
    status: fromState(pipeline.state) as PipelineStatus,
    onFailure: pipeline.onFailure === 2 ? 'continue' : 'stop',
    stageCount: pipeline.stageCount,
    stagesLeft: pipeline.stagesLeft,
    createdAt: pipeline.createdAt ?? new Date(0),
    ...known({ finishedAt, deadline, reason }),
  }
}

function fromStage(stage: wire.Stage): StageInfo {
  const { taskId, items, itemsLeft, startedAt, finishedAt } = stage
  const error = fromJobError(stage.error)
  return {
    name: stage.name,
    status: fromState(stage.state),
    ...(taskId && { taskId }),
    function: stage.function,
    dependsOn: stage.dependsOn,
    ...(!taskId && { items: { total: items, left: itemsLeft } }),
    ...(startedAt && { startedAt }),
    ...(finishedAt && { finishedAt }),
    ...(error && { error }),
  }
}

/** @param result - of a stage whose event came without it. */
export function fromEvent(event: wire.PipelineEvent, result?: unknown): StageUpdate {
  const status = fromState(event.state)
  const error = fromJobError(event.error)
  const completed = event.stage !== '' && status === 'completed'
  const own = event.resultOmitted ? result : decodePayload('result', event.result, event.resultContentType)
  return {
    ...(event.stage && { stage: event.stage }),
    status,
    ...(completed && own !== undefined && { result: own }),
    ...(error && { error }),
    timestamp: event.timestamp ?? new Date(0),
    number: event.number,
    isTerminal: event.terminal,
  }
}
