export * from '@millrace/core'
export { type ClientOf, createClient } from './client.ts'
export { Millrace } from './millrace.ts'
export {
  account,
  bucket,
  buckets,
  cluster,
  database,
  databases,
  keys,
  kv,
  kvStores,
  pipelines,
  queue,
  queues,
  schedules,
  schemas,
  states,
  stream,
  streams,
  table,
  tables,
  tasks,
  tokens,
  vectorCollections,
  vectors,
  webhooks,
  writeTransaction,
} from './resources/all.ts'
export type { Resource } from './resources/resource.ts'
