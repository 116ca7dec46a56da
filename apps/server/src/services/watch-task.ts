import type { TailTaskLogsResponse, WatchTaskRequest, WatchTaskResponse } from '@millrace/protocol'
import { isTerminal } from '../domain/jobs/followers.ts'
import type { JobRecord, Seq } from '../store/ports.ts'
import type { Call } from './call.ts'
import type { ServiceContext } from './context.ts'
import { limits } from './limits.ts'
import { toLogEntry, toTaskUpdate } from './shapes.ts'
import { pump, Wakeup } from './wakeup.ts'

/**
 * Streams a task's changes from a revision on, to its end.
 *
 * @param task - the task as it stands.
 */
export async function* watchTask(
  { engine }: ServiceContext,
  task: JobRecord,
  { afterRevision }: WatchTaskRequest,
  call: Call,
): AsyncGenerator<WatchTaskResponse> {
  if (isTerminal(task.state) && task.revision <= afterRevision) return
  let latest: JobRecord | undefined
  let sent = afterRevision
  let ended = false
  const wakeup = new Wakeup()
  const follower = engine.follow(call.scope, (records) => {
    for (const record of records) if (!latest || record.revision > latest.revision) latest = record
    wakeup.wake()
  })
  const take = (): WatchTaskResponse | 'end' | undefined => {
    if (ended) return 'end'
    if (!latest || latest.revision <= sent) return undefined
    sent = latest.revision
    ended = isTerminal(latest.state)
    return { update: toTaskUpdate(latest) }
  }
  try {
    // Gone since it was read: nothing more will be told of it.
    if (!(await follower.add(task.seq, { afterRevision }))) return
    yield* pump(take, wakeup, call.signal)
  } finally {
    follower.close()
  }
}

/**
 * Streams a task's log from a position on, to the task's end.
 *
 * @param seq - the task.
 * @param after - the position.
 */
export async function* tailTaskLogs({ engine }: ServiceContext, seq: Seq, after: number, call: Call): AsyncGenerator<TailTaskLogsResponse> {
  let position = after
  let changed = true
  let ended = false
  const wakeup = new Wakeup()
  const follower = engine.follow(call.scope, (records) => {
    changed = true
    ended ||= records.some((record) => isTerminal(record.state))
    wakeup.wake()
  })
  const take = async (): Promise<TailTaskLogsResponse | 'end' | undefined> => {
    while (changed) {
      const last = ended
      changed = false
      const lines = await engine.logs(call.scope, seq, { limit: limits.page.default, after: position })
      if (lines.length > 0) {
        position = lines.at(-1)!.sequence
        changed = true // there may be more
        return { entries: lines.map(toLogEntry) }
      }
      if (last) return 'end'
    }
    return undefined
  }
  try {
    if (!(await follower.add(seq, { withLog: true }))) return
    yield* pump(take, wakeup, call.signal)
  } finally {
    follower.close()
  }
}
