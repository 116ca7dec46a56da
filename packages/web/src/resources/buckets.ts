import { Buckets } from '@millrace/core/adapter'
import { listBuckets } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.buckets`: the buckets of the namespace. */
export const buckets: Resource<Buckets> = {
  routes: [listBuckets],
  create: (context) => new Buckets(context),
}
