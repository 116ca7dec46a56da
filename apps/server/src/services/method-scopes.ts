import type {
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
import type { ApiScope } from '../domain/keys/api-scopes.ts'

/** What a method needs: a scope, or nothing but a valid key. */
export type RequiredScope = ApiScope | 'any key'

type Rows<D extends { readonly methods: object }> = Readonly<Record<keyof D['methods'], RequiredScope>>

const taskService: Rows<typeof TaskServiceDefinition> = {
  submitTask: 'tasks:write',
  submitTasks: 'tasks:write',
  getTask: 'tasks:read',
  getTasks: 'tasks:read',
  getTaskProof: 'tasks:read',
  listTasks: 'tasks:read',
  cancelTask: 'tasks:write',
  retryTask: 'tasks:write',
  watchTask: 'tasks:read',
  watchTasks: 'tasks:read',
  followTasks: 'tasks:read',
  followTaskSet: 'tasks:read',
  listTaskLogs: 'tasks:read',
  tailTaskLogs: 'tasks:read',
}

const queueService: Rows<typeof QueueServiceDefinition> = {
  enqueueJobs: 'queues:write',
  receiveJobs: 'queues:write',
  streamJobs: 'queues:write',
  completeJob: 'queues:write',
  failJob: 'queues:write',
  renewLease: 'queues:write',
  settleJobs: 'queues:write',
  getJob: 'queues:read',
  cancelJob: 'queues:write',
  getQueueStats: 'queues:read',
  watchQueueStats: 'queues:read',
  getQueue: 'queues:read',
  updateQueue: 'queues:write',
  listQueues: 'queues:read',
  pauseQueue: 'queues:write',
  resumeQueue: 'queues:write',
  listDeadLetters: 'queues:read',
  replayDeadLetters: 'queues:write',
  purgeDeadLetters: 'queues:write',
}

const pipelineService: Rows<typeof PipelineServiceDefinition> = {
  createPipeline: 'tasks:write',
  getPipeline: 'tasks:read',
  listPipelines: 'tasks:read',
  getStageResult: 'tasks:read',
  cancelPipeline: 'tasks:write',
  retryPipeline: 'tasks:write',
  watchPipeline: 'tasks:read',
}

const scheduleService: Rows<typeof ScheduleServiceDefinition> = {
  createSchedule: 'schedules:write',
  getSchedule: 'schedules:read',
  listSchedules: 'schedules:read',
  updateSchedule: 'schedules:write',
  deleteSchedule: 'schedules:write',
  pauseSchedule: 'schedules:write',
  resumeSchedule: 'schedules:write',
  triggerSchedule: 'schedules:write',
  listScheduleRuns: 'schedules:read',
}

const stateService: Rows<typeof StateServiceDefinition> = {
  getState: 'tasks:read',
  listStates: 'tasks:read',
  deleteState: 'tasks:write',
}

const workerService: Rows<typeof WorkerServiceDefinition> = { processJobs: 'workers' }

const clusterService: Rows<typeof ClusterServiceDefinition> = {
  getHealth: 'any key',
  watchHealth: 'any key',
  listServices: 'any key',
  listWorkers: 'queues:read',
}

const accountService: Rows<typeof AccountServiceDefinition> = { getRateLimit: 'any key', getQuotas: 'any key' }

const keyService: Rows<typeof KeyServiceDefinition> = { createKey: 'admin', listKeys: 'admin', revokeKey: 'admin' }

const tokenService: Rows<typeof TokenServiceDefinition> = { createToken: 'any key' }
const kvService: Rows<typeof KvServiceDefinition> = {
  writeEntries: 'kv:write',
  readEntries: 'kv:read',
  setEntry: 'kv:write',
  getEntry: 'kv:read',
  deleteEntry: 'kv:write',
  clearEntries: 'kv:write',
  incrementEntry: 'kv:write',
  listEntries: 'kv:read',
  listEntryHistory: 'kv:read',
  watchEntries: 'kv:read',
  getKvStore: 'kv:read',
  updateKvStore: 'kv:write',
  listKvStores: 'kv:read',
}

const streamService: Rows<typeof StreamServiceDefinition> = {
  writeMessages: 'streams:write',
  writeBatches: 'streams:write',
  readMessages: 'streams:read',
  subscribeMessages: 'streams:read',
  subscribeGroup: 'streams:write',
  commitOffsets: 'streams:write',
  getGroup: 'streams:read',
  putStream: 'streams:write',
  getStream: 'streams:read',
  listStreams: 'streams:read',
  deleteStream: 'streams:write',
  createReplay: 'streams:write',
  getReplay: 'streams:read',
  listReplays: 'streams:read',
  updateReplay: 'streams:write',
  deleteReplay: 'streams:write',
  subscribeReplay: 'streams:write',
}

/** Each kind of part needs the scope of its own calls: the service asks for them. */
const transactionService: Rows<typeof TransactionServiceDefinition> = { writeTransaction: 'any key' }
const schemaService: Rows<typeof SchemaServiceDefinition> = {
  registerSchema: 'schemas:write',
  getSchema: 'schemas:read',
  listSchemas: 'schemas:read',
  listSchemaVersions: 'schemas:read',
  deleteSchema: 'schemas:write',
  attachSchema: 'schemas:write',
  detachSchema: 'schemas:write',
  listSchemaAttachments: 'schemas:read',
}

const webhookService: Rows<typeof WebhookServiceDefinition> = {
  createWebhook: 'webhooks:write',
  getWebhook: 'webhooks:read',
  listWebhooks: 'webhooks:read',
  updateWebhook: 'webhooks:write',
  deleteWebhook: 'webhooks:write',
  rotateWebhookSecret: 'webhooks:write',
  testWebhook: 'webhooks:write',
  listWebhookDeliveries: 'webhooks:read',
  redeliverWebhook: 'webhooks:write',
}

const databaseService: Rows<typeof DatabaseServiceDefinition> = {
  createDatabase: 'databases:write',
  listDatabases: 'databases:read',
  getDatabase: 'databases:read',
  dropDatabase: 'databases:write',
  createTable: 'databases:write',
  listTables: 'databases:read',
  getTable: 'databases:read',
  getTableStatistics: 'databases:read',
  dropTable: 'databases:write',
  createView: 'databases:write',
  dropView: 'databases:write',
  executeStatement: 'databases:write',
  executeBatch: 'databases:write',
  queryRows: 'databases:read',
  streamRows: 'databases:read',
  explainQuery: 'databases:read',
  writeUpload: 'databases:write',
  importUpload: 'databases:write',
  importObject: 'databases:write',
  queryObject: 'databases:read',
  exportObject: 'databases:read',
  backupDatabase: 'databases:read',
  restoreDatabase: 'databases:write',
}

const tableService: Rows<typeof TableServiceDefinition> = {
  selectRows: 'tables:read',
  watchRows: 'tables:read',
  watchRowChanges: 'tables:read',
  insertRows: 'tables:write',
  updateRows: 'tables:write',
  deleteRows: 'tables:write',
  countRows: 'tables:read',
  readRows: 'tables:read',
  writeRows: 'tables:write',
  callFunction: 'tables:write',
  runSql: 'tables:sql',
  describeTables: 'tables:read',
  applyMigrations: 'tables:sql',
}

const vectorService: Rows<typeof VectorServiceDefinition> = {
  createVectorCollection: 'vectors:write',
  getVectorCollection: 'vectors:read',
  listVectorCollections: 'vectors:read',
  deleteVectorCollection: 'vectors:write',
  upsertVectors: 'vectors:write',
  getVectors: 'vectors:read',
  deleteVectors: 'vectors:write',
  countVectors: 'vectors:read',
  searchVectors: 'vectors:read',
  hybridSearchVectors: 'vectors:read',
}

const objectService: Rows<typeof ObjectServiceDefinition> = {
  createBucket: 'objects:write',
  getBucket: 'objects:read',
  listBuckets: 'objects:read',
  updateBucket: 'objects:write',
  deleteBucket: 'objects:write',
  putObject: 'objects:write',
  getObject: 'objects:read',
  statObject: 'objects:read',
  listObjects: 'objects:read',
  deleteObjects: 'objects:write',
  copyObject: 'objects:write',
  // More for PUT: the service asks for it.
  presignObject: 'objects:read',
  createUpload: 'objects:write',
  putPart: 'objects:write',
  listParts: 'objects:read',
  listUploads: 'objects:read',
  completeUpload: 'objects:write',
  abortUpload: 'objects:write',
}

/** The one table of what each method of each service needs. A method without a row cannot be served. */
export const methodScopes: Readonly<Record<string, Readonly<Record<string, RequiredScope>>>> = {
  'millrace.v1.TaskService': taskService,
  'millrace.v1.QueueService': queueService,
  'millrace.v1.PipelineService': pipelineService,
  'millrace.v1.ScheduleService': scheduleService,
  'millrace.v1.StateService': stateService,
  'millrace.v1.WorkerService': workerService,
  'millrace.v1.ClusterService': clusterService,
  'millrace.v1.AccountService': accountService,
  'millrace.v1.KeyService': keyService,
  'millrace.v1.TokenService': tokenService,
  'millrace.v1.KvService': kvService,
  'millrace.v1.StreamService': streamService,
  'millrace.v1.TransactionService': transactionService,
  'millrace.v1.SchemaService': schemaService,
  'millrace.v1.WebhookService': webhookService,
  'millrace.v1.DatabaseService': databaseService,
  'millrace.v1.TableService': tableService,
  'millrace.v1.VectorService': vectorService,
  'millrace.v1.ObjectService': objectService,
}
