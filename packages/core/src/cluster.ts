import type * as wire from '@millrace/protocol'
import type { ClientContext } from './context.ts'
import type { CallOptions } from './options.ts'

/** How the servers are. */
export interface ClusterHealth {
  /** True when the server can do its work. */
  readonly healthy: boolean
  /** What is wrong when it is not. */
  readonly detail?: string
  /** The server's version. */
  readonly version: string
  /** Servers that answer, and servers known. */
  readonly nodes: { readonly active: number; readonly total: number }
  /** Jobs of the tenant that wait: pending and scheduled. */
  readonly queue: { readonly depth: number }
}

/** A service that the server offers. */
export interface ServiceInfo {
  /** What it is called: `tasks`, `streams`, `objects`. */
  readonly name: string
  /** True when it can do its work. */
  readonly healthy: boolean
  /** What is wrong when it is not. */
  readonly detail?: string
}

/** A connected worker. */
export interface WorkerInfo {
  /** Its name. */
  readonly workerId: string
  /** The namespace it works in. */
  readonly namespace: string
  /** The queue it takes jobs of. */
  readonly queue: string
  /** The functions it handles; empty for plain queue jobs. */
  readonly functions: readonly string[]
  /** Most unsettled jobs it takes. */
  readonly maxInFlight: number
  /** Jobs it holds now. */
  readonly inFlight: number
  /** When it connected. */
  readonly connectedAt: Date
}

export function fromHealth(health: wire.GetHealthResponse): ClusterHealth {
  return {
    healthy: health.healthy,
    ...(health.detail && { detail: health.detail }),
    version: health.version,
    nodes: { active: health.nodes?.active ?? 0, total: health.nodes?.total ?? 0 },
    queue: { depth: health.queue?.depth ?? 0 },
  }
}

/** Says how the servers are. */
export class Cluster {
  readonly #context: ClientContext

  /** @internal Use `mr.cluster`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Health of the servers and depth of the queues. */
  async health(call?: CallOptions): Promise<ClusterHealth> {
    return fromHealth(await this.#context.safe('ClusterService/GetHealth', {}, call))
  }

  /** The services that the server offers, in the order of their names, and how each is. */
  async services(call?: CallOptions): Promise<ServiceInfo[]> {
    const { services } = await this.#context.safe('ClusterService/ListServices', {}, call)
    return services.map(({ name, healthy, detail }) => ({ name, healthy, ...(detail && { detail }) }))
  }

  /** The workers connected for the tenant, oldest connection first. */
  async workers(call?: CallOptions): Promise<WorkerInfo[]> {
    const { workers } = await this.#context.safe('ClusterService/ListWorkers', {}, call)
    return workers.map((worker) => ({ ...worker, connectedAt: worker.connectedAt ?? new Date(0) }))
  }
}
