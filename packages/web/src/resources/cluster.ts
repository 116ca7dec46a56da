import { Cluster } from '@millrace/core/adapter'
import { getHealth, listWorkers, watchHealth } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.cluster`: how the servers are. */
export const cluster: Resource<Cluster> = { routes: [getHealth, listWorkers, watchHealth], create: (context) => new Cluster(context) }
