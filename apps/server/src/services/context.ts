import type { Clock } from '../clock.ts'
import type { JobEngine } from '../domain/jobs/types.ts'

/** What the services that deal with jobs stand on. */
export interface ServiceContext {
  readonly engine: JobEngine
  readonly clock: Clock
  /** Largest payload or result, in bytes. */
  readonly payloadLimit: number
}
