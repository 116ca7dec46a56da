/** What users call the services of the contract that a server may offer or leave to others, by the definitions' names. */
export const serviceNames = {
  TaskService: 'tasks',
  QueueService: 'queues',
  PipelineService: 'pipelines',
  ScheduleService: 'schedules',
  StateService: 'states',
  WorkerService: 'workers',
  WebhookService: 'webhooks',
  StreamService: 'streams',
  KvService: 'kv',
  TableService: 'tables',
  VectorService: 'vectors',
  SchemaService: 'schemas',
  TransactionService: 'transactions',
  DatabaseService: 'analytics',
  ObjectService: 'objects',
} as const

/** Every server has these: who calls, what that may do, and how the server is. */
const everywhere: ReadonlySet<string> = new Set(['ClusterService', 'AccountService', 'KeyService', 'TokenService'])

/** The name of a service that a server may offer or leave to others. */
export type ServiceName = (typeof serviceNames)[keyof typeof serviceNames]

/** All names, as help and errors list them. */
export const allServices: readonly ServiceName[] = Object.values(serviceNames)

/**
 * The name of a service by its definition's name; undefined for one that every server has.
 *
 * @throws Error when the service is not in the catalogue: the server's own fault.
 */
export function serviceNameOf(definitionName: string): ServiceName | undefined {
  if (everywhere.has(definitionName)) return undefined
  const name = serviceNames[definitionName as keyof typeof serviceNames]
  if (!name) throw new Error(`${definitionName} has no name in the catalogue of services`)
  return name
}
