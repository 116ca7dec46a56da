import type { MillraceBase } from '@millrace/core/adapter'
import { TaskRun, type TaskRunSnapshot } from '@millrace/core/live'
import { useMemo, useState, useSyncExternalStore } from 'react'
import { useMillrace } from './provider.ts'

/** A task that a component submits and shows, with what can be done with it. The functions are always the same. */
export interface UseTask<R> extends TaskRunSnapshot<R>, Pick<TaskRun<R>, 'submit' | 'cancel' | 'reset'> {}

/**
 * Submits a task and shows it live to its end. A further `submit` takes the place of the last. When the component unmounts,
 * the task goes on, and a submission without an answer is aborted.
 *
 * @typeParam R - what the task's handler returns.
 */
export function useTask<R = unknown>(): UseTask<R> {
  const run = useTaskRun<R>(useMillrace())
  const snapshot = useSyncExternalStore(run.subscribe, run.getSnapshot, run.getSnapshot)
  return useMemo(() => ({ ...snapshot, submit: run.submit, cancel: run.cancel, reset: run.reset }), [run, snapshot])
}

/** One run for the life of the component, or until the client is another. */
function useTaskRun<R>(client: MillraceBase): TaskRun<R> {
  const [held, setHeld] = useState(() => ({ client, run: new TaskRun<R>(client) }))
  if (held.client === client) return held.run
  const fresh = { client, run: new TaskRun<R>(client) }
  setHeld(fresh)
  return fresh.run
}
