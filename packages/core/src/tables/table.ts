import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { ResumedStream } from '../follow/resumed-stream.ts'
import type { CallOptions } from '../options.ts'
import { toText } from '../wire.ts'
import { fromChanges, fromRows, toFilter, toJson } from './convert.ts'
import { type RowWrite, rowCallsOf } from './row-calls.ts'
import { Select } from './select.ts'
import type { ChangeOptions, InsertRowsOptions, RowChange, RowFilter, TableOptions, UpsertOptions, WatchChangesOptions } from './types.ts'

/** A row of which nothing is known. */
export type AnyRow = Record<string, unknown>

/**
 * A table or view of the namespace's Postgres. Makes no call before one of its methods does.
 *
 * @typeParam T - what a row is.
 */
export class Table<T extends object = AnyRow> {
  readonly #context: ClientContext
  readonly #user: string
  /** Its name. */
  readonly name: string

  /** @internal Use `mr.table(name)`. */
  constructor(context: ClientContext, name: string, options: TableOptions = {}) {
    this.#context = context
    this.name = toText('table', name)
    this.#user = toText('user', options.user)
  }

  /**
   * Reads rows: await it, or narrow it with `where`, `order`, `limit` and `offset` first.
   *
   * @param columns - names with commas between them; `alias:column` renames, `column->>key` reaches into JSON. Default: all.
   */
  select<R = T>(columns = ''): Select<R> {
    return new Select<R>(this.#context, { table: this.name, user: this.#user, columns: toText('columns', columns), order: '' })
  }

  /** How many rows there are, or match. */
  count(where?: RowFilter<T>, call?: CallOptions): Promise<number> {
    const all = this.select()
    return (where === undefined ? all : all.where(where)).count(call)
  }

  /**
   * Adds a row, or up to 10,000: all or none. A column that a row lacks gets its default.
   *
   * @returns the rows as they are now, in the same order.
   * @throws ConflictError when a row with a unique value is there already, ValidationError when a value does not fit its column.
   */
  insert(rows: Partial<T> | readonly Partial<T>[], options: InsertRowsOptions = {}): Promise<T[]> {
    return this.#insert(rows, options, '', false)
  }

  /**
   * Adds rows, and changes those that are there to be like the new ones.
   *
   * @returns the rows as they are now; those that stayed as they were are not among them.
   */
  upsert(rows: Partial<T> | readonly Partial<T>[], options: UpsertOptions): Promise<T[]> {
    return this.#insert(rows, options, toText('onConflict', options.onConflict), options.ignoreDuplicates === true)
  }

  /**
   * The changes of rows, each as it is committed, whoever makes it; those of one row in their order. Goes on after breaks of the
   * connection and misses none, as long as it reads on within 15 minutes.
   *
   * @throws NotFoundError when there is no such table, or it goes; ValidationError for a view; ConflictError when the changes after
   *   `after` are not kept any more: read the rows again, and watch from now.
   */
  changes(options: WatchChangesOptions<T> = {}): AsyncIterableIterator<RowChange<T>, undefined> {
    const { signal, onCursor } = options
    const filter = toFilter(options.where as RowFilter<never> | undefined)
    const columns = toText('columns', options.columns)
    let after = toText('after', options.after)
    return new ResumedStream(this.#context, {
      method: 'TableService/WatchRowChanges',
      signal,
      request: () => ({ table: this.name, columns, filter, after, asUser: this.#user }),
      take: (response: wire.WatchRowChangesResponse) => {
        after = response.cursor
        onCursor?.(after)
        return fromChanges<T>(response)
      },
    })
  }

  async #insert(rows: unknown, options: InsertRowsOptions, onConflict: string, ignoreDuplicates: boolean): Promise<T[]> {
    const request = {
      table: this.name,
      rows: toJson('rows', rows),
      contentType: '',
      onConflict,
      ignoreDuplicates,
      ...this.#answer(options),
    }
    return this.#write({ $case: 'insert', value: request }, options)
  }

  /**
   * Changes the rows that match.
   *
   * @returns the rows as they are now.
   * @throws ValidationError when there is neither `where` nor `all`.
   */
  async update(values: Partial<T>, options: ChangeOptions<T>): Promise<T[]> {
    const request = { table: this.name, values: toJson('values', values), contentType: '', ...this.#change(options) }
    return this.#write({ $case: 'update', value: request }, options)
  }

  /**
   * Deletes the rows that match.
   *
   * @returns the rows as they were.
   * @throws ValidationError when there is neither `where` nor `all`.
   */
  async delete(options: ChangeOptions<T>): Promise<T[]> {
    const request = { table: this.name, ...this.#change(options) }
    return this.#write({ $case: 'delete', value: request }, options)
  }

  async #write(write: RowWrite, options: CallOptions): Promise<T[]> {
    return fromRows<T>((await rowCallsOf(this.#context).write(write, options)).result)
  }

  #change(options: ChangeOptions<T>) {
    return { filter: toFilter(options.where as RowFilter<never> | undefined), all: options.all === true, ...this.#answer(options) }
  }

  #answer({ returning }: InsertRowsOptions) {
    return { columns: returning === false ? '' : toText('returning', returning), withoutRows: returning === false, asUser: this.#user }
  }
}
