import { Outage } from '../calls/outage.ts'
import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import { createList, type List } from '../page.ts'
import { toInt } from '../wire.ts'
import { fromLogEntry } from './convert.ts'
import type { TaskLogEntry, TaskLogsOptions } from './types.ts'

/** A cursor into a log is the number of the last line before it. */
function toSequence(cursor: string): number {
  const sequence = cursor === '' ? 0 : Number(cursor)
  if (!Number.isSafeInteger(sequence) || sequence < 0) throw invalid('cursor', `'${cursor}' is not the nextCursor of a page.`)
  return sequence
}

/** Lists a task's log. */
export function createLogList(context: ClientContext, taskId: string, options: TaskLogsOptions): List<TaskLogEntry> {
  return createList(async (from) => {
    const request = { taskId, afterSequence: toSequence(from), limit: toInt('limit', options.limit) }
    const { entries, more } = await context.safe('TaskService/ListTaskLogs', request, options)
    const last = entries.at(-1)
    return { items: entries.map(fromLogEntry), nextCursor: more && last ? String(last.sequence) : '' }
  }, options.cursor)
}

/** Follows a task's log until the task has ended; after a break it goes on with the next line. */
export async function* tailLogs(context: ClientContext, taskId: string, options: TaskLogsOptions): AsyncGenerator<TaskLogEntry, void> {
  const { clock, transport, options: client } = context
  const outage = new Outage(clock, client.credentials)
  let afterSequence = toSequence(options.cursor ?? '')
  for (;;) {
    const { version } = client.credentials
    try {
      const call = { signal: options.signal }
      for await (const { entries } of transport.serverStream('TaskService/TailTaskLogs', { taskId, afterSequence }, call)) {
        outage.over()
        for (const entry of entries) {
          afterSequence = entry.sequence
          yield fromLogEntry(entry)
        }
      }
      return
    } catch (thrown) {
      if (context.closed) throw context.closed
      const error = errorFrom(thrown)
      if (!outage.mends(error, version) || outage.lastsMs > client.timeoutMs) throw error
      await context.caller.sleep(outage.next(error, version), options.signal)
    }
  }
}
