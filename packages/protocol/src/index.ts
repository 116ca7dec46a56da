// Messages and enums of every service, then the service definitions (in the same generated files).
export * from './gen/millrace/v1/cluster_service.ts'
export * from './gen/millrace/v1/job.ts'
export * from './gen/millrace/v1/key_service.ts'
export * from './gen/millrace/v1/queue_service.ts'
export * from './gen/millrace/v1/state_service.ts'
export * from './gen/millrace/v1/task_service.ts'
export * from './gen/millrace/v1/token_service.ts'
export * from './gen/millrace/v1/worker_service.ts'
