import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import { ResumedStream } from '../follow/resumed-stream.ts'
import type { CallOptions } from '../options.ts'
import { toInt, toText } from '../wire.ts'
import { fromRows, toFilter } from './convert.ts'
import { rowCallsOf } from './row-calls.ts'
import type { RowFilter } from './types.ts'

/** What a selection asks for. */
interface Selection {
  readonly table: string
  readonly user: string
  readonly columns: string
  readonly filter?: RowFilter<never>
  readonly order: string
  readonly limit?: number
  readonly offset?: number
}

/** What a selection asks of whom, for what is not part of the class, so that who does not use it does not carry it. */
export let selectionOf: (select: Select<never>) => { readonly context: ClientContext; readonly request: wire.SelectRowsRequest }

/**
 * Rows to read. Each method gives a new one; nothing is called before it is awaited, or one of `all`, `first` and `count` is.
 *
 * @typeParam T - what a row is.
 */
export class Select<T> implements PromiseLike<T[]> {
  readonly #context: ClientContext
  readonly #selection: Selection

  static {
    selectionOf = (select) => ({ context: select.#context, request: select.#request() })
  }

  /** @internal Use `mr.table(name).select()`. */
  constructor(context: ClientContext, selection: Selection) {
    this.#context = context
    this.#selection = selection
  }

  /** Only rows that match; takes the place of an earlier one. */
  where(filter: RowFilter<T>): Select<T> {
    return this.#with({ filter: filter as RowFilter<never> })
  }

  /** In this order: `created_at.desc`, `age.asc.nullslast,name`. */
  order(order: string): Select<T> {
    return this.#with({ order: toText('order', order) })
  }

  /** At most so many rows, 1 to 10,000. Default: all, which is an error when there are more than 10,000. */
  limit(limit: number): Select<T> {
    return this.#with({ limit })
  }

  /** Without the first so many rows. */
  offset(offset: number): Select<T> {
    return this.#with({ offset })
  }

  /** The rows. @throws NotFoundError when there is no such table, ValidationError. */
  async all(call?: CallOptions): Promise<T[]> {
    return fromRows<T>((await rowCallsOf(this.#context).read({ $case: 'select', value: this.#request() }, call)).result)
  }

  /**
   * The rows as they stand, then all of them again after each change, whoever made it: at most five times a second, and to a slow
   * reader the latest alone. At most 1,000 rows; give a limit when there may be more. Goes on after breaks of the connection.
   *
   * @param options - `signal` ends the iteration with an `AbortError`; so does leaving the loop, without one.
   * @throws NotFoundError when there is no such table, ValidationError, QuotaExceededError when too many selections are watched.
   */
  watch(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<T[], undefined> {
    const request = this.#request()
    return new ResumedStream(this.#context, {
      method: 'TableService/WatchRows',
      signal: options.signal,
      request: () => request,
      take: ({ result }: wire.WatchRowsResponse) => [fromRows<T>(result)],
    })
  }

  #request(): wire.SelectRowsRequest {
    const { table, user, columns, filter, order, limit, offset } = this.#selection
    // On the wire it would mean all.
    if (limit === 0) throw invalid('limit', '0 is not a whole number from 1 to 10000.')
    return {
      table,
      columns,
      filter: toFilter(filter),
      order,
      limit: toInt('limit', limit),
      offset: toInt('offset', offset),
      asUser: user,
    }
  }

  /** The first row; undefined when there is none. */
  async first(call?: CallOptions): Promise<T | undefined> {
    return (await this.limit(1).all(call))[0]
  }

  /** How many rows match, whatever the limit. */
  async count(call?: CallOptions): Promise<number> {
    const { table, user, filter } = this.#selection
    const value = { table, filter: toFilter(filter), asUser: user }
    return (await rowCallsOf(this.#context).read({ $case: 'count', value }, call)).affected
  }

  /** Same as {@link Select.all}, so that it can be awaited. */
  // biome-ignore lint/suspicious/noThenProperty: a selection is awaited for its rows.
  then<A = T[], B = never>(
    onRows?: ((rows: T[]) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.all().then(onRows, onError)
  }

  #with(change: Partial<Selection>): Select<T> {
    return new Select<T>(this.#context, { ...this.#selection, ...change })
  }
}
