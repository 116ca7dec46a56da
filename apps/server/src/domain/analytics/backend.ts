import type { Scope } from '../../store/ports.ts'

/** Which database. */
export interface DatabaseRef {
  readonly scope: Scope
  /** Its name, checked. */
  readonly name: string
}

/** What is known of a database. */
export interface DatabaseInfo {
  readonly name: string
  readonly metadata: Readonly<Record<string, string>>
  readonly createdAt: number
  /** Bytes on the disk. */
  readonly sizeBytes: number
}

/** A statement of a tenant. */
export interface SqlStatement {
  readonly sql: string
  /** JSON of a list or an object; '' when there are none. */
  readonly parameters: string
  /** Where the statement is in the request, for errors. */
  readonly path: string
}

/** A column of a result. */
export interface ResultColumn {
  readonly name: string
  /** Its type in SQL. */
  readonly type: string
}

/** Rows of a result. */
export interface RowBatch {
  readonly rows: number
  /** JSON: one list for each column. */
  readonly values: Uint8Array
}

/** The first rows of a result. */
export interface QueryResult extends RowBatch {
  readonly columns: readonly ResultColumn[]
  /** There are more. */
  readonly more: boolean
}

/** A result that is read as it is made. */
export interface RowStream {
  readonly columns: readonly ResultColumn[]
  /** The next rows; undefined when there are no more. */
  next(): Promise<RowBatch | undefined>
  /** Ends the query. */
  close(): Promise<void>
}

/** A column of a table. */
export interface TableColumn {
  readonly name: string
  readonly type: string
  readonly notNull: boolean
  readonly primaryKey: boolean
  readonly defaultValue: string
}

/** A table or a view. */
export interface TableInfo {
  readonly name: string
  readonly isView: boolean
  readonly columns: readonly TableColumn[]
  readonly estimatedRows: number
}

/** What a table holds. */
export interface TableStatistics {
  readonly rows: number
  readonly columns: readonly {
    readonly name: string
    readonly type: string
    readonly min: string
    readonly max: string
    readonly approximateDistinct: number
    readonly nullPercentage: number
  }[]
}

/** A file that has come whole. */
export interface StagedFile {
  /** Names what was uploaded. */
  readonly upload: string
  /** Its bytes, all of them. */
  readonly size: number
  readonly format: 'csv' | 'parquet' | 'json'
  /** The field of the request that names it, for errors. */
  readonly path: string
}

/** Whose rows are written into a file: those of a table or view, or of a query. */
export type ExportedRows = { readonly table: string } | { readonly statement: SqlStatement }

/** A file that is written. */
export interface ExportedFile {
  /** Names it, as an upload. */
  readonly upload: string
  /** `json` is a list, `ndjson` an object on each line. */
  readonly format: StagedFile['format'] | 'ndjson'
}

/** A file whose rows are imported. */
export interface ImportedFile extends StagedFile {
  readonly table: string
  readonly mode: 'create' | 'append' | 'replace'
}

/** A copy of a database, as it was at one moment. */
export interface DatabaseCopy {
  readonly metadata: DatabaseInfo['metadata']
  /** Bytes of it. */
  readonly size: number
  read(): AsyncIterable<Uint8Array>
  /** Forgets it. */
  remove(): Promise<void>
}

/** A database that is made of the bytes of a copy. */
export interface RestoredDatabase {
  readonly metadata: DatabaseInfo['metadata']
  readonly now: number
  readonly bytes: AsyncIterable<Uint8Array>
  /** It takes the place of one that is there. */
  readonly replace: boolean
  /** The field of the request that names the bytes, for errors. */
  readonly path: string
}

/** How far a query may go. */
export interface QueryBounds {
  /** Rows. */
  readonly limit: number
  /** Bytes of the values. */
  readonly bytes: number
}

/**
 * Where databases are. Operations end early when their signal aborts, and then reject with its reason. What is wrong with a
 * tenant's SQL is a VALIDATION error with the place in it.
 */
export interface AnalyticsBackend {
  /** Makes a database; false when there is one. All or nothing, also when the server is killed. */
  create(ref: DatabaseRef, metadata: Readonly<Record<string, string>>, now: number): Promise<boolean>
  /** Names and notes, in the order of the names. */
  list(scope: Scope, page: { readonly after: string; readonly limit: number }): Promise<readonly DatabaseInfo[]>
  info(ref: DatabaseRef): Promise<DatabaseInfo | undefined>
  /** Deletes a database; false when there was none. Queries under way end. */
  drop(ref: DatabaseRef): Promise<boolean>
  /** Copies a database. Who changes something waits meanwhile; who reads does not. */
  copy(ref: DatabaseRef, signal: AbortSignal): Promise<DatabaseCopy>
  /**
   * Makes a database of the bytes of a copy, wherever they come from: it is let in when it can be read to its end and holds nothing
   * that a tenant's SQL may not name. All or nothing, also when the server is killed.
   *
   * @returns false when there is one.
   * @throws VALIDATION when the bytes are no such database.
   */
  restore(ref: DatabaseRef, restored: RestoredDatabase, signal: AbortSignal): Promise<boolean>
  /** Lets go of the file and memory of a database that nobody uses; it is opened again when it is. */
  release(ref: DatabaseRef): Promise<void>

  /** Carries out statements in one transaction. @returns rows changed by each, once they are on the disk. */
  execute(ref: DatabaseRef, statements: readonly SqlStatement[], signal: AbortSignal): Promise<readonly number[]>
  query(ref: DatabaseRef, statement: SqlStatement, bounds: QueryBounds, signal: AbortSignal): Promise<QueryResult>
  /** The signal ends the stream, too, at any time. */
  stream(ref: DatabaseRef, statement: SqlStatement, signal: AbortSignal): Promise<RowStream>
  explain(ref: DatabaseRef, statement: SqlStatement, analyze: boolean, signal: AbortSignal): Promise<string>

  /** @throws ALREADY_EXISTS */
  createTable(
    ref: DatabaseRef,
    table: { readonly name: string; readonly columns: readonly TableColumn[]; readonly ifNotExists: boolean },
    signal: AbortSignal,
  ): Promise<void>
  /** @throws ALREADY_EXISTS */
  createView(
    ref: DatabaseRef,
    view: { readonly name: string; readonly sql: string; readonly replace: boolean },
    signal: AbortSignal,
  ): Promise<void>
  /** Tables and views in the order of their names, from after a name on. */
  tables(
    ref: DatabaseRef,
    page: { readonly after: string; readonly limit: number; readonly kind?: 'table' | 'view' },
    signal: AbortSignal,
  ): Promise<readonly TableInfo[]>
  table(ref: DatabaseRef, name: string, signal: AbortSignal): Promise<TableInfo | undefined>
  statistics(ref: DatabaseRef, name: string, signal: AbortSignal): Promise<TableStatistics>
  dropTable(ref: DatabaseRef, name: string, kind: 'table' | 'view', signal: AbortSignal): Promise<void>

  /**
   * Writes a part of a file, which stays until the database is released.
   *
   * @returns the bytes of the file so far.
   * @throws FAILED_PRECONDITION when the parts before it are not there, QUOTA_EXCEEDED
   */
  writeUpload(
    ref: DatabaseRef,
    part: { readonly upload: string; readonly offset: number; readonly data: Uint8Array },
    signal: AbortSignal,
  ): Promise<number>
  /**
   * Makes rows of a file, in one transaction. The file is gone afterwards, whatever became of it.
   *
   * @returns the rows.
   * @throws FAILED_PRECONDITION when the file is not there, or not whole.
   */
  importUpload(ref: DatabaseRef, file: ImportedFile, signal: AbortSignal): Promise<number>
  /** Answers a query for which a file is the table `object`. @throws as `importUpload`. */
  queryUpload(ref: DatabaseRef, file: StagedFile, statement: SqlStatement, bounds: QueryBounds, signal: AbortSignal): Promise<QueryResult>
  /**
   * Writes rows into a file, which stays until it is forgotten or the database is released.
   *
   * @returns the rows.
   * @throws QUOTA_EXCEEDED when the file is larger than files may be.
   */
  exportUpload(ref: DatabaseRef, rows: ExportedRows, file: ExportedFile, signal: AbortSignal): Promise<number>
  /** The bytes of a file. */
  readUpload(ref: DatabaseRef, upload: string, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Forgets a file, if it is there. */
  dropUpload(ref: DatabaseRef, upload: string): Promise<void>

  /** Rejects when databases cannot be used: with what to do about it. */
  check(): Promise<void>

  close(): Promise<void>
}
