import {
  AccountServiceDefinition,
  ClusterServiceDefinition,
  DatabaseServiceDefinition,
  KeyServiceDefinition,
  KvServiceDefinition,
  ObjectServiceDefinition,
  PipelineServiceDefinition,
  QueueServiceDefinition,
  ScheduleServiceDefinition,
  SchemaServiceDefinition,
  StateServiceDefinition,
  StreamServiceDefinition,
  TableServiceDefinition,
  TaskServiceDefinition,
  TokenServiceDefinition,
  TransactionServiceDefinition,
  VectorServiceDefinition,
  WebhookServiceDefinition,
  WorkerServiceDefinition,
} from '@millrace/protocol'
import type { Logger } from 'pino'
import type { Clock } from './clock.ts'
import type { Domain } from './compose-domain.ts'
import type { ServerConfig } from './config/settings.ts'
import type { Attestor } from './domain/attestation/attestor.ts'
import { limitEngine } from './domain/jobs/limited-engine.ts'
import type { Keyring } from './domain/keys/keyring.ts'
import type { RateLimits } from './domain/keys/rate-limits.ts'
import type { ServiceName } from './service-names.ts'
import { createAccountService } from './services/account-service.ts'
import { createClusterService } from './services/cluster-service.ts'
import { createDatabaseService } from './services/database-service.ts'
import type { Health } from './services/health.ts'
import { createKeyService } from './services/key-service.ts'
import { createKvService } from './services/kv-service.ts'
import type { createObjectService } from './services/object-service.ts'
import { createPipelineService } from './services/pipeline-service.ts'
import { createQueueService } from './services/queue-service.ts'
import { createScheduleService } from './services/schedule-service.ts'
import { createSchemaService } from './services/schema-service.ts'
import { createStateService } from './services/state-service.ts'
import { createStreamService } from './services/stream-service.ts'
import { createTableService } from './services/table-service.ts'
import { createTaskService } from './services/task-service.ts'
import { createTokenService } from './services/token-service.ts'
import { createTransactionService } from './services/transaction-service.ts'
import { createVectorService } from './services/vector-service.ts'
import { createWebhookService } from './services/webhook-service.ts'
import { createWorkerService } from './services/worker-service.ts'
import type { Store } from './store/ports.ts'
import { version } from './version.ts'

/** What the services stand on. */
export interface ServicesBase {
  readonly config: ServerConfig
  readonly store: Store
  readonly domain: Domain
  readonly clock: Clock
  readonly keyring: Keyring
  readonly rateLimits: RateLimits
  readonly attestor: Attestor
  readonly logger: Logger
  /** Whether the server can do its work, and what some services keep their things in beside the store. */
  readonly health: Health
  readonly backends: Partial<Readonly<Record<ServiceName, Health>>>
  /** Names of those that this server offers. */
  readonly offered: readonly ServiceName[]
  /** Made already: HTTP has more ways to it than the others have. */
  readonly objectService: ReturnType<typeof createObjectService>
}

/** Every service of the contract with what carries it out. */
export function composeServices(base: ServicesBase) {
  const { config, store, domain, clock, keyring, rateLimits, attestor, logger, health, backends, offered, objectService } = base
  const {
    analytics,
    jobs,
    kv,
    liveTables,
    objects,
    replays,
    rowChanges,
    schedules,
    schemas,
    streams,
    tables,
    transactions,
    vectors,
    webhooks,
  } = domain
  const { payloadLimit, webhookAllowPrivate: allowPrivate } = config
  const context = { engine: limitEngine(jobs), clock, payloadLimit, attestor, proofs: store.proofs, schemas, logger }
  return [
    { definition: TaskServiceDefinition, implementation: createTaskService(context) },
    { definition: QueueServiceDefinition, implementation: createQueueService(context) },
    { definition: PipelineServiceDefinition, implementation: createPipelineService(context, store.pipelines) },
    { definition: ScheduleServiceDefinition, implementation: createScheduleService(context, schedules) },
    { definition: StateServiceDefinition, implementation: createStateService({ states: store.states, clock }) },
    { definition: StreamServiceDefinition, implementation: createStreamService({ streams, schemas, replays, payloadLimit }) },
    { definition: KvServiceDefinition, implementation: createKvService({ kv, clock, payloadLimit }) },
    {
      definition: TransactionServiceDefinition,
      implementation: createTransactionService({ transactions, schemas, clock, payloadLimit }),
    },
    { definition: SchemaServiceDefinition, implementation: createSchemaService(schemas) },
    { definition: ObjectServiceDefinition, implementation: objectService },
    { definition: WorkerServiceDefinition, implementation: createWorkerService(context) },
    {
      definition: ClusterServiceDefinition,
      implementation: createClusterService({ engine: jobs, health, backends, version, nodes: () => store.nodes(), services: offered }),
    },
    { definition: AccountServiceDefinition, implementation: createAccountService({ rateLimits, quotas: store.quotas, clock }) },
    {
      definition: WebhookServiceDefinition,
      implementation: createWebhookService({ webhooks: store.webhooks, engine: webhooks, clock, allowPrivate }),
    },
    { definition: DatabaseServiceDefinition, implementation: createDatabaseService({ analytics, objects, payloadLimit }) },
    { definition: TableServiceDefinition, implementation: createTableService({ tables, live: liveTables, changes: rowChanges, clock }) },
    { definition: VectorServiceDefinition, implementation: createVectorService({ vectors, clock }) },
    { definition: KeyServiceDefinition, implementation: createKeyService({ keyring, clock }) },
    { definition: TokenServiceDefinition, implementation: createTokenService({ keyring, clock }) },
  ]
}
