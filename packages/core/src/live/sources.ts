import type * as wire from '@millrace/protocol'
import { Outage } from '../calls/outage.ts'
import { sleep } from '../calls/sleep.ts'
import type { ClientContext } from '../context.ts'
import { unavailable } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import { createFollower } from '../follow/task-follower.ts'
import type { RequestOf, ResponseOf, ServerStreamMethod } from '../transport.ts'
import { isTerminalState } from '../wire.ts'
import type { Sink, Source } from './types.ts'

/** One opening of a stream. */
interface Opening<P extends ServerStreamMethod, T> {
  readonly request: RequestOf<P>
  /** Asks for the value before the stream is opened. */
  first?(signal: AbortSignal): Promise<T>
  /** The value that a message says; undefined when it says none. The next message waits for it. */
  read(message: ResponseOf<P>, signal: AbortSignal): T | undefined | Promise<T | undefined>
  /** True when no other value follows this one. */
  isLast?(value: T): boolean
}

/**
 * Looks at something over a stream that begins with what is and goes on with what changed. Breaks are mended, however long
 * they last.
 *
 * @param open - called each time the stream is opened.
 */
export function streamSource<P extends ServerStreamMethod, T>(context: ClientContext, method: P, open: () => Opening<P, T>): Source<T> {
  return (sink) => {
    const controller = new AbortController()
    void follow(context, method, controller.signal, open, sink)
    return () => controller.abort()
  }
}

async function follow<P extends ServerStreamMethod, T>(
  { clock, options, transport }: ClientContext,
  method: P,
  signal: AbortSignal,
  open: () => Opening<P, T>,
  sink: Sink<T>,
): Promise<void> {
  const outage = new Outage(clock, options.credentials)
  while (!signal.aborted) {
    const { version } = options.credentials
    const { request, first, read, isLast } = open()
    try {
      if (first) sink.value(await first(signal))
      for await (const message of transport.serverStream(method, request, { signal })) {
        if (signal.aborted) return
        outage.over()
        const said = read(message, signal)
        const value = said instanceof Promise ? await said : said
        if (value === undefined) continue
        if (isLast?.(value)) return sink.end(value)
        sink.value(value)
      }
      throw unavailable('The server ended the stream of changes.')
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
