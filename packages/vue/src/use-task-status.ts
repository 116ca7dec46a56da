import type { JobError, JobStatus, MillraceError } from '@millrace/core'
import { observeTask } from '@millrace/core/live'
import { type ComputedRef, computed, type MaybeRefOrGetter, toValue } from 'vue'
import { useMillrace } from './plugin.ts'
import { type Live, useObserver } from './use-observer.ts'

/** A task as it stands. */
export interface UseTaskStatus<R> extends Live {
  /** Where it is in its life; undefined before the first value. */
  readonly status: ComputedRef<JobStatus | undefined>
  /** 0 to 100, as its handler last said; 100 when completed. */
  readonly progress: ComputedRef<number>
  /** What it was doing, as its handler last said. */
  readonly message: ComputedRef<string>
  /** What its handler returned, once completed. */
  readonly result: ComputedRef<R | undefined>
  /** Why it cannot be looked at, or the error of its last attempt. */
  readonly error: ComputedRef<MillraceError | JobError | undefined>
}

/**
 * Shows a task live to its end.
 *
 * @typeParam R - what the task's handler returns.
 * @param taskId - the task; nothing is shown while it is undefined or null.
 */
export function useTaskStatus<R = unknown>(taskId: MaybeRefOrGetter<string | undefined | null>): UseTaskStatus<R> {
  const client = useMillrace()
  const { snapshot, ...live } = useObserver(() => {
    const id = toValue(taskId)
    return id ? observeTask<R>(client, id) : undefined
  })
  return {
    ...live,
    status: computed(() => snapshot.value.data?.status),
    progress: computed(() => snapshot.value.data?.progress ?? 0),
    message: computed(() => snapshot.value.data?.message ?? ''),
    result: computed(() => snapshot.value.data?.result),
    error: computed(() => snapshot.value.error ?? snapshot.value.data?.error),
  }
}
