import type { ClientContext } from '../context.ts'
import { createList, type List } from '../page.ts'
import type { ListOptions } from '../queues/types.ts'
import { toInt } from '../wire.ts'
import { fromDatabase } from './convert.ts'
import type { DatabaseInfo } from './types.ts'

/** The analytical databases of the namespace. */
export class Databases {
  readonly #context: ClientContext

  /** @internal Use `mr.databases`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Lists databases by name: those of the server that answers, for each is on one server's disk. */
  list(options: ListOptions = {}): List<DatabaseInfo> {
    return createList(async (cursor) => {
      const request = { limit: toInt('limit', options.limit), cursor }
      const { databases, nextCursor } = await this.#context.safe('DatabaseService/ListDatabases', request, options)
      return { items: databases.map(fromDatabase), nextCursor }
    }, options.cursor)
  }
}
