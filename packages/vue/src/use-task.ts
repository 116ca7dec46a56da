import type { JobError, JobStatus, MillraceError } from '@millrace/core'
import { type LiveState, TaskRun } from '@millrace/core/live'
import { type ComputedRef, computed, shallowRef } from 'vue'
import { useMillrace } from './plugin.ts'
import { whileShown } from './while-shown.ts'

/** A task that a component submits and shows, with what can be done with it. */
export interface UseTask<R> extends Pick<TaskRun<R>, 'submit' | 'cancel' | 'reset'> {
  /** The submitted task; undefined before the server took it. */
  readonly taskId: ComputedRef<string | undefined>
  /** Where it is in its life; undefined before that is known. */
  readonly status: ComputedRef<JobStatus | undefined>
  /** 0 to 100, as its handler last said. */
  readonly progress: ComputedRef<number>
  /** What it was doing, as its handler last said. */
  readonly message: ComputedRef<string>
  /** What its handler returned, once completed. */
  readonly result: ComputedRef<R | undefined>
  /** Why it could not be submitted, looked at or cancelled; or the error of its last attempt. */
  readonly error: ComputedRef<MillraceError | JobError | undefined>
  /** True from the submission until it has ended or is given up. */
  readonly isLoading: ComputedRef<boolean>
  /** How the connection to it stands. */
  readonly state: ComputedRef<LiveState>
}

/**
 * Submits a task and shows it live to its end. A further `submit` takes the place of the last. When the component unmounts,
 * the task goes on, and a submission without an answer is aborted.
 *
 * @typeParam R - what the task's handler returns.
 */
export function useTask<R = unknown>(): UseTask<R> {
  const run = new TaskRun<R>(useMillrace())
  const snapshot = shallowRef(run.getSnapshot())
  whileShown(() => {
    const show = () => {
      snapshot.value = run.getSnapshot()
    }
    const stop = run.subscribe(show)
    show()
    return stop
  })
  return {
    submit: run.submit,
    cancel: run.cancel,
    reset: run.reset,
    taskId: computed(() => snapshot.value.taskId),
    status: computed(() => snapshot.value.status),
    progress: computed(() => snapshot.value.progress),
    message: computed(() => snapshot.value.message),
    result: computed(() => snapshot.value.result),
    error: computed(() => snapshot.value.error),
    isLoading: computed(() => snapshot.value.isLoading),
    state: computed(() => snapshot.value.state),
  }
}
