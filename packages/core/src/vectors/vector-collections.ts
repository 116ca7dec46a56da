import type { ClientContext } from '../context.ts'
import { createList, type List } from '../page.ts'
import type { ListOptions } from '../queues/types.ts'
import { toInt } from '../wire.ts'
import { fromCollection } from './convert.ts'
import type { VectorCollectionInfo } from './types.ts'

/** The collections of vectors of the namespace. */
export class VectorCollections {
  readonly #context: ClientContext

  /** @internal Use `mr.vectorCollections`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Lists collections by name. */
  list(options: ListOptions = {}): List<VectorCollectionInfo> {
    return createList(async (cursor) => {
      const request = { limit: toInt('limit', options.limit), cursor }
      const { collections, nextCursor } = await this.#context.safe('VectorService/ListVectorCollections', request, options)
      return { items: collections.map(fromCollection), nextCursor }
    }, options.cursor)
  }
}
