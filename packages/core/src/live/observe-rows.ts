import { type ClientBase, contextOf } from '../client-base.ts'
import { fromRows } from '../tables/convert.ts'
import { type Select, selectionOf } from '../tables/select.ts'
import { type AnyRow, Table } from '../tables/table.ts'
import type { RowFilter, TableOptions } from '../tables/types.ts'
import { createObserverIn } from './registry.ts'
import { streamSource } from './sources.ts'
import type { Observer } from './types.ts'

/** Which rows of a table are looked at. */
export interface LiveTableOptions<T> extends TableOptions {
  /** Columns with commas between them, as `select` takes them. Default: all. */
  readonly columns?: string
  /** Only rows that match. */
  readonly where?: RowFilter<T>
  /** In this order: `created_at.desc`. */
  readonly order?: string
  /** At most so many rows, 1 to 1,000. Default: all, which is an error when there are more than 1,000. */
  readonly limit?: number
  /** Without the first so many rows. */
  readonly offset?: number
}

/** The selection that options of a live table say. */
export function selectOf<T extends object = AnyRow>(client: ClientBase, table: string, options: LiveTableOptions<T> = {}) {
  const { columns, where, order, limit, offset, user } = options
  let select = new Table<T>(contextOf(client), table, { user }).select<T>(columns)
  if (where !== undefined) select = select.where(where)
  if (order !== undefined) select = select.order(order)
  if (limit !== undefined) select = select.limit(limit)
  return offset === undefined ? select : select.offset(offset)
}

/** What tells selections apart: the client they were made with, and what they ask for as text. */
export function identityOf<T>(select: Select<T>): readonly [client: object, content: string] {
  const { context, request } = selectionOf(select as Select<never>)
  const { filter, ...rest } = request
  return [context, JSON.stringify([rest, filter?.text, filter && new TextDecoder().decode(filter.where)])]
}

/**
 * The rows of a selection as they stand, at most 1,000, whoever changes them.
 *
 * @typeParam T - what a row is.
 */
export function observeRows<T>(select: Select<T>): Observer<readonly T[]> {
  const { context, request } = selectionOf(select as Select<never>)
  const [, content] = identityOf(select)
  return createObserverIn(context, `rows ${content}`, () =>
    streamSource(context, 'TableService/WatchRows', () => ({
      request,
      read: ({ result }): readonly T[] => fromRows<T>(result),
    })),
  )
}
