import { Cluster } from '@millrace/core/adapter'
import { getHealth, listServices, listWorkers, watchHealth } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.cluster`: how the servers are. */
export const cluster: Resource<Cluster> = {
  routes: [getHealth, listServices, listWorkers, watchHealth],
  create: (context) => new Cluster(context),
}
