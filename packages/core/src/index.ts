// What users of every client see. What those who write a transport need is in adapter.ts.

export type { Account, QuotaUsage, RateLimit } from './account.ts'
export type { CircuitBreakerOptions, ErrorType } from './calls/breaker-options.ts'
export type { RetryOptions } from './calls/retry-options.ts'
export type { Cluster, ClusterHealth, WorkerInfo } from './cluster.ts'
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
export type { ConcurrencyLimit, JobError, JobStatus, QueueRetryPolicy, RetryPolicy } from './job-types.ts'
export type { ApiKey, CreatedKey, CreateKeyOptions, Keys } from './keys.ts'
export type { Kv } from './kv/kv.ts'
export type { KvStores } from './kv/kv-stores.ts'
export type {
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
export type { ListStatesOptions, State, StateInfo, States } from './states.ts'
export type { Stream } from './streams/stream.ts'
export type { StreamGroup } from './streams/stream-group.ts'
export type { Streams } from './streams/streams.ts'
export type {
  CreateStreamOptions,
  GroupState,
  NewStreamMessage,
  PartitionInfo,
  ReadOptions,
  ReceivedMessage,
  StartFrom,
  StreamInfo,
  StreamMessage,
  StreamRetention,
  SubscribeOptions,
  WriteOptions,
} from './streams/types.ts'
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
  CreatedWebhook,
  CreateWebhookOptions,
  UpdateWebhookOptions,
  WebhookDelivery,
  WebhookEvent,
  WebhookInfo,
  Webhooks,
} from './webhooks.ts'
