import type { ClientContext } from '../context.ts'
import { createList, type List } from '../page.ts'
import type { ListOptions } from '../queues/types.ts'
import { toInt } from '../wire.ts'
import { fromStream } from './convert.ts'
import type { StreamInfo } from './types.ts'

/** The streams of the namespace. */
export class Streams {
  readonly #context: ClientContext

  /** @internal Use `mr.streams`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Lists streams by name. */
  list(options: ListOptions = {}): List<StreamInfo> {
    return createList(async (cursor) => {
      const request = { limit: toInt('limit', options.limit), cursor }
      const { streams, nextCursor } = await this.#context.safe('StreamService/ListStreams', request, options)
      return { items: streams.map(fromStream), nextCursor }
    }, options.cursor)
  }
}
