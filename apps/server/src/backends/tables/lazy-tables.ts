import { resolve } from 'node:path'
import type { Login, ResultBounds, SqlOutcome, SqlValue, TableConnection, TableDatabase } from '../../domain/tables/backend.ts'
import { MillraceError } from '../../errors.ts'

/** Connections of one server to a Postgres of tables, at a time. */
const connections = 32

/** What says where tables are. */
export interface TablesPlace {
  /** `pglite:`, `pglite:DIR` or `postgres://…`. */
  readonly tables: string
  /** The server's data directory. */
  readonly data: string
  /** Longest statement, in milliseconds. */
  readonly tablesTimeout: number
}

/** The tables' Postgres, opened with the first call: a server whose tables nobody uses neither loads nor starts it. */
export class LazyTables implements TableDatabase {
  readonly #place: TablesPlace
  #opened: Promise<TableDatabase> | undefined
  #closed = false

  constructor(place: TablesPlace) {
    this.#place = place
  }

  async asServer<T>(work: (connection: TableConnection) => Promise<T>): Promise<T> {
    return (await this.#open()).asServer(work)
  }

  async asRole<T>(login: Login, work: (connection: TableConnection) => Promise<T>, raw?: boolean): Promise<T> {
    return (await this.#open()).asRole(login, work, raw)
  }

  async read(login: Login, text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome> {
    return (await this.#open()).read(login, text, values, bounds)
  }

  async insert(login: Login, text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome> {
    return (await this.#open()).insert(login, text, values, bounds)
  }

  forget(role: string): void {
    void this.#opened?.then((database) => database.forget(role))
  }

  async listen(onSaid: (said: string | undefined) => void): Promise<void> {
    return (await this.#open()).listen(onSaid)
  }

  async check(): Promise<void> {
    // PGlite takes seconds to start: nobody starts it by asking how it is.
    if (this.#opened || this.#place.tables.startsWith('postgres')) await (await this.#open()).check()
  }

  async close(): Promise<void> {
    this.#closed = true
    await (await this.#opened)?.close()
  }

  #open(): Promise<TableDatabase> {
    if (this.#closed) throw new MillraceError('UNAVAILABLE', 'The server is stopping. Connect again.')
    this.#opened ??= open(this.#place)
    return this.#opened
  }
}

async function open({ tables, data, tablesTimeout: timeoutMs }: TablesPlace): Promise<TableDatabase> {
  if (tables.startsWith('postgres')) {
    const { PostgresTables } = await import('./postgres/open.ts')
    return new PostgresTables({ url: tables, timeoutMs, connections })
  }
  const { PgliteDatabase } = await import('./pglite/open.ts')
  return new PgliteDatabase({ directory: resolve(tables.slice('pglite:'.length) || `${data}/tables`), timeoutMs })
}
