import { type CallContext, ServerError, Status } from 'nice-grpc'
import type { Clock } from '../../clock.ts'
import type { Health } from '../../services/health.ts'

/** `grpc.health.v1.HealthCheckResponse.ServingStatus`. Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
const ServingStatus = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const

/** How often a watcher's status is looked at, in milliseconds: a full disk sends no event. */
const watchMs = 2000

interface HealthRequest {
  readonly service: string
}

interface HealthAnswer {
  readonly status: number
}

/**
 * The standard health service. Serves without a key, because probes have none, and says no more than yes or no.
 *
 * @param options - what knows, the services it speaks for, the time, and what tells that the server stops.
 */
export function createHealthService(options: {
  readonly health: Health
  readonly services: readonly string[]
  readonly clock: Clock
  readonly stopping: AbortSignal
}) {
  const { health, clock, stopping } = options
  const known = new Set(['', ...options.services])
  const status = async () => ((await health.problem()) === '' ? ServingStatus.SERVING : ServingStatus.NOT_SERVING)

  return {
    async check({ service }: HealthRequest): Promise<HealthAnswer> {
      if (!known.has(service)) throw new ServerError(Status.NOT_FOUND, `There is no service '${service}'.`)
      return { status: await status() }
    },

    async *watch({ service }: HealthRequest, { signal }: CallContext): AsyncGenerator<HealthAnswer> {
      const ends = [signal, stopping]
      let last: number | undefined
      for (;;) {
        const current = known.has(service) ? await status() : ServingStatus.SERVICE_UNKNOWN
        if (current !== last) yield { status: current }
        last = current
        if (signal.aborted || stopping.aborted) return
        await new Promise<void>((resolve) => {
          const wake = () => {
            cancel()
            for (const end of ends) end.removeEventListener('abort', wake)
            resolve()
          }
          const cancel = clock.timer(watchMs, wake)
          for (const end of ends) end.addEventListener('abort', wake)
        })
      }
    },
  }
}
