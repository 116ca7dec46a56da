import type * as wire from '@millrace/protocol'
import type { ClientBase } from '../client-base.ts'
import { InternalError } from '../errors/errors.ts'
import { fromEvent, fromPipeline } from '../pipelines/convert.ts'
import type { PipelineInfo } from '../pipelines/types.ts'
import { fromState, isTerminalState, missingField, toState, toText } from '../wire.ts'
import { createObserver } from './registry.ts'
import { streamSource } from './sources.ts'
import type { Observer } from './types.ts'

/** A pipeline as it stands, with what its stages came to. */
export interface LivePipeline {
  /** The pipeline and its stages. */
  readonly pipeline: PipelineInfo
  /** Results of completed stages by their names; those over 64 KiB are left out: `mr.pipelines.result` gives them. */
  readonly results: Readonly<Record<string, unknown>>
}

/** A pipeline by its id: its stages now and after each change, to its end. */
export function observePipeline(client: ClientBase, pipelineId: string): Observer<LivePipeline> {
  const id = toText('pipelineId', pipelineId)
  return createObserver(client, `pipeline ${id}`, (context) => {
    let afterEvent = 0
    let pipeline: PipelineInfo | undefined
    let results: LivePipeline['results'] = {}
    let ended = false
    const ask = async (signal: AbortSignal): Promise<PipelineInfo> => {
      const { pipeline: found } = await context.caller.unary('PipelineService/GetPipeline', { pipelineId: id }, { safe: true, signal })
      if (!found) throw new InternalError(missingField('the pipeline'))
      pipeline = fromPipeline(found)
      return pipeline
    }
    return streamSource(context, 'PipelineService/WatchPipeline', () => ({
      request: { pipelineId: id, afterEvent },
      first: async (signal) => ({ pipeline: await ask(signal), results }),
      // An event says that something changed; how all stages stand then is asked for, unless it is known already.
      async read({ event }, signal) {
        if (!event) return undefined
        const { result } = fromEvent(event)
        const present = pipeline && knows(pipeline, event) ? pipeline : await ask(signal)
        afterEvent = event.number
        ended = event.terminal
        if (result !== undefined) results = { ...results, [event.stage]: result }
        return { pipeline: present, results }
      },
      isLast: () => ended,
    }))
  })
}

/** True when what is known of a pipeline is not from before the event. */
function knows({ stages, status }: PipelineInfo, event: wire.PipelineEvent): boolean {
  // It is run again: what had ended may go on.
  if (event.stage === '' && fromState(event.state) === 'running') return false
  const known = event.stage === '' ? status : stages.find(({ name }) => name === event.stage)?.status
  return known !== undefined && (known === fromState(event.state) || isTerminalState(toState(known)))
}
