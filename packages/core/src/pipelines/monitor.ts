import { Outage } from '../calls/outage.ts'
import type { ClientContext } from '../context.ts'
import { errorFrom } from '../errors/to-error.ts'
import { toInt } from '../wire.ts'
import { fromEvent } from './convert.ts'
import type { MonitorOptions, StageUpdate } from './types.ts'

/**
 * Follows a pipeline to its end: each update once and in order; after a break it goes on with the next one.
 *
 * @param resultOf - fetches a result that is too large to come along.
 */
export async function* monitorPipeline(
  context: ClientContext,
  pipelineId: string,
  options: MonitorOptions,
  resultOf: (stage: string) => Promise<unknown>,
): AsyncGenerator<StageUpdate, void> {
  const { clock, transport, options: client } = context
  const outage = new Outage(clock, client.credentials)
  let afterEvent = toInt('after', options.after)
  for (;;) {
    const { version } = client.credentials
    try {
      const call = { signal: options.signal }
      for await (const { event } of transport.serverStream('PipelineService/WatchPipeline', { pipelineId, afterEvent }, call)) {
        outage.over()
        if (!event) continue
        const update = fromEvent(event, event.resultOmitted ? await resultOf(event.stage) : undefined)
        afterEvent = event.number
        yield update
        if (update.isTerminal) return
      }
      return
    } catch (thrown) {
      const error = errorFrom(thrown)
      if (!outage.mends(error, version) || outage.lastsMs > client.timeoutMs) throw error
      await context.caller.sleep(outage.next(error, version), options.signal)
    }
  }
}
