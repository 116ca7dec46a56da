import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { toMs } from '../durations.ts'
import { AbortError, type MillraceError, TaskFailedError, TaskTimeoutError } from '../errors/errors.ts'
import { errorFrom, notFound } from '../errors/to-error.ts'
import { createFollower } from '../follow/task-follower.ts'
import { fromTaskState } from './convert.ts'
import type { TaskStatus, WaitBatchOptions, WaitOptions } from './types.ts'

/** Waits for the end of a task. */
export function waitForTask<R>(context: ClientContext, taskId: string, options: WaitOptions): Promise<TaskStatus<R>> {
  if (options.pollInterval !== undefined) return pollTask(context, taskId, options, toMs('pollInterval', options.pollInterval))
  return waitForTasks<R>(context, [taskId], options).then((statuses) => statuses[0]!)
}

/** Waits for the ends of several tasks over the shared stream of updates; one timer and one listener on the signal for all. */
export function waitForTasks<R>(context: ClientContext, taskIds: readonly string[], options: WaitBatchOptions): Promise<TaskStatus<R>[]> {
  const { signal, failFast } = options
  const follower = context.shared(createFollower)
  const timeoutMs = options.timeout === undefined ? undefined : toMs('timeout', options.timeout)
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new AbortError(signal.reason))
    const ended = new Map<string, TaskStatus<R>>()
    const open = new Map<string, () => void>()
    const finish = (error?: MillraceError): void => {
      cancelTimer?.()
      signal?.removeEventListener('abort', onAbort)
      for (const leave of open.values()) leave()
      open.clear()
      if (error) reject(error)
      else resolve(taskIds.map((taskId) => ended.get(taskId)!))
    }
    const onAbort = (): void => finish(new AbortError(signal?.reason))
    const onUpdate = (update: wire.TaskUpdate): void => {
      try {
        const status = fromTaskState<R>(update)
        ended.set(update.taskId, status)
        open.delete(update.taskId)
        if (failFast && (status.status === 'failed' || status.status === 'cancelled')) {
          finish(new TaskFailedError(update.taskId, status.status, status.error?.message ?? status.message))
        } else if (open.size === 0) finish()
      } catch (thrown) {
        finish(errorFrom(thrown))
      }
    }
    const cancelTimer =
      timeoutMs === undefined
        ? undefined
        : context.clock.timer(timeoutMs, () => {
            const [taskId = ''] = open.keys()
            finish(new TaskTimeoutError(taskId, timeoutMs, { cause: follower.lastError }))
          })
    signal?.addEventListener('abort', onAbort, { once: true })
    const listener = { terminalOnly: true, patient: timeoutMs !== undefined, update: onUpdate, fail: finish }
    for (const taskId of new Set(taskIds)) open.set(taskId, follower.follow(taskId, listener))
    if (open.size === 0) finish()
  })
}

/** Asks at an interval until the task has ended. */
async function pollTask<R>(context: ClientContext, taskId: string, options: WaitOptions, intervalMs: number): Promise<TaskStatus<R>> {
  const { caller, clock } = context
  const { signal } = options
  const timeoutMs = options.timeout === undefined ? Number.POSITIVE_INFINITY : toMs('timeout', options.timeout)
  const deadline = clock.now() + timeoutMs
  for (;;) {
    const { tasks } = await caller.unary('TaskService/GetTasks', { taskIds: [taskId] }, { safe: true, signal })
    if (!tasks[0]) throw notFound('task', taskId)
    const status = fromTaskState<R>(tasks[0])
    if (status.status === 'completed' || status.status === 'failed' || status.status === 'cancelled') return status
    const remaining = deadline - clock.now()
    if (remaining <= 0) throw new TaskTimeoutError(taskId, timeoutMs)
    await context.caller.sleep(Math.min(intervalMs, remaining), signal)
  }
}
