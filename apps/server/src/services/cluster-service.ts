import type { ClusterServiceDefinition, GetHealthResponse } from '@millrace/protocol'
import { isAttestedLane } from '../domain/jobs/attested.ts'
import type { JobEngine } from '../domain/jobs/types.ts'
import { LimitedScope } from '../domain/keys/limited-scope.ts'
import type { ServiceName } from '../service-names.ts'
import type { Scope } from '../store/ports.ts'
import type { ServiceOf } from './call.ts'
import type { Health } from './health.ts'
import { healthView, watchView } from './live-views.ts'

/** Says how the server is. */
export function createClusterService(context: {
  readonly engine: JobEngine
  /** The servers of this system. */
  nodes(): Promise<readonly { readonly active: boolean }[]>
  readonly health: Health
  /** The health of what some services keep their things in beside the store. */
  readonly backends: Partial<Readonly<Record<ServiceName, Health>>>
  /** The server's version. */
  readonly version: string
  /** What the server offers. */
  readonly services: readonly ServiceName[]
}): ServiceOf<typeof ClusterServiceDefinition> {
  const { engine, health, backends, version, nodes } = context
  const services = context.services.toSorted()

  async function healthOf({ tenant }: Scope): Promise<GetHealthResponse> {
    const detail = await health.problem()
    // A store that does not answer cannot be asked for more: this server is what is known.
    if (detail !== '') return { healthy: false, version, nodes: { active: 1, total: 1 }, queue: { depth: 0 }, detail }
    const [depth, all] = await Promise.all([engine.depth(tenant), nodes()])
    const active = all.filter((node) => node.active).length
    return { healthy: true, version, nodes: { active, total: all.length }, queue: { depth }, detail }
  }

  return {
    getHealth: (_request, { scope }) => healthOf(scope),

    async *watchHealth(_request, call) {
      const view = healthView(call.scope, () => healthOf(call.scope))
      yield* watchView(engine, view, call, (health) => ({ health }))
    },

    async listServices() {
      const look = async (name: ServiceName) => {
        const detail = (await health.problem()) || ((await backends[name]?.problem()) ?? '')
        return { name, healthy: detail === '', detail }
      }
      return { services: await Promise.all(services.map(look)) }
    },

    async listWorkers(_request, { scope, principal }) {
      if (scope instanceof LimitedScope) throw scope.refusal('see workers')
      const seen = [...engine.workers(scope.tenant)].filter((worker) => principal.reaches(worker.scope.namespace))
      const workers = seen.sort((a, b) => a.connectedAt - b.connectedAt)
      return {
        workers: workers.map((worker) => ({
          workerId: worker.workerId,
          namespace: worker.scope.namespace,
          queue: worker.queue,
          functions: worker.functions.filter((name) => name !== '' && !isAttestedLane(name)),
          maxInFlight: worker.maxInFlight,
          inFlight: worker.inFlight,
          connectedAt: new Date(worker.connectedAt),
        })),
      }
    },
  }
}
