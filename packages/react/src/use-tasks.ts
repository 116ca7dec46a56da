import type { MillraceError, TaskInfo } from '@millrace/core'
import { type LiveTasks, type LiveTasksOptions, observeTasks } from '@millrace/core/live'
import { useMemo } from 'react'
import { useMillrace } from './provider.ts'
import { type LiveData, suspend, useObserver } from './use-observer.ts'

/** A list of tasks as it stands. */
export interface UseTasks<R> extends LiveData {
  /** The tasks, newest first; empty before the first value. One that did not change is the same object as before. */
  readonly tasks: readonly TaskInfo<R>[]
  /** True when there may be older ones that the list leaves out. */
  readonly more: boolean
}

/**
 * Shows the newest tasks that meet some conditions, live.
 *
 * @typeParam R - what the tasks' handlers return.
 * @param filter - the conditions; may be another object with the same content each time.
 */
export function useTasks<R = unknown>(filter: LiveTasksOptions = {}): UseTasks<R> {
  return useObserver(useTasksObserver<R>(filter), shape<R>)
}

/** As {@link useTasks}, but suspends until the list is known, and throws to the nearest error boundary when it cannot be. */
export function useSuspenseTasks<R = unknown>(filter: LiveTasksOptions = {}): UseTasks<R> {
  const observer = useTasksObserver<R>(filter)
  suspend(observer)
  return useObserver(observer, shape<R>)
}

function useTasksObserver<R>(filter: LiveTasksOptions) {
  const client = useMillrace()
  const content = JSON.stringify(filter)
  return useMemo(() => observeTasks<R>(client, JSON.parse(content) as LiveTasksOptions), [client, content])
}

const noTasks: readonly never[] = []

function shape<R>(data: LiveTasks<R> | undefined, error: MillraceError | undefined) {
  return { tasks: data?.tasks ?? noTasks, more: data?.more ?? false, error }
}
