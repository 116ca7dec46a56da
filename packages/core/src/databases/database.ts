import type { ClientContext } from '../context.ts'
import { InternalError, invalid } from '../errors/errors.ts'
import type { CallOptions } from '../options.ts'
import { createList, type List } from '../page.ts'
import { missingField, toInt, toText, toTexts } from '../wire.ts'
import { fromDatabase, fromTable, toColumns } from './convert.ts'
import { importRows, toFormat, toMode } from './import.ts'
import { RowMaker } from './rows.ts'
import type {
  BackupOptions,
  BatchStatement,
  CreateDatabaseOptions,
  CreateTableOptions,
  CreateViewOptions,
  DatabaseBackup,
  DatabaseInfo,
  DatabaseTable,
  ExplainOptions,
  ExportedObject,
  ExportObjectOptions,
  ImportObjectOptions,
  ImportOptions,
  ListTablesOptions,
  NewColumn,
  ObjectSource,
  QueryOptions,
  QueryResult,
  RestoreOptions,
  SqlParameters,
  SqlRow,
  TableStatistics,
} from './types.ts'
import { encodeParameters } from './values.ts'

const noOptions = {}

/**
 * An analytical database: SQL over columns. SQL reaches this database and nothing else: no files, network, settings or other
 * databases. What is wrong with it is a `ValidationError` with its line and column.
 */
export class Database {
  readonly #context: ClientContext
  /** Its name. */
  readonly name: string

  /** @internal Use `mr.database(name)`. */
  constructor(context: ClientContext, name: string) {
    this.#context = context
    this.name = toText('name', name)
  }

  /** Makes the database. @throws ConflictError when there is one, unless `ifNotExists`. */
  async create(options: CreateDatabaseOptions = noOptions): Promise<DatabaseInfo> {
    const { metadata, ifNotExists = false } = options
    const request = { database: this.name, metadata: toTexts('metadata', metadata), ifNotExists }
    return fromDatabase((await this.#context.unsafe('DatabaseService/CreateDatabase', request, options)).database)
  }

  /** What is known of the database. @throws NotFoundError */
  async info(call?: CallOptions): Promise<DatabaseInfo> {
    return fromDatabase((await this.#context.safe('DatabaseService/GetDatabase', { database: this.name }, call)).database)
  }

  /** Deletes the database with everything in it. @returns false when there was none. */
  async drop(call?: CallOptions): Promise<boolean> {
    return (await this.#context.unsafe('DatabaseService/DropDatabase', { database: this.name }, call)).dropped
  }

  /**
   * Writes a backup, as the database is at one moment, into an object of a bucket, in the place of one that is there: whole, or not at
   * all. Calls that change something wait while the database's file is copied; queries do not.
   *
   * @param options - `timeout` is the longest time of all.
   * @throws NotFoundError when there is no such bucket or database.
   */
  backup(options: BackupOptions): Promise<DatabaseBackup> {
    return this.#context.unsafe('DatabaseService/BackupDatabase', this.#backup(options), options)
  }

  /**
   * Makes this database of a backup, with its notes: whole, or not at all. It need not have the name of the one that was backed up.
   *
   * @throws ConflictError when there is one, unless `replace`; ValidationError when the object is no backup, was cut short or changed, or
   * holds what SQL may not do; NotFoundError when there is no such object.
   */
  async restore(options: RestoreOptions): Promise<DatabaseInfo> {
    const request = { ...this.#backup(options), replace: options.replace === true }
    return fromDatabase((await this.#context.unsafe('DatabaseService/RestoreDatabase', request, options)).database)
  }

  /**
   * Makes a table.
   *
   * @param columns - by name, in order: a type in SQL, or more.
   * @throws ConflictError when there is one, unless `ifNotExists`.
   */
  async createTable(
    table: string,
    columns: Readonly<Record<string, string | NewColumn>>,
    options: CreateTableOptions = noOptions,
  ): Promise<DatabaseTable> {
    const { ifNotExists = false } = options
    const request = { database: this.name, table: toText('table', table), columns: toColumns(columns), ifNotExists }
    return fromTable((await this.#context.unsafe('DatabaseService/CreateTable', request, options)).table)
  }

  /** Lists tables by name. */
  tables(options: ListTablesOptions = noOptions): List<DatabaseTable> {
    return this.#list(1, options)
  }

  /** Lists views by name. */
  views(options: ListTablesOptions = noOptions): List<DatabaseTable> {
    return this.#list(2, options)
  }

  /** Describes a table or a view. @throws NotFoundError */
  async describe(table: string, call?: CallOptions): Promise<DatabaseTable> {
    const request = { database: this.name, table: toText('table', table) }
    return fromTable((await this.#context.safe('DatabaseService/GetTable', request, call)).table)
  }

  /** Counts rows and sums up each column of a table or a view; reads all of it. @throws NotFoundError */
  statistics(table: string, call?: CallOptions): Promise<TableStatistics> {
    const request = { database: this.name, table: toText('table', table) }
    return this.#context.safe('DatabaseService/GetTableStatistics', request, call)
  }

  /** Deletes a table with its rows. @returns false when there was none. */
  async dropTable(table: string, call?: CallOptions): Promise<boolean> {
    const request = { database: this.name, table: toText('table', table) }
    return (await this.#context.unsafe('DatabaseService/DropTable', request, call)).dropped
  }

  /** Makes a view of a query. @throws ConflictError when there is one, unless `replace`. */
  async createView(view: string, sql: string, options: CreateViewOptions = noOptions): Promise<DatabaseTable> {
    const request = { database: this.name, view: toText('view', view), sql: toText('sql', sql), replace: options.replace === true }
    return fromTable((await this.#context.unsafe('DatabaseService/CreateView', request, options)).view)
  }

  /** Deletes a view. @returns false when there was none. */
  async dropView(view: string, call?: CallOptions): Promise<boolean> {
    const request = { database: this.name, view: toText('view', view) }
    return (await this.#context.unsafe('DatabaseService/DropView', request, call)).dropped
  }

  /**
   * Carries out one statement that changes something. It is on the disk when this resolves.
   *
   * @param parameters - a list for `?` and `$1`, an object for `$name`.
   * @returns how many rows it inserted, updated or deleted.
   * @throws ValidationError, ConflictError when a constraint or another transaction forbids it, TimeoutError, QuotaExceededError
   * when it needs more memory than it may have.
   */
  async execute(sql: string, parameters?: SqlParameters, call?: CallOptions): Promise<number> {
    const request = this.#statement(sql, parameters, call)
    return (await this.#context.unsafe('DatabaseService/ExecuteStatement', request, call)).rows
  }

  /**
   * Carries out statements in one transaction: all or none.
   *
   * @param statements - at most 10,000, as text or with parameters, carried out in this order.
   * @returns how many rows each inserted, updated or deleted.
   * @throws as `execute`.
   */
  async batch(statements: readonly (string | BatchStatement)[], call?: CallOptions): Promise<number[]> {
    if (!Array.isArray(statements)) throw invalid('statements', 'is not an array.')
    const request = {
      database: this.name,
      statements: statements.map((statement: string | BatchStatement, i) => {
        const { sql, parameters } = typeof statement === 'string' ? { sql: statement, parameters: undefined } : statement
        const path = `statements[${i}]`
        return { sql: toText(`${path}.sql`, sql), parameters: encodeParameters(`${path}.parameters`, parameters), contentType: '' }
      }),
      timeoutMs: this.#context.bounds(call).timeoutMs,
    }
    return (await this.#context.unsafe('DatabaseService/ExecuteBatch', request, call)).rows
  }

  /**
   * Answers a query with its first rows.
   *
   * Whole numbers beyond ±(2^53 - 1) are `bigint`, decimals, dates and times text, maps `Map`, blobs `Uint8Array`: nothing is rounded.
   *
   * @typeParam R - what its rows are.
   * @param parameters - a list for `?` and `$1`, an object for `$name`.
   * @throws ValidationError, TimeoutError, QuotaExceededError when it needs more memory than it may have.
   */
  async query<R = SqlRow>(sql: string, parameters?: SqlParameters, options: QueryOptions = noOptions): Promise<QueryResult<R>> {
    const request = { ...this.#statement(sql, parameters, options), limit: toInt('limit', options.limit) }
    const { columns, values, rows, more } = await this.#context.safe('DatabaseService/QueryRows', request, options)
    return { rows: new RowMaker<R>(columns).make(rows, values), columns, more }
  }

  /**
   * Answers a query of any size, row by row; the server makes rows as fast as they are read. It is not gone on with after a break.
   *
   * @typeParam R - what its rows are.
   * @param call - `timeout` is the longest wait for rows, not the time of all. Default: the client's.
   * @throws as `query`.
   */
  async *queryStream<R = SqlRow>(sql: string, parameters?: SqlParameters, call?: CallOptions): AsyncGenerator<R, void, undefined> {
    for await (const rows of this.queryBatches<R>(sql, parameters, call)) yield* rows
  }

  /** As `queryStream`, with rows as they come: many at a time, which costs less for each. */
  async *queryBatches<R = SqlRow>(sql: string, parameters?: SqlParameters, call?: CallOptions): AsyncGenerator<R[], void, undefined> {
    const request = this.#statement(sql, parameters, call)
    let maker: RowMaker<R> | undefined
    for await (const { columns, rows, values } of this.#context.transport.serverStream('DatabaseService/StreamRows', request, {
      signal: call?.signal,
    })) {
      maker ??= new RowMaker<R>(columns)
      if (rows > 0) yield maker.make(rows, values)
    }
    if (!maker) throw new InternalError(missingField('the columns'))
  }

  /**
   * Imports rows, all or none, from whatever can be read piece by piece: bytes or text of a file, or objects. What has come is on the
   * server's disk, so that neither side holds more than a part.
   *
   * @param table - where they go.
   * @param source - a file's bytes or text, as a stream gives them, or objects, whose fields are columns; a `bigint` goes as text.
   * @param options - `timeout` is the longest time of each part, and of the import at the end.
   * @returns how many rows were imported.
   * @throws ValidationError when the file cannot be read or does not fit, ConflictError, QuotaExceededError when it is larger than the
   * server takes.
   */
  importStream(
    table: string,
    source: AsyncIterable<Uint8Array | string | object> | Iterable<Uint8Array | string | object>,
    options: ImportOptions = noOptions,
  ): Promise<number> {
    return importRows(this.#context, this.name, toText('table', table), source, options)
  }

  /**
   * Imports the rows of an object of a bucket, all or none. The server reads it; its bytes do not come here.
   *
   * @param table - where they go.
   * @returns how many rows were imported.
   * @throws NotFoundError when there is no such object; else as `importStream`.
   */
  async importObject(table: string, options: ImportObjectOptions): Promise<number> {
    const request = {
      ...this.#object(options),
      table: toText('table', table),
      mode: toMode(options.mode),
      timeoutMs: this.#context.bounds(options).timeoutMs,
    }
    return (await this.#context.unsafe('DatabaseService/ImportObject', request, options)).rows
  }

  /**
   * Asks an object of a bucket without importing it: for this one query it is the table `object`, beside those of the database.
   *
   * @typeParam R - what its rows are.
   * @param sql - what reads. Default: `FROM object`.
   * @param parameters - a list for `?` and `$1`, an object for `$name`.
   * @throws NotFoundError when there is no such object; else as `query`.
   */
  async queryObject<R = SqlRow>(
    object: ObjectSource,
    sql = 'FROM object',
    parameters?: SqlParameters,
    options: QueryOptions = noOptions,
  ): Promise<QueryResult<R>> {
    const request = { ...this.#statement(sql, parameters, options), ...this.#object(object), limit: toInt('limit', options.limit) }
    const { columns, values, rows, more } = await this.#context.safe('DatabaseService/QueryObject', request, options)
    return { rows: new RowMaker<R>(columns).make(rows, values), columns, more }
  }

  /**
   * Writes rows into an object of a bucket, in the place of one that is there: whole, or not at all. The server writes it; its bytes do
   * not come here.
   *
   * @param rows - the name of a table or view, or a query.
   * @throws NotFoundError when there is no such bucket or table; QuotaExceededError when the object is larger than the server takes;
   * else as `query`.
   */
  exportObject(rows: string | BatchStatement, options: ExportObjectOptions): Promise<ExportedObject> {
    const { sql, parameters } = typeof rows === 'string' ? { sql: '', parameters: undefined } : rows
    const request = {
      ...this.#statement(sql, parameters, options),
      ...this.#object(options),
      table: typeof rows === 'string' ? toText('table', rows) : '',
    }
    return this.#context.unsafe('DatabaseService/ExportObject', request, options)
  }

  /** Says how a query would be carried out, as text for people. */
  async explain(sql: string, parameters?: SqlParameters, options: ExplainOptions = noOptions): Promise<string> {
    const request = { ...this.#statement(sql, parameters, options), analyze: options.analyze === true }
    return (await this.#context.safe('DatabaseService/ExplainQuery', request, options)).plan
  }

  #statement(sql: string, parameters: SqlParameters | undefined, call: CallOptions | undefined) {
    return {
      database: this.name,
      sql: toText('sql', sql),
      parameters: encodeParameters('parameters', parameters),
      contentType: '',
      timeoutMs: this.#context.bounds(call).timeoutMs,
    }
  }

  #object({ bucket, key, format }: ObjectSource) {
    return { database: this.name, bucket: toText('bucket', bucket), key: toText('key', key), format: toFormat(format) }
  }

  #backup(options: BackupOptions) {
    const { bucket, key } = options
    const { timeoutMs } = this.#context.bounds(options)
    return { database: this.name, bucket: toText('bucket', bucket), key: toText('key', key), timeoutMs }
  }

  #list(kind: 1 | 2, options: ListTablesOptions): List<DatabaseTable> {
    return createList(async (cursor) => {
      const request = { database: this.name, limit: toInt('limit', options.limit), cursor, kind }
      const { tables, nextCursor } = await this.#context.safe('DatabaseService/ListTables', request, options)
      return { items: tables.map(fromTable), nextCursor }
    }, options.cursor)
  }
}
