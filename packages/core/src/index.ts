// What users of every client see. What those who write a transport need is in adapter.ts.

export type { Account, QuotaUsage, RateLimit } from './account.ts'
export type { CircuitBreakerOptions, ErrorType } from './calls/breaker-options.ts'
export type { RetryOptions } from './calls/retry-options.ts'
export type { Cluster, ClusterHealth, ServiceInfo, WorkerInfo } from './cluster.ts'
export type { Database } from './databases/database.ts'
export type { Databases } from './databases/databases.ts'
export type {
  BackupOptions,
  BatchStatement,
  ColumnStatistics,
  CreateDatabaseOptions,
  CreateTableOptions,
  CreateViewOptions,
  DatabaseBackup,
  DatabaseColumn,
  DatabaseInfo,
  DatabaseTable,
  ExplainOptions,
  ExportedObject,
  ExportObjectOptions,
  ImportObjectOptions,
  ImportOptions,
  ListTablesOptions,
  NewColumn,
  ObjectSource,
  QueryOptions,
  QueryResult,
  RestoreOptions,
  ResultColumn,
  SqlParameter,
  SqlParameters,
  SqlRow,
  TableStatistics,
} from './databases/types.ts'
export type { Duration } from './durations.ts'
export {
  AbortError,
  AuthenticationError,
  CircuitOpenError,
  ConflictError,
  type ErrorCode,
  InternalError,
  JobNotFoundError,
  MillraceError,
  NotFoundError,
  PermissionDeniedError,
  QuotaExceededError,
  RateLimitError,
  TaskFailedError,
  TaskNotFoundError,
  TaskTimeoutError,
  TimeoutError,
  UnavailableError,
  ValidationError,
} from './errors/errors.ts'
export type {
  ConcurrencyLimit,
  DebounceOptions,
  DeduplicateOptions,
  FlowOptions,
  JobError,
  JobRateLimit,
  JobStatus,
  QueueRetryPolicy,
  RetryPolicy,
} from './job-types.ts'
export type { ApiKey, CreatedKey, CreateKeyOptions, Keys } from './keys.ts'
export type { Kv } from './kv/kv.ts'
export type { KvStores } from './kv/kv-stores.ts'
export type {
  ClearOptions,
  DeleteOptions,
  IncrementOptions,
  KvChange,
  KvEntry,
  KvSet,
  KvStoreInfo,
  ListKeysOptions,
  SetOptions,
  SetResult,
  UpdateKvStoreOptions,
  WatchKeysOptions,
} from './kv/types.ts'
export type { Logger } from './logger.ts'
export type { Bucket } from './objects/bucket.ts'
export type { Buckets } from './objects/buckets.ts'
export type { ObjectContent } from './objects/content.ts'
export type {
  BucketDetails,
  BucketInfo,
  BucketOptions,
  BucketPolicy,
  CommonPrefix,
  CompleteOptions,
  CopyOptions,
  DeleteObjectOptions,
  GetOptions,
  LifecycleRule,
  ListObjectsOptions,
  ObjectBody,
  ObjectHead,
  ObjectInfo,
  PartInfo,
  PresignOptions,
  PutOptions,
  SendOptions,
  UploadInfo,
  WriteCondition,
} from './objects/types.ts'
export type { ObjectUpload } from './objects/upload.ts'
export type { CallOptions, KeepaliveOptions, MillraceOptions, TlsOptions } from './options.ts'
export type { List, Page } from './page.ts'
export type { Pipeline } from './pipelines/pipeline.ts'
export type { Pipelines } from './pipelines/pipelines.ts'
export type { PipelineRun } from './pipelines/run.ts'
export type {
  ExecuteOptions,
  ListPipelinesOptions,
  MonitorOptions,
  PipelineInfo,
  PipelineStage,
  PipelineStatus,
  PipelineSummary,
  StageInfo,
  StageOptions,
  StageUpdate,
  WaitPipelineOptions,
} from './pipelines/types.ts'
export type { DeadLetters } from './queues/dead-letters.ts'
export type { Queue } from './queues/queue.ts'
export type { Queues } from './queues/queues.ts'
export type { ReceivedJob } from './queues/received-job.ts'
export type {
  DeliveriesOptions,
  EnqueueOptions,
  EnqueueResult,
  FailOptions,
  JobInfo,
  ListOptions,
  NewJob,
  QueueInfo,
  QueueStats,
  ReceiveOptions,
  UpdateQueueOptions,
} from './queues/types.ts'
export type { Schedules } from './schedules/schedules.ts'
export type {
  CreateScheduleOptions,
  ListSchedulesOptions,
  OverlapPolicy,
  Schedule,
  ScheduleHistoryOptions,
  ScheduleRules,
  ScheduleRun,
  ScheduleTimes,
  UpdateScheduleOptions,
} from './schedules/types.ts'
export type {
  AttachSchemaOptions,
  GetSchemaOptions,
  JsonSchema,
  RegisteredSchema,
  RegisterSchemaOptions,
  Schema,
  SchemaAttachment,
  SchemaCompatibility,
  SchemaInfo,
  Schemas,
  SchemaTarget,
  SchemaVersion,
} from './schemas.ts'
export type { ListStatesOptions, State, StateInfo, States } from './states.ts'
export type { CreateReplayOptions, ReplayInfo, ReplayState, StreamReplays } from './streams/replays.ts'
export type { Stream } from './streams/stream.ts'
export type { StreamGroup } from './streams/stream-group.ts'
export type { Streams } from './streams/streams.ts'
export type {
  CreateStreamOptions,
  GroupState,
  NewStreamMessage,
  PartitionInfo,
  ProducerWrite,
  ReadOptions,
  ReceivedMessage,
  StartFrom,
  StreamInfo,
  StreamMessage,
  StreamRetention,
  SubscribeOptions,
  WriteOptions,
} from './streams/types.ts'
export type { Select } from './tables/select.ts'
export type { AnyRow, Table } from './tables/table.ts'
export type { Tables } from './tables/tables.ts'
export type {
  ChangeOptions,
  Comparisons,
  FilterValue,
  InsertRowsOptions,
  MigrateResult,
  Migration,
  RowChange,
  RowFilter,
  SqlResult,
  TableColumnInfo,
  TableInfo,
  TableOptions,
  UpsertOptions,
  WatchChangesOptions,
  Where,
} from './tables/types.ts'
export type {
  ProofExpectation,
  ProofVerifier,
  SignedProof,
  TaskProof,
  TeePlatform,
  VerifyOptions,
  VerifyResult,
} from './tasks/proof.ts'
export type { TaskWatch, TaskWatchEvents } from './tasks/task-watch.ts'
export type { Tasks } from './tasks/tasks.ts'
export type {
  CancelOptions,
  ListTasksOptions,
  SubmitBatchOptions,
  SubmitBatchResult,
  SubmitTaskOptions,
  TaskHandle,
  TaskInfo,
  TaskLogEntry,
  TaskLogsOptions,
  TaskPriority,
  TaskResult,
  TaskStatus,
  TaskType,
  TaskUpdate,
  WaitBatchOptions,
  WaitOptions,
  WatchOptions,
} from './tasks/types.ts'
export type { CreatedToken, CreateTokenOptions, TokenResources, Tokens } from './tokens.ts'
export type {
  TransactionCommit,
  TransactionDelete,
  TransactionIncrement,
  TransactionJob,
  TransactionKvResult,
  TransactionMessages,
  TransactionOptions,
  TransactionParts,
  TransactionResult,
  TransactionSet,
} from './transactions/types.ts'
export type {
  CreateVectorsOptions,
  HybridSearch,
  NewVector,
  StoredVector,
  VectorCollectionInfo,
  VectorIndex,
  VectorMatch,
  VectorMetric,
  VectorSearch,
  VectorSearchOptions,
  VectorValue,
} from './vectors/types.ts'
export type { VectorCollections } from './vectors/vector-collections.ts'
export type { Vectors } from './vectors/vectors.ts'
export type {
  CreatedWebhook,
  CreateWebhookOptions,
  UpdateWebhookOptions,
  WebhookDelivery,
  WebhookEvent,
  WebhookInfo,
  Webhooks,
} from './webhooks.ts'
