import type { ClusterHealth } from '@millrace/core'
import { observeClusterHealth } from '@millrace/core/live'
import { type ComputedRef, computed } from 'vue'
import { useMillrace } from './plugin.ts'
import { type LiveData, useObserver } from './use-observer.ts'

/** The health of the servers as it stands. */
export interface UseClusterHealth extends LiveData {
  /** The health; undefined before the first value. */
  readonly health: ComputedRef<ClusterHealth | undefined>
}

/** Shows the health of the servers and the depth of the queues live. */
export function useClusterHealth(): UseClusterHealth {
  const client = useMillrace()
  const { snapshot, ...live } = useObserver(() => observeClusterHealth(client))
  return { ...live, health: computed(() => snapshot.value.data), error: computed(() => snapshot.value.error) }
}
