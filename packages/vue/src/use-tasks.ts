import type { TaskInfo } from '@millrace/core'
import { type LiveTasksOptions, observeTasks } from '@millrace/core/live'
import { type ComputedRef, computed, type MaybeRefOrGetter, toValue } from 'vue'
import { useMillrace } from './plugin.ts'
import { type LiveData, useObserver } from './use-observer.ts'

/** A list of tasks as it stands. */
export interface UseTasks<R> extends LiveData {
  /** The tasks, newest first; empty before the first value. One that did not change is the same object as before. */
  readonly tasks: ComputedRef<readonly TaskInfo<R>[]>
  /** True when there may be older ones that the list leaves out. */
  readonly more: ComputedRef<boolean>
}

const noTasks: readonly never[] = []

/**
 * Shows the newest tasks that meet some conditions, live.
 *
 * @typeParam R - what the tasks' handlers return.
 * @param filter - the conditions. Of a reactive object, every part is followed.
 */
export function useTasks<R = unknown>(filter: MaybeRefOrGetter<LiveTasksOptions> = {}): UseTasks<R> {
  const client = useMillrace()
  // By its content: another object that says the same is no other list.
  const content = computed(() => JSON.stringify(toValue(filter)))
  const { snapshot, ...live } = useObserver(() => observeTasks<R>(client, JSON.parse(content.value) as LiveTasksOptions))
  return {
    ...live,
    tasks: computed(() => snapshot.value.data?.tasks ?? noTasks),
    more: computed(() => snapshot.value.data?.more ?? false),
    error: computed(() => snapshot.value.error),
  }
}
