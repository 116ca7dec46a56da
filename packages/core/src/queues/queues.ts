import type { ClientContext } from '../context.ts'
import { createList, type List } from '../page.ts'
import { toInt } from '../wire.ts'
import { fromQueue } from './convert.ts'
import type { ListOptions, QueueInfo } from './types.ts'

/** The queues of the namespace. */
export class Queues {
  readonly #context: ClientContext

  /** @internal Use `mr.queues`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Lists queues by name. */
  list(options: ListOptions = {}): List<QueueInfo> {
    return createList(async (cursor) => {
      const request = { limit: toInt('limit', options.limit), cursor }
      const { queues, nextCursor } = await this.#context.safe('QueueService/ListQueues', request, options)
      return { items: queues.map(fromQueue), nextCursor }
    }, options.cursor)
  }
}
