import type { JobError, JobStatus, MillraceError, TaskUpdate } from '@millrace/core'
import { observeTask } from '@millrace/core/live'
import { useMemo } from 'react'
import { useMillrace } from './provider.ts'
import { type Live, suspend, useObserver } from './use-observer.ts'

/** A task as it stands. */
export interface UseTaskStatus<R> extends Live {
  /** The task; undefined before the first value. */
  readonly taskId: string | undefined
  /** Where it is in its life; undefined before the first value. */
  readonly status: JobStatus | undefined
  /** 0 to 100, as its handler last said; 100 when completed. */
  readonly progress: number
  /** What it was doing, as its handler last said. */
  readonly message: string
  /** What its handler returned, once completed. */
  readonly result: R | undefined
  /** Why it cannot be looked at, or the error of its last attempt. */
  readonly error: MillraceError | JobError | undefined
}

/**
 * Shows a task live to its end.
 *
 * @typeParam R - what the task's handler returns.
 * @param taskId - the task; nothing is shown while it is undefined or null.
 */
export function useTaskStatus<R = unknown>(taskId: string | undefined | null): UseTaskStatus<R> {
  const client = useMillrace()
  const observer = useMemo(() => (taskId ? observeTask<R>(client, taskId) : undefined), [client, taskId])
  return useObserver(observer, shape<R>)
}

/**
 * As {@link useTaskStatus}, but suspends until the task is known, and throws to the nearest error boundary when it cannot be.
 *
 * @param taskId - the task.
 */
export function useSuspenseTaskStatus<R = unknown>(
  taskId: string,
): UseTaskStatus<R> & { readonly taskId: string; readonly status: JobStatus } {
  const client = useMillrace()
  const observer = useMemo(() => observeTask<R>(client, taskId), [client, taskId])
  suspend(observer)
  const task = useObserver(observer, shape<R>)
  return task as typeof task & { taskId: string; status: JobStatus }
}

function shape<R>(data: TaskUpdate<R> | undefined, error: MillraceError | undefined): Omit<UseTaskStatus<R>, keyof Live> {
  return {
    taskId: data?.taskId,
    status: data?.status,
    progress: data?.progress ?? 0,
    message: data?.message ?? '',
    result: data?.result,
    error: error ?? data?.error,
  }
}
