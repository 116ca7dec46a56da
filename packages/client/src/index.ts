export * from '@millrace/core'
export { Millrace } from './millrace.ts'
export { JobRevokedError, NonRetryableError, type RevokedReason } from './worker/job-errors.ts'
export type {
  BatchJob,
  BatchWorkerOptions,
  HandledJob,
  JobContext,
  JobLog,
  QueueWorkerOptions,
  StopOptions,
  TaskHandler,
  TaskWorkerOptions,
  WorkerBaseOptions,
  WorkerEvents,
  WorkerJob,
} from './worker/types.ts'
export type { Worker } from './worker/worker.ts'
