import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { MillraceError } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'
import type {
  AnalyticsBackend,
  DatabaseInfo,
  DatabaseRef,
  ExportedFile,
  ExportedRows,
  ImportedFile,
  QueryBounds,
  QueryResult,
  RowBatch,
  SqlStatement,
  StagedFile,
  TableInfo,
  TableStatistics,
} from './backend.ts'
import { type BackupFile, readBackup, writeBackup } from './backup-file.ts'
import { OpenDatabases } from './open-databases.ts'

/** What databases stand on. */
export interface AnalyticsOptions {
  readonly backend: AnalyticsBackend
  readonly clock: Clock
  /** Databases open at a time. */
  readonly open: number
  /** How long one that nobody uses stays open, in milliseconds. */
  readonly idleMs: number
  /** Longest time of a statement, in milliseconds. */
  readonly timeoutMs: number
  readonly onError: (error: unknown) => void
}

/** One caller's wish: which database, how long at most, and what ends it. */
export interface Use {
  readonly ref: DatabaseRef
  /** 0: the server's limit. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** What is known of bytes once they are where the database can read them. */
type Staged = Pick<StagedFile, 'upload' | 'size'>

/** Analytical databases as the services use them. What is not said here is said at {@link AnalyticsBackend}. */
export class Analytics {
  readonly #backend: AnalyticsBackend
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #open: OpenDatabases

  constructor({ backend, clock, open, idleMs, timeoutMs, onError }: AnalyticsOptions) {
    this.#backend = backend
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#open = new OpenDatabases({ clock, most: open, idleMs, release: (ref) => backend.release(ref), onError })
  }

  async create(ref: DatabaseRef, metadata: Readonly<Record<string, string>>): Promise<{ info: DatabaseInfo; created: boolean }> {
    const created = await this.#backend.create(ref, metadata, this.#clock.now())
    const info = await this.#backend.info(ref)
    if (!info) throw new MillraceError('CONFLICT', `The database '${ref.name}' was dropped while it was made.`)
    return { info, created }
  }

  list(scope: Scope, page: { readonly after: string; readonly limit: number }): Promise<readonly DatabaseInfo[]> {
    return this.#backend.list(scope, page)
  }

  info(ref: DatabaseRef): Promise<DatabaseInfo | undefined> {
    return this.#backend.info(ref)
  }

  drop(ref: DatabaseRef): Promise<boolean> {
    return this.#backend.drop(ref)
  }

  execute(use: Use, statements: readonly SqlStatement[]): Promise<readonly number[]> {
    return this.#within(use, (signal) => this.#backend.execute(use.ref, statements, signal))
  }

  query(use: Use, statement: SqlStatement, bounds: QueryBounds): Promise<QueryResult> {
    return this.#within(use, (signal) => this.#backend.query(use.ref, statement, bounds, signal))
  }

  explain(use: Use, statement: SqlStatement, analyze: boolean): Promise<string> {
    return this.#within(use, (signal) => this.#backend.explain(use.ref, statement, analyze, signal))
  }

  /** Columns first, then rows. Its time is that of one batch: it begins anew when a batch is taken. */
  async *stream(use: Use, statement: SqlStatement): AsyncGenerator<QueryResult['columns'] | RowBatch, void, undefined> {
    const done = await this.#open.use(use.ref)
    const timed = this.#timed(use)
    try {
      const rows = await this.#backend.stream(use.ref, statement, timed.signal)
      try {
        yield rows.columns
        for (;;) {
          timed.restart()
          const batch = await rows.next()
          if (!batch) return
          yield batch
        }
      } finally {
        await rows.close()
      }
    } finally {
      timed.stop()
      done()
    }
  }

  async createTable(use: Use, table: Parameters<AnalyticsBackend['createTable']>[1]): Promise<TableInfo> {
    await this.#within(use, (signal) => this.#backend.createTable(use.ref, table, signal))
    return this.#expect(use, table.name)
  }

  async createView(use: Use, view: Parameters<AnalyticsBackend['createView']>[1]): Promise<TableInfo> {
    await this.#within(use, (signal) => this.#backend.createView(use.ref, view, signal))
    return this.#expect(use, view.name)
  }

  tables(use: Use, page: Parameters<AnalyticsBackend['tables']>[1]): Promise<readonly TableInfo[]> {
    return this.#within(use, (signal) => this.#backend.tables(use.ref, page, signal))
  }

  table(use: Use, name: string): Promise<TableInfo | undefined> {
    return this.#within(use, (signal) => this.#backend.table(use.ref, name, signal))
  }

  async statistics(use: Use, name: string): Promise<TableStatistics> {
    await this.#expect(use, name)
    return this.#within(use, (signal) => this.#backend.statistics(use.ref, name, signal))
  }

  /** @returns false when there was none. */
  async dropTable(use: Use, name: string, kind: 'table' | 'view'): Promise<boolean> {
    const found = await this.table(use, name)
    if (!found || found.isView !== (kind === 'view')) return false
    await this.#within(use, (signal) => this.#backend.dropTable(use.ref, name, kind, signal))
    return true
  }

  writeUpload(use: Use, part: Parameters<AnalyticsBackend['writeUpload']>[1]): Promise<number> {
    return this.#within(use, (signal) => this.#backend.writeUpload(use.ref, part, signal))
  }

  importUpload(use: Use, file: ImportedFile): Promise<number> {
    return this.#within(use, (signal) => this.#backend.importUpload(use.ref, file, signal))
  }

  /** Makes rows of bytes, as they come from somewhere else. */
  importBytes(use: Use, source: AsyncIterable<Uint8Array>, file: Omit<ImportedFile, keyof Staged>): Promise<number> {
    return this.#stage(use, source, (staged, signal) => this.#backend.importUpload(use.ref, { ...file, ...staged }, signal))
  }

  /** Answers a query for which bytes, as they come from somewhere else, are the table `object`. */
  queryBytes(
    use: Use,
    source: AsyncIterable<Uint8Array>,
    file: Omit<StagedFile, keyof Staged>,
    { statement, bounds }: { readonly statement: SqlStatement; readonly bounds: QueryBounds },
  ): Promise<QueryResult> {
    return this.#stage(use, source, (staged, signal) =>
      this.#backend.queryUpload(use.ref, { ...file, ...staged }, statement, bounds, signal),
    )
  }

  /**
   * Writes rows into a file and hands on its bytes.
   *
   * @param take - takes them to where they belong.
   */
  exportBytes<T>(
    use: Use,
    rows: ExportedRows,
    format: ExportedFile['format'],
    take: (bytes: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<{ readonly rows: number; readonly taken: T }> {
    return this.#within(use, async (signal) => {
      if ('table' in rows) await this.#expect(use, rows.table)
      const upload = newUpload()
      try {
        const written = await this.#backend.exportUpload(use.ref, rows, { upload, format }, signal)
        return { rows: written, taken: await take(this.#backend.readUpload(use.ref, upload, signal)) }
      } finally {
        await this.#forget(use, upload)
      }
    })
  }

  /**
   * Makes a backup of a database and hands it on. Its time is the longest one without progress.
   *
   * @param take - takes it to where it belongs.
   */
  backup<T>(use: Use, take: (file: BackupFile) => Promise<T>): Promise<T> {
    return this.#within(use, async (signal, progress) => {
      const { metadata, size, read, remove } = await this.#backend.copy(use.ref, signal)
      try {
        const header = { database: use.ref.name, metadata, takenAt: this.#clock.now(), size }
        return await take(writeBackup(header, watched(read(), signal, progress)))
      } finally {
        await remove()
      }
    })
  }

  /**
   * Makes a database of a backup. Its time is the longest one without progress.
   *
   * @param path - the field of the request that names the backup, for errors.
   * @throws ALREADY_EXISTS unless it is to be replaced, VALIDATION when the backup is none.
   */
  async restore(use: Use, source: AsyncIterable<Uint8Array>, { replace, path }: { readonly replace: boolean; readonly path: string }) {
    const { ref } = use
    const timed = this.#timed(use)
    try {
      if (!replace && (await this.#backend.info(ref))) throw alreadyThere(ref.name)
      const { header, database } = await readBackup(source, path)
      const bytes = watched(database, timed.signal, timed.restart)
      const restored = { metadata: header.metadata, now: this.#clock.now(), bytes, replace, path }
      if (!(await this.#backend.restore(ref, restored, timed.signal))) throw alreadyThere(ref.name)
    } finally {
      timed.stop()
    }
    const info = await this.#backend.info(ref)
    if (!info) throw new MillraceError('CONFLICT', `The database '${ref.name}' was dropped while it was made.`)
    return info
  }

  /** Rejects when databases cannot be used: with what to do about it. */
  check(): Promise<void> {
    return this.#backend.check()
  }

  async close(): Promise<void> {
    this.#open.close()
    await this.#backend.close()
  }

  async #expect(use: Use, name: string): Promise<TableInfo> {
    const table = await this.table(use, name)
    if (table) return table
    throw new MillraceError('NOT_FOUND', `There is no table or view '${name}' in '${use.ref.name}'.`, { resource: 'table', id: name })
  }

  /** Brings bytes to where the database can read them, for as long as it does something with them. */
  #stage<T>(use: Use, source: AsyncIterable<Uint8Array>, work: (staged: Staged, signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#within(use, async (signal) => {
      const upload = newUpload()
      try {
        let size = await this.#backend.writeUpload(use.ref, { upload, offset: 0, data: new Uint8Array() }, signal)
        for await (const data of inParts(source)) size = await this.#backend.writeUpload(use.ref, { upload, offset: size, data }, signal)
        return await work({ upload, size }, signal)
      } finally {
        await this.#forget(use, upload)
      }
    })
  }

  async #forget({ ref }: Use, upload: string): Promise<void> {
    // With a database that was dropped its files are gone already.
    await this.#backend.dropUpload(ref, upload).catch(() => undefined)
  }

  async #within<T>(use: Use, work: (signal: AbortSignal, progress: () => void) => Promise<T>): Promise<T> {
    const done = await this.#open.use(use.ref)
    const timed = this.#timed(use)
    try {
      return await work(timed.signal, timed.restart)
    } finally {
      timed.stop()
      done()
    }
  }

  /** A signal that aborts when the caller's does, or when its time is over. */
  #timed({ timeoutMs, signal }: Use): { readonly signal: AbortSignal; restart(): void; stop(): void } {
    const ms = timeoutMs === 0 ? this.#timeoutMs : Math.min(timeoutMs, this.#timeoutMs)
    const late = new AbortController()
    const message = `It took longer than ${ms} ms. Give it more time (timeout; the server allows ${this.#timeoutMs} ms), or narrow it down.`
    const start = () => this.#clock.timer(ms, () => late.abort(new MillraceError('DEADLINE_EXCEEDED', message)))
    let cancel = start()
    return {
      signal: AbortSignal.any([signal, late.signal]),
      restart() {
        cancel()
        cancel = start()
      },
      stop: () => cancel(),
    }
  }
}

/** Bytes of one part of a file that is brought to where the database can read it. */
const partBytes = 1024 * 1024

/** Bytes in parts that are worth the way. */
async function* inParts(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let gathered: Uint8Array[] = []
  let size = 0
  for await (const bytes of source) {
    gathered.push(bytes)
    size += bytes.length
    if (size < partBytes) continue
    yield Buffer.concat(gathered, size)
    gathered = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(gathered, size)
}

/** Bytes on their way: they end with the signal, and each is progress. */
async function* watched(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal, progress: () => void) {
  for await (const some of bytes) {
    signal.throwIfAborted()
    progress()
    yield some
  }
}

function alreadyThere(name: string): MillraceError {
  return new MillraceError(
    'ALREADY_EXISTS',
    `There is a database '${name}' already. Restore under another name, or in its place (replace).`,
  )
}

/** 128 random bits, not to be guessed. */
function newUpload(): string {
  return randomBytes(16).toString('hex')
}
