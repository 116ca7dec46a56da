import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Attestor } from '../domain/attestation/attestor.ts'
import type { JobEngine } from '../domain/jobs/types.ts'
import type { SchemaRegistry } from '../domain/schemas/registry.ts'
import type { ProofStore } from '../store/ports.ts'

/** What the services that deal with jobs stand on. */
export interface ServiceContext {
  readonly engine: JobEngine
  readonly clock: Clock
  /** Largest payload or result, in bytes. */
  readonly payloadLimit: number
  /** Verifies where workers run. */
  readonly attestor: Attestor
  /** What they proved. */
  readonly proofs: ProofStore
  readonly schemas: SchemaRegistry
  readonly logger: Logger
}
