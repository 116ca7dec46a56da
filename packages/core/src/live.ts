// What adapters for user interfaces are built with: things on the server that can be looked at while they change.
export type { LiveTasks, LiveTasksOptions } from './live/observe.ts'
export { observeClusterHealth, observeQueueStats, observeTask, observeTasks } from './live/observe.ts'
export { type LiveKey, observeKey } from './live/observe-key.ts'
export { type LivePipeline, observePipeline } from './live/observe-pipeline.ts'
export { identityOf, type LiveTableOptions, observeRows, selectOf } from './live/observe-rows.ts'
export { type LiveMessages, type LiveStreamOptions, observeStream } from './live/observe-stream.ts'
export { TaskRun, type TaskRunSnapshot } from './live/task-run.ts'
export type { LiveSnapshot, LiveState, Observer } from './live/types.ts'
