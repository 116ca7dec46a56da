import { InternalError } from '../errors/errors.ts'
import { missingField } from '../wire.ts'
import type { ResultColumn } from './types.ts'
import { converterOf } from './values.ts'

const decoder = new TextDecoder()

/** Makes rows of values that travel column by column. */
export class RowMaker<R> {
  readonly #names: readonly string[]
  readonly #converters: readonly ReturnType<typeof converterOf>[]

  constructor(columns: readonly ResultColumn[]) {
    this.#names = columns.map(({ name }) => name)
    this.#converters = columns.map(({ type }) => converterOf(type))
  }

  /** The rows of a message. */
  make(count: number, values: Uint8Array): R[] {
    if (count === 0) return []
    const columns = JSON.parse(decoder.decode(values)) as unknown[][]
    if (columns.length !== this.#names.length) throw new InternalError(missingField('columns'))
    const rows = new Array<Record<string, unknown>>(count)
    for (let row = 0; row < count; row++) rows[row] = {}
    for (let i = 0; i < columns.length; i++) {
      const name = this.#names[i]!
      const convert = this.#converters[i]
      const column = columns[i]!
      for (let row = 0; row < count; row++) rows[row]![name] = convert ? convert(column[row]) : column[row]
    }
    return rows as R[]
  }
}
