import type { DuckDBDataChunk, DuckDBResult } from '@duckdb/node-api'
import type { QueryBounds, ResultColumn, RowBatch } from '../../../../domain/analytics/backend.ts'
import { type Encode, encodeRows, encoderOf } from './encode.ts'
import { Failure } from './failure.ts'
import type { Lease } from './lease.ts'

/** Rows encoded at a time. */
const step = 512
/** Bytes that one row may take: a message holds one row at least. */
const longestRow = 3 * 1024 * 1024

/** A result that is read as far as somebody wants it. */
export class RowReader {
  readonly columns: readonly ResultColumn[]
  readonly #lease: Lease
  readonly #result: DuckDBResult
  readonly #encoders: readonly Encode[]
  readonly #failAgain: () => Promise<never>
  #chunk: DuckDBDataChunk | undefined
  /** The first row of the chunk that is not taken. */
  #at = 0
  /** The chunk after it, on its way while this one is encoded. */
  #next: Promise<DuckDBDataChunk | undefined> | undefined
  #ended = false

  /** @param failAgain - carries the query out once more, to learn why it failed. */
  constructor(lease: Lease, result: DuckDBResult, failAgain: () => Promise<never>) {
    this.#failAgain = failAgain
    this.#lease = lease
    this.#result = result
    const names = result.deduplicatedColumnNames()
    const types = result.columnTypes()
    this.columns = names.map((name, i) => ({ name, type: types[i]!.toString() }))
    this.#encoders = types.map(encoderOf)
  }

  /** Whether there is another row. */
  async hasMore(): Promise<boolean> {
    while (!this.#chunk || this.#at === this.#chunk.rowCount) {
      const next = await (this.#next ?? this.#fetch())
      this.#next = undefined
      if (!next) return false
      this.#chunk = next
      this.#at = 0
      this.#next = this.#fetch()
      this.#next.catch(() => undefined)
    }
    return true
  }

  /** Ends the query: a result that is not read to its end keeps the file open until the garbage is collected. */
  async close(): Promise<void> {
    if (!this.#ended) await this.#lease.interruptUntil(this.#drain())
  }

  /** The next rows, as many as fit, one at least; undefined when there are no more. */
  async take({ limit, bytes }: QueryBounds): Promise<RowBatch | undefined> {
    const parts: string[][] = []
    let rows = 0
    let size = 0
    let most = step
    while (rows < limit && size < bytes && (await this.hasMore())) {
      const count = Math.min(most, limit - rows, this.#chunk!.rowCount - this.#at)
      const part = encodeRows(this.#chunk!, this.#encoders, this.#at, this.#at + count)
      const length = part.reduce((sum, column) => sum + column.length + 2, 0)
      if (size + length > bytes && count > 1) {
        // Fewer rows may fit.
        most = count >> 1
        continue
      }
      if (size + length > bytes && rows > 0) break
      if (length > longestRow) {
        const message = `A row of the result takes ${length} bytes; at most ${longestRow} are sent. Select less of it.`
        throw new Failure({ reason: 'VALIDATION', path: 'sql', message })
      }
      parts.push(part)
      rows += count
      size += length
      this.#at += count
    }
    if (rows === 0) return undefined
    const columns = this.columns.map((_, i) => `[${parts.map((part) => part[i]).join(',')}]`)
    return { rows, values: Buffer.from(`[${columns.join(',')}]`) }
  }

  async #drain(): Promise<void> {
    try {
      await this.#next
      while (await this.#fetch());
    } catch {
      // This is how it ends, most often.
    }
  }

  async #fetch(): Promise<DuckDBDataChunk | undefined> {
    if (this.#ended) return undefined
    const chunk = await this.#result.fetchChunk()
    if (chunk && chunk.rowCount > 0) return chunk
    this.#ended = true
    // DuckDB's binding ends the rows of a query that fails after its first ones as if there were no more. The transaction knows.
    const isWhole = await this.#lease.isSound()
    if (this.#lease.isInterrupted) throw new Failure({ reason: 'UNAVAILABLE', message: 'The query was ended.' })
    if (!isWhole) await this.#failAgain()
    return undefined
  }
}
