import type { ClusterHealth, MillraceError } from '@millrace/core'
import { observeClusterHealth } from '@millrace/core/live'
import { useMemo } from 'react'
import { useMillrace } from './provider.ts'
import { type LiveData, suspend, useObserver } from './use-observer.ts'

/** The health of the servers as it stands. */
export interface UseClusterHealth extends LiveData {
  /** The health; undefined before the first value. */
  readonly health: ClusterHealth | undefined
}

/** Shows the health of the servers and the depth of the queues live. */
export function useClusterHealth(): UseClusterHealth {
  const client = useMillrace()
  return useObserver(
    useMemo(() => observeClusterHealth(client), [client]),
    shape,
  )
}

/** As {@link useClusterHealth}, but suspends until the health is known, and throws to the nearest error boundary when it cannot be. */
export function useSuspenseClusterHealth(): UseClusterHealth & { readonly health: ClusterHealth } {
  const client = useMillrace()
  const observer = useMemo(() => observeClusterHealth(client), [client])
  suspend(observer)
  return useObserver(observer, shape) as UseClusterHealth & { health: ClusterHealth }
}

function shape(health: ClusterHealth | undefined, error: MillraceError | undefined) {
  return { health, error }
}
