import { resolve } from 'node:path'
import type {
  AnalyticsBackend,
  DatabaseCopy,
  DatabaseInfo,
  DatabaseRef,
  ExportedFile,
  ExportedRows,
  ImportedFile,
  QueryBounds,
  RestoredDatabase,
  RowStream,
  SqlStatement,
  StagedFile,
} from '../../../domain/analytics/backend.ts'
import { invalid, MillraceError, notFound } from '../../../errors.ts'
import { quoted, readStatistics, readTables, statisticsQuery, tableQuery, tablesQuery } from './catalog.ts'
import { Directories } from './directories.ts'
import type { HostInput, HostLimits, HostOperation, HostOutput } from './host/protocol.ts'
import { HostProcess } from './host-process.ts'
import { Uploads } from './uploads.ts'
import { WholeFiles } from './whole-files.ts'

/** Databases as files of DuckDB's in one directory of this server's disk. */
export async function openDuckdbBackend({ directory, ...limits }: HostLimits & { readonly directory: string }): Promise<AnalyticsBackend> {
  const root = resolve(directory)
  const directories = new Directories(root)
  await directories.tidy()
  return new DuckdbBackend(directories, root, limits)
}

class DuckdbBackend implements AnalyticsBackend {
  readonly #directories: Directories
  readonly #host: HostProcess
  readonly #uploads: Uploads
  readonly #files: WholeFiles
  /** By directory, the end of what makes it another one. */
  readonly #changing = new Map<string, Promise<void>>()

  constructor(directories: Directories, root: string, limits: HostLimits) {
    this.#directories = directories
    this.#host = new HostProcess(root, limits)
    this.#uploads = new Uploads(root, limits.spill)
    this.#files = new WholeFiles(root, limits)
  }

  async create(ref: DatabaseRef, metadata: Readonly<Record<string, string>>, now: number): Promise<boolean> {
    if (await this.info(ref)) return false
    const making = await this.#directories.begin(ref, metadata, now)
    await this.#host.call('create', { at: making })
    return this.#directories.finish(ref, making)
  }

  async list(scope: DatabaseRef['scope'], page: { readonly after: string; readonly limit: number }): Promise<readonly DatabaseInfo[]> {
    const names = await this.#directories.list(scope, page.after, page.limit)
    const found = await Promise.all(names.map((name) => this.info({ scope, name })))
    return found.filter((info) => info !== undefined)
  }

  info(ref: DatabaseRef): Promise<DatabaseInfo | undefined> {
    return this.#directories.info(ref)
  }

  drop(ref: DatabaseRef): Promise<boolean> {
    return this.#change(ref, () => this.#directories.drop(ref))
  }

  async copy(ref: DatabaseRef, signal: AbortSignal): Promise<DatabaseCopy> {
    const info = await this.info(ref)
    if (!info) throw absent(ref.name)
    const to = await this.#directories.begin(ref, info.metadata, info.createdAt)
    const remove = (): Promise<void> => this.#directories.abandon(to)
    try {
      await this.#call('copy', ref, { to }, signal)
      return { metadata: info.metadata, size: await this.#files.size(to), read: () => this.#files.read(to), remove }
    } catch (error) {
      await remove()
      throw error
    }
  }

  async restore(ref: DatabaseRef, { metadata, now, bytes, replace, path }: RestoredDatabase, signal: AbortSignal): Promise<boolean> {
    const making = await this.#directories.begin(ref, metadata, now)
    try {
      await this.#files.write(making, bytes)
      await this.#files.verify(making, path, signal)
      if (!replace) return await this.#directories.finish(ref, making)
      await this.#change(ref, () => this.#directories.replace(ref, making))
      return true
    } catch (error) {
      await this.#directories.abandon(making)
      throw error
    }
  }

  async release(ref: DatabaseRef): Promise<void> {
    if (this.#host.isRunning) await this.#host.call('release', { at: this.#directories.of(ref) })
  }

  execute(ref: DatabaseRef, statements: readonly SqlStatement[], signal: AbortSignal): Promise<readonly number[]> {
    return this.#call('execute', ref, { statements }, signal)
  }

  query(ref: DatabaseRef, statement: SqlStatement, bounds: QueryBounds, signal: AbortSignal) {
    return this.#call('query', ref, { statement, bounds }, signal)
  }

  explain(ref: DatabaseRef, statement: SqlStatement, analyze: boolean, signal: AbortSignal): Promise<string> {
    return this.#call('explain', ref, { statement, analyze }, signal)
  }

  async stream(ref: DatabaseRef, statement: SqlStatement, signal: AbortSignal): Promise<RowStream> {
    const { stream, columns } = await this.#call('open', ref, { statement }, signal)
    const next = () => this.#host.call('next', { stream }, signal)
    // While one batch is on its way the next is made.
    let ahead = next()
    ahead.catch(() => undefined)
    return {
      columns,
      async next() {
        const batch = await ahead
        if (batch) {
          ahead = next()
          ahead.catch(() => undefined)
        }
        return batch
      },
      // The process may have ended, and the stream with it.
      close: () => this.#host.call('end', { stream }).catch(() => undefined),
    }
  }

  async createTable(
    ref: DatabaseRef,
    { name, columns, ifNotExists }: Parameters<AnalyticsBackend['createTable']>[1],
    signal: AbortSignal,
  ): Promise<void> {
    const lines = columns.map((column, i) => {
      if (!isType(column.type)) throw invalid(`columns[${i}].type`, `${JSON.stringify(column.type.slice(0, 64))} is not a type of SQL`)
      return `${quoted(column.name)} ${column.type}${column.notNull ? ' NOT NULL' : ''}`
    })
    const keys = columns.filter(({ primaryKey }) => primaryKey).map((column) => quoted(column.name))
    if (keys.length > 0) lines.push(`PRIMARY KEY (${keys.join(', ')})`)
    const sql = `CREATE TABLE ${ifNotExists ? 'IF NOT EXISTS ' : ''}${quoted(name)} (${lines.join(', ')})`
    // As a tenant's, with all checks: types are text.
    await this.execute(ref, [{ sql, parameters: '', path: 'columns' }], signal)
  }

  async createView(ref: DatabaseRef, view: Parameters<AnalyticsBackend['createView']>[1], signal: AbortSignal): Promise<void> {
    // What is no query by itself cannot end the statement that it becomes part of.
    await this.explain(ref, { sql: view.sql, parameters: '', path: 'sql' }, false, signal)
    const sql = `CREATE ${view.replace ? 'OR REPLACE ' : ''}VIEW ${quoted(view.name)} AS ${view.sql}`
    await this.execute(ref, [{ sql, parameters: '', path: 'sql' }], signal)
  }

  async tables(ref: DatabaseRef, page: Parameters<AnalyticsBackend['tables']>[1], signal: AbortSignal) {
    return readTables(await this.#call('catalog', ref, tablesQuery(page), signal))
  }

  async table(ref: DatabaseRef, name: string, signal: AbortSignal) {
    return readTables(await this.#call('catalog', ref, tableQuery(name), signal))[0]
  }

  async statistics(ref: DatabaseRef, name: string, signal: AbortSignal) {
    return readStatistics(await this.#call('catalog', ref, statisticsQuery(name), signal))
  }

  async dropTable(ref: DatabaseRef, name: string, kind: 'table' | 'view', signal: AbortSignal): Promise<void> {
    const sql = `DROP ${kind === 'view' ? 'VIEW' : 'TABLE'} ${quoted(name)}`
    await this.execute(ref, [{ sql, parameters: '', path: kind }], signal)
  }

  async writeUpload(ref: DatabaseRef, part: Parameters<AnalyticsBackend['writeUpload']>[1], signal: AbortSignal): Promise<number> {
    return this.#uploads.write(await this.#call('staging', ref, {}, signal), part)
  }

  async importUpload(ref: DatabaseRef, file: ImportedFile, signal: AbortSignal): Promise<number> {
    const staging = await this.#call('staging', ref, {}, signal)
    await this.#uploads.expect(staging, file)
    try {
      return await this.#call('load', ref, { file }, signal)
    } finally {
      await this.#uploads.remove(staging, file.upload)
    }
  }

  async queryUpload(ref: DatabaseRef, file: StagedFile, statement: SqlStatement, bounds: QueryBounds, signal: AbortSignal) {
    await this.#uploads.expect(await this.#call('staging', ref, {}, signal), file)
    return this.#call('query', ref, { statement, bounds, file }, signal)
  }

  async exportUpload(ref: DatabaseRef, rows: ExportedRows, file: ExportedFile, signal: AbortSignal): Promise<number> {
    const statement = 'table' in rows ? { sql: `FROM ${quoted(rows.table)}`, parameters: '', path: 'table' } : rows.statement
    return this.#call('export', ref, { statement, file }, signal)
  }

  async *readUpload(ref: DatabaseRef, upload: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const staging = await this.#call('staging', ref, {}, signal)
    for await (const bytes of this.#uploads.read(staging, upload)) {
      signal.throwIfAborted()
      yield bytes
    }
  }

  async dropUpload(ref: DatabaseRef, upload: string): Promise<void> {
    await this.#uploads.remove(await this.#call('staging', ref, {}), upload)
  }

  check(): Promise<void> {
    return this.#directories.check()
  }

  close(): Promise<void> {
    return this.#host.close()
  }

  /** Does something with a database. Where there is none there is no directory either, and DuckDB makes no file. */
  async #call<O extends HostOperation>(
    operation: O,
    ref: DatabaseRef,
    input: Omit<HostInput<O>, 'at'>,
    signal?: AbortSignal,
  ): Promise<HostOutput<O>> {
    const at = this.#directories.of(ref)
    while (this.#changing.has(at)) await this.#changing.get(at)
    try {
      return await this.#host.call(operation, { ...input, at } as unknown as HostInput<O>, signal)
    } catch (error) {
      signal?.throwIfAborted()
      throw (await this.#directories.has(ref)) ? error : absent(ref.name)
    }
  }

  /** Closes a database, and has nobody open it again before its directory is another. */
  async #change<T>(ref: DatabaseRef, work: () => Promise<T>): Promise<T> {
    const at = this.#directories.of(ref)
    while (this.#changing.has(at)) await this.#changing.get(at)
    const changing = this.release(ref).then(work)
    const over = changing.then(
      () => void this.#changing.delete(at),
      () => void this.#changing.delete(at),
    )
    this.#changing.set(at, over)
    return changing
  }
}

/** Letters, digits, blanks and what types are made with: no text of this kind leaves its place in CREATE TABLE. */
function isType(type: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_ (),.[\]"']*$/.test(type) || type.length > 1000) return false
  let depth = 0
  for (const [char] of type.replace(/"[^"]*"|'[^']*'/g, '').matchAll(/[()'",]/g)) {
    if (char === '(') depth++
    else if (char === ')') depth--
    // A comma outside of parentheses begins another column.
    else if (char !== ',' || depth === 0) return false
    if (depth < 0) return false
  }
  return depth === 0 && !/\b(?:default|check|references|generated|as|primary|unique|collate)\b/i.test(type)
}

function absent(name: string): MillraceError {
  const error = notFound('database', name)
  return new MillraceError(
    'NOT_FOUND',
    `${error.message} Each database is on the disk of one server: with several, ask the one that made it.`,
    {
      resource: 'database',
      id: name,
    },
  )
}
