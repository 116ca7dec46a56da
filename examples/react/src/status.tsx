import { useClusterHealth, useQueueStats } from '@millrace/react'

/** How the server is, and what it did so far. */
export function Status() {
  const { health, state } = useClusterHealth()
  const { stats } = useQueueStats('default')
  const up = state === 'live' && health?.healthy
  return (
    <span className={up ? 'pill' : 'pill down'}>
      {up ? `${stats?.processing ?? 0} running · ${health.queue.depth} waiting · ${stats?.completed ?? 0} done` : 'connecting …'}
    </span>
  )
}
