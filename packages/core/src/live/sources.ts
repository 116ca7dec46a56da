import type * as wire from '@millrace/protocol'
import { Outage } from '../calls/outage.ts'
import { sleep } from '../calls/sleep.ts'
import type { ClientContext } from '../context.ts'
import { UnavailableError } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import { createFollower } from '../follow/task-follower.ts'
import type { RequestOf, ResponseOf, ServerStreamMethod } from '../transport.ts'
import { isTerminalState } from '../wire.ts'
import type { Sink, Source } from './types.ts'

/**
 * Looks at something over a stream that begins with what is and goes on with what changed. Breaks are mended, however long
 * they last.
 *
 * @param begin - called when a stream is opened; what it returns says the value of each message, or undefined when it says none.
 */
export function streamSource<P extends ServerStreamMethod, T>(
  context: ClientContext,
  method: P,
  request: RequestOf<P>,
  begin: () => (message: ResponseOf<P>) => T | undefined,
): Source<T> {
  return (sink) => {
    const controller = new AbortController()
    void follow(context, method, request, controller.signal, begin, sink)
    return () => controller.abort()
  }
}

async function follow<P extends ServerStreamMethod, T>(
  { clock, options, transport }: ClientContext,
  method: P,
  request: RequestOf<P>,
  signal: AbortSignal,
  begin: () => (message: ResponseOf<P>) => T | undefined,
  sink: Sink<T>,
): Promise<void> {
  const outage = new Outage(clock, options.credentials)
  while (!signal.aborted) {
    const { version } = options.credentials
    const read = begin()
    try {
      for await (const message of transport.serverStream(method, request, { signal })) {
        if (signal.aborted) return
        outage.over()
        const value = read(message)
        if (value !== undefined) sink.value(value)
      }
      throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'The server ended the stream of changes.' })
    } catch (thrown) {
      if (signal.aborted) return
      const error = errorFrom(thrown)
      if (!outage.mends(error, version)) return sink.fail(error)
      const delay = outage.next(error, version)
      sink.interrupted(error)
      await sleep(clock, delay, signal).catch(() => undefined)
    }
  }
}

/** Looks at a task, over the streams that everybody in this client shares. */
export function taskSource<T>(context: ClientContext, taskId: string, read: (update: wire.TaskUpdate) => T): Source<T> {
  return (sink) =>
    context.shared(createFollower).follow(taskId, {
      terminalOnly: false,
      patient: true,
      interrupted: sink.interrupted,
      resumed: sink.resumed,
      fail: sink.fail,
      update(update) {
        try {
          if (isTerminalState(update.state)) sink.end(read(update))
          else sink.value(read(update))
        } catch (thrown) {
          sink.fail(errorFrom(thrown))
        }
      },
    })
}
