export * from '@millrace/core'
export { type ClientOf, createClient } from './client.ts'
export { Millrace } from './millrace.ts'
export {
  account,
  cluster,
  keys,
  kv,
  kvStores,
  pipelines,
  queue,
  queues,
  schedules,
  states,
  stream,
  streams,
  tasks,
  tokens,
  webhooks,
} from './resources/all.ts'
export type { Resource } from './resources/resource.ts'
