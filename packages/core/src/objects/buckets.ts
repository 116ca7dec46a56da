import type { ClientContext } from '../context.ts'
import { createList, type List } from '../page.ts'
import type { ListOptions } from '../queues/types.ts'
import { toInt } from '../wire.ts'
import { fromBucket } from './convert.ts'
import type { BucketInfo } from './types.ts'

/** The buckets of the namespace. */
export class Buckets {
  readonly #context: ClientContext

  /** @internal Use `mr.buckets`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Lists buckets by name. */
  list(options: ListOptions = {}): List<BucketInfo> {
    return createList(async (cursor) => {
      const request = { limit: toInt('limit', options.limit), cursor }
      const { buckets, nextCursor } = await this.#context.safe('ObjectService/ListBuckets', request, options)
      return { items: buckets.map(fromBucket), nextCursor }
    }, options.cursor)
  }
}
