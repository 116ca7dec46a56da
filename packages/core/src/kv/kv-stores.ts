import type { ClientContext } from '../context.ts'
import { createList, type List } from '../page.ts'
import type { ListOptions } from '../queues/types.ts'
import { toInt } from '../wire.ts'
import { fromStore } from './convert.ts'
import type { KvStoreInfo } from './types.ts'

/** The stores of keys and values of the namespace. */
export class KvStores {
  readonly #context: ClientContext

  /** @internal Use `mr.kvStores`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Lists stores by name. */
  list(options: ListOptions = {}): List<KvStoreInfo> {
    return createList(async (cursor) => {
      const request = { limit: toInt('limit', options.limit), cursor }
      const { stores, nextCursor } = await this.#context.safe('KvService/ListKvStores', request, options)
      return { items: stores.map(fromStore), nextCursor }
    }, options.cursor)
  }
}
