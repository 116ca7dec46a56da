import { type LogEntry, LogLevel } from '@millrace/protocol'
import type { Server } from './connect.ts'
import type { Output, Style } from './output.ts'

const levels: Record<number, { readonly word: string; readonly style: Style }> = {
  [LogLevel.DEBUG]: { word: 'debug', style: 'dim' },
  [LogLevel.INFO]: { word: 'info', style: 'cyan' },
  [LogLevel.WARN]: { word: 'warn', style: 'yellow' },
  [LogLevel.ERROR]: { word: 'error', style: 'red' },
}

/** Shows a task's log, to its present end or to the end of the task. */
export async function printLogs(
  server: Server,
  taskId: string,
  options: { readonly follow: boolean; readonly json: boolean; readonly output: Output },
): Promise<void> {
  const print = (entries: readonly LogEntry[]) => {
    for (const entry of entries) printEntry(entry, options)
  }
  if (options.follow) {
    for await (const { entries } of server.tasks.tailTaskLogs({ taskId, afterSequence: 0 })) print(entries)
    return
  }
  for (let afterSequence = 0, more = true; more; ) {
    const page = await server.tasks.listTaskLogs({ taskId, afterSequence, limit: 1000 })
    print(page.entries)
    more = page.more
    afterSequence = page.entries.at(-1)?.sequence ?? afterSequence
  }
}

function printEntry(entry: LogEntry, { json, output }: { readonly json: boolean; readonly output: Output }): void {
  const { timestamp, message, fieldsJson, sequence } = entry
  const { word, style } = levels[entry.level] ?? levels[LogLevel.INFO]!
  const fields = fieldsJson === '' ? undefined : (JSON.parse(fieldsJson) as unknown)
  if (json) output.json({ timestamp, level: word, message, fields, sequence })
  else {
    const time = timestamp?.toISOString().slice(11, 23) ?? ''
    output.line(
      `${output.style('dim', time)} ${output.style(style, word.padEnd(5))} ${message}${fields ? ` ${output.style('dim', fieldsJson)}` : ''}`,
    )
  }
}
