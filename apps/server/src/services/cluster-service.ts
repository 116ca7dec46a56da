import type { ClusterServiceDefinition } from '@millrace/protocol'
import type { JobEngine } from '../domain/jobs/types.ts'
import type { ServiceOf } from './call.ts'
import type { Health } from './health.ts'

/** Says how the server is. */
export function createClusterService(context: {
  readonly engine: JobEngine
  readonly health: Health
  /** The server's version. */
  readonly version: string
}): ServiceOf<typeof ClusterServiceDefinition> {
  const { engine, health, version } = context
  return {
    async getHealth(_request, { scope }) {
      const detail = await health.problem()
      const depth = await engine.depth(scope.tenant)
      return { healthy: detail === '', version, nodes: { active: 1, total: 1 }, queue: { depth }, detail }
    },

    async listWorkers(_request, { scope }) {
      const workers = [...engine.workers(scope.tenant)].sort((a, b) => a.connectedAt - b.connectedAt)
      return {
        workers: workers.map((worker) => ({
          workerId: worker.workerId,
          namespace: worker.scope.namespace,
          queue: worker.queue,
          functions: worker.functions.filter((name) => name !== ''),
          maxInFlight: worker.maxInFlight,
          inFlight: worker.inFlight,
          connectedAt: new Date(worker.connectedAt),
        })),
      }
    },
  }
}
