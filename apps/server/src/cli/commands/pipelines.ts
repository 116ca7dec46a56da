import { FailurePolicy, type Pipeline } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'
import type { Output } from '../output.ts'
import { readState, stateCell, stateWord } from '../states.ts'
import { decodePayload, limitFlag, showPayload, showTime, textFlag } from '../values.ts'

const pipelineId = { name: 'PIPELINE_ID', help: 'the id of a pipeline, pipe_…' }

const get: Command = {
  name: 'pipelines get',
  summary: 'Show a pipeline and its stages.',
  args: [pipelineId],
  options: clientOptions,
  examples: [{ line: 'millrace pipelines get pipe_0000000001k', does: 'where each of its stages is' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { pipeline } = await server.pipelines.getPipeline({ pipelineId: words[0]! })
    if (flags.json) output.json(pipelineJson(pipeline!))
    else printPipeline(output, pipeline!)
    return 0
  },
}

const list: Command = {
  name: 'pipelines list',
  summary: 'List pipelines, newest first.',
  options: [
    { name: 'name', placeholder: 'NAME', help: 'Only pipelines of this name.' },
    { name: 'status', placeholder: 'STATUS', help: 'Only pipelines in this state, such as running or failed.', multiple: true },
    { name: 'limit', placeholder: 'N', help: 'Most pipelines shown.', default: '20' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace pipelines list --status failed', does: 'pipelines to look after' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    const limit = limitFlag(flags, 20)
    const states = ((flags.status as string[] | undefined) ?? []).map(readState)
    using server = connect({ flags, env })
    const { pipelines, nextCursor } = await server.pipelines.listPipelines({
      name: textFlag(flags, 'name') ?? '',
      states,
      limit,
      cursor: '',
    })
    if (flags.json) for (const { stages: _, ...pipeline } of pipelines.map(pipelineJson)) output.json(pipeline)
    else {
      const rows = pipelines.map((pipeline) => [
        pipeline.pipelineId,
        pipeline.name,
        stateCell(pipeline.state),
        `${pipeline.stageCount - pipeline.stagesLeft} of ${pipeline.stageCount}`,
        showTime(pipeline.createdAt),
      ])
      output.table(['pipeline', 'name', 'status', 'stages', 'created'], rows)
      if (nextCursor !== '') output.remark(`There are more; --limit ${limit * 2} shows more.`)
    }
    return 0
  },
}

const watch: Command = {
  name: 'pipelines watch',
  summary: 'Follow a pipeline to its end.',
  args: [pipelineId],
  options: clientOptions,
  examples: [{ line: 'millrace pipelines watch pipe_0000000001k', does: 'a line for each change; exit code 1 unless it completed' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    let last = ''
    for await (const { event } of server.pipelines.watchPipeline({ pipelineId: words[0]!, afterEvent: 0 })) {
      const { state, result, resultContentType, ...rest } = event!
      last = stateWord(state)
      if (flags.json) output.json({ ...rest, status: last, result: decodePayload(result, resultContentType) })
      else {
        const told = event!.error?.message ?? (result.length > 0 ? showPayload(result, resultContentType) : '')
        output.line(`${event!.stage || 'pipeline'} ${last} ${told}`.trim())
      }
    }
    return last === 'completed' ? 0 : 1
  },
}

const cancel: Command = {
  name: 'pipelines cancel',
  summary: 'Cancel a pipeline with its running stages.',
  args: [pipelineId],
  options: [{ name: 'reason', placeholder: 'TEXT', help: 'Why, for people.' }, ...clientOptions],
  examples: [{ line: 'millrace pipelines cancel pipe_0000000001k', does: 'its workers are told to stop' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { pipeline } = await server.pipelines.cancelPipeline({ pipelineId: words[0]!, reason: textFlag(flags, 'reason') ?? '' })
    if (flags.json) output.json(pipelineJson(pipeline!))
    else output.line(`${pipeline!.pipelineId} ${stateWord(pipeline!.state)}`)
    return 0
  },
}

const retry: Command = {
  name: 'pipelines retry',
  summary: 'Run a failed or cancelled pipeline again from the stages that did not complete.',
  args: [pipelineId],
  options: clientOptions,
  examples: [{ line: 'millrace pipelines retry pipe_0000000001k', does: 'stages that completed keep their results' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { pipeline } = await server.pipelines.retryPipeline({ pipelineId: words[0]! })
    if (flags.json) output.json(pipelineJson(pipeline!))
    else output.line(`${pipeline!.pipelineId} ${stateWord(pipeline!.state)}`)
    return 0
  },
}

/** `millrace pipelines …` */
export const pipelines: readonly Command[] = [get, list, watch, cancel, retry]

function pipelineJson({ state, onFailure, stages, ...rest }: Pipeline) {
  return {
    ...rest,
    status: stateWord(state),
    onFailure: onFailure === FailurePolicy.CONTINUE ? 'continue' : 'stop',
    stages: stages.map(({ state, ...stage }) => ({ ...stage, status: stateWord(state) })),
  }
}

function printPipeline(output: Output, pipeline: Pipeline): void {
  output.fields({
    pipeline: pipeline.pipelineId,
    name: pipeline.name,
    status: stateCell(pipeline.state),
    reason: pipeline.reason,
    created: showTime(pipeline.createdAt),
    finished: showTime(pipeline.finishedAt),
    deadline: showTime(pipeline.deadline),
  })
  const rows = pipeline.stages.map((stage) => [
    stage.name,
    stateCell(stage.state),
    stage.taskId || `${stage.items - stage.itemsLeft} of ${stage.items} items`,
    stage.dependsOn.join(' '),
    stage.error?.message.split('\n')[0] ?? '',
  ])
  output.table(['stage', 'status', 'task', 'depends on', 'error'], rows)
}
