import { JobState } from '@millrace/protocol'
import type { Server } from './connect.ts'
import type { Output } from './output.ts'
import { hasEnded, stateCell, stateWord } from './states.ts'
import { decodePayload, showPayload, showTime } from './values.ts'

/**
 * Follows a task to its end and shows its result, or each change on the way.
 *
 * @returns the exit code: 0 when it completed, else 1.
 */
export async function waitForTask(
  server: Server,
  taskId: string,
  options: { readonly json: boolean; readonly output: Output; readonly showAll?: boolean },
): Promise<number> {
  const { json, output, showAll } = options
  for await (const { update } of server.tasks.watchTask({ taskId, afterRevision: 0 })) {
    const { state, progress, message, timestamp, error } = update!
    const ended = hasEnded(state)
    // Who stops waiting needs the id to come back.
    if (!json && !showAll) output.progress(ended ? '' : `${taskId} ${stateWord(state)}${progress > 0 ? ` ${progress} %` : ''}`)
    if (json && (showAll || ended)) {
      const result = decodePayload(update!.result, update!.resultContentType)
      output.json({ taskId, status: stateWord(state), progress, message, timestamp, result, error })
    } else if (!json && showAll) {
      const cell = stateCell(state)
      const word = typeof cell === 'object' ? output.style(cell.style, cell.text) : cell
      const text = error?.message ?? message
      output.line([showTime(timestamp), word, ...(progress > 0 ? [`${progress} %`] : []), ...(text ? [text] : [])].join('  '))
    }
    if (!ended) continue
    if (!json && state === JobState.COMPLETED && update!.result.length > 0)
      output.line(showPayload(update!.result, update!.resultContentType))
    if (!json && !showAll && state !== JobState.COMPLETED) output.error(`${taskId} ${stateWord(state)}${error ? `: ${error.message}` : ''}`)
    return state === JobState.COMPLETED ? 0 : 1
  }
  return 1
}
