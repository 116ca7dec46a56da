import type { MillraceError, QueueStats } from '@millrace/core'
import { observeQueueStats } from '@millrace/core/live'
import { useMemo } from 'react'
import { useMillrace } from './provider.ts'
import { type LiveData, suspend, useObserver } from './use-observer.ts'

/** The counts of a queue as they stand. */
export interface UseQueueStats extends LiveData {
  /** The counts; undefined before the first value. `oldestAgeMs` is that of the moment of the last change. */
  readonly stats: QueueStats | undefined
}

/**
 * Shows the counts of a queue live.
 *
 * @param queue - its name; nothing is shown while it is undefined or null.
 */
export function useQueueStats(queue: string | undefined | null): UseQueueStats {
  const client = useMillrace()
  const observer = useMemo(() => (queue ? observeQueueStats(client, queue) : undefined), [client, queue])
  return useObserver(observer, shape)
}

/** As {@link useQueueStats}, but suspends until the counts are known, and throws to the nearest error boundary when they cannot be. */
export function useSuspenseQueueStats(queue: string): UseQueueStats & { readonly stats: QueueStats } {
  const client = useMillrace()
  const observer = useMemo(() => observeQueueStats(client, queue), [client, queue])
  suspend(observer)
  return useObserver(observer, shape) as UseQueueStats & { stats: QueueStats }
}

function shape(stats: QueueStats | undefined, error: MillraceError | undefined) {
  return { stats, error }
}
