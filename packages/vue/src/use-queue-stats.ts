import type { QueueStats } from '@millrace/core'
import { observeQueueStats } from '@millrace/core/live'
import { type ComputedRef, computed, type MaybeRefOrGetter, toValue } from 'vue'
import { useMillrace } from './plugin.ts'
import { type LiveData, useObserver } from './use-observer.ts'

/** The counts of a queue as they stand. */
export interface UseQueueStats extends LiveData {
  /** The counts; undefined before the first value. `oldestAgeMs` is that of the moment of the last change. */
  readonly stats: ComputedRef<QueueStats | undefined>
}

/**
 * Shows the counts of a queue live.
 *
 * @param queue - its name; nothing is shown while it is undefined or null.
 */
export function useQueueStats(queue: MaybeRefOrGetter<string | undefined | null>): UseQueueStats {
  const client = useMillrace()
  const { snapshot, ...live } = useObserver(() => {
    const name = toValue(queue)
    return name ? observeQueueStats(client, name) : undefined
  })
  return { ...live, stats: computed(() => snapshot.value.data), error: computed(() => snapshot.value.error) }
}
