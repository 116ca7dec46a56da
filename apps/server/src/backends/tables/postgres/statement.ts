import type pg from 'pg'
import {
  copyRefused,
  type ResultBounds,
  ResultTooLarge,
  type RowTaker,
  type SqlOutcome,
  type SqlValue,
} from '../../../domain/tables/backend.ts'
import type { PreparedStatements } from './prepared-statements.ts'
import type { RowMessage } from './raw-rows.ts'

/** What is written to Postgres: the driver's own connection, whose types it keeps to itself. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void }
  parse(message: { readonly name: string; readonly text: string }): void
  bind(message: { readonly portal: string; readonly statement: string; readonly values: readonly SqlValue[] }): void
  describe(message: { readonly type: 'P'; readonly name: string }): void
  execute(message: { readonly portal: string; readonly rows: number }): void
  close(message: { readonly type: 'S'; readonly name: string }): void
  sync(): void
  sendCopyFail(why: string): void
}

/** A statement that keeps the texts of its rows as they came, and none that passes its bounds: a large result never fills the memory. */
export class Statement implements pg.Submittable {
  readonly text: string
  readonly #values: readonly SqlValue[]
  readonly #bounds: ResultBounds
  readonly #prepared: PreparedStatements | undefined
  /** Prepared by it. */
  #name = ''
  /** True when it was prepared before. */
  reused = false
  #sent = false
  #begun = 0
  /** What travels behind it. */
  next: Statement | undefined
  /** Called when the next one's turn has come. */
  onOver: (() => void) | undefined
  /** How long Postgres took for it, in milliseconds. */
  tookMs = 0
  #columns: SqlOutcome['columns'] = []
  #rows: SqlValue[][] = []
  #taker: RowTaker | undefined
  #count = 0
  #bytes = 0
  #tag = ''
  #failure: unknown
  #resolve!: (outcome: SqlOutcome) => void
  #reject!: (error: unknown) => void
  /** What it gave; rejects with what the driver throws, and {@link ResultTooLarge}. */
  readonly outcome = new Promise<SqlOutcome>((resolve, reject) => {
    this.#resolve = resolve
    this.#reject = reject
  })

  /** @param prepared - what its connection has prepared; undefined: it shall not be. */
  constructor(text: string, values: readonly SqlValue[], bounds: ResultBounds, prepared: PreparedStatements | undefined) {
    this.text = text
    this.#values = values
    this.#bounds = bounds
    this.#prepared = prepared
  }

  /** Writes it to Postgres, and those after it: they need not wait for its answer to be on their way. */
  submit(connection: pg.Connection): void {
    this.#begun = performance.now()
    if (this.#sent) return
    const wire = connection as unknown as Wire
    wire.stream.cork()
    try {
      for (let each: Statement | undefined = this; each; each = each.next) each.#write(wire)
    } finally {
      wire.stream.uncork()
    }
  }

  #write(wire: Wire): void {
    this.#sent = true
    const known = this.#prepared?.find(this.text)
    this.reused = known !== undefined
    if (known) this.#columns = known.columns
    else {
      this.#name = this.#prepared?.nameFor(this.text) ?? ''
      if (this.#name !== '') for (const name of this.#prepared!.takeDropped()) wire.close({ type: 'S', name })
      wire.parse({ name: this.#name, text: this.text })
    }
    wire.bind({ portal: '', statement: known?.name ?? this.#name, values: this.#values })
    if (!known) wire.describe({ type: 'P', name: '' })
    wire.execute({ portal: '', rows: 0 })
    wire.sync()
  }

  handleRowDescription({ fields }: { readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[] }): void {
    this.#columns = fields.map(({ name, dataTypeID }) => ({ name, type: dataTypeID }))
  }

  handleDataRow(row: RowMessage): void {
    this.#bytes += row.length
    if (this.#failure) return
    if (this.#count === 0) this.#taker = this.#bounds.taker?.(this.#columns)
    this.#count++
    if (this.#count > this.#bounds.rows) this.#failure = new ResultTooLarge('rows')
    else if (this.#bytes > this.#bounds.bytes) this.#failure = new ResultTooLarge('bytes')
    else if (this.#taker) this.#taker.add(row)
    else this.#rows.push(row.fields)
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#tag = text
    if (this.#name !== '') this.#prepared!.keep(this.text, this.#name, this.#columns)
  }

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}

  handleCopyInResponse(connection: pg.Connection): void {
    const wire = connection as unknown as Wire
    wire.sendCopyFail(copyRefused)
  }

  handleCopyData(): void {}

  handleError(error: unknown): void {
    if (this.#name !== '') this.#prepared!.forget(this.text, this.#name)
    this.#reject(error)
    this.onOver?.()
  }

  handleReadyForQuery(): void {
    this.tookMs = performance.now() - this.#begun
    if (this.#failure) this.#reject(this.#failure)
    const affected = Number(/\d+$/.exec(this.#tag)?.[0] ?? 0)
    const command = this.#tag.replace(/[ \d]+$/, '')
    this.#resolve({ columns: this.#columns, rows: this.#rows, ...(this.#taker && { json: this.#taker.end() }), affected, command })
    this.onOver?.()
  }
}
