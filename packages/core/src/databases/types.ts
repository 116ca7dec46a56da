import type { CallOptions } from '../options.ts'

/** A database. */
export interface DatabaseInfo {
  /** Its name. */
  readonly name: string
  /** What its maker noted about it. */
  readonly metadata: Readonly<Record<string, string>>
  /** When it was made. */
  readonly createdAt: Date
  /** Bytes it takes on the disk. */
  readonly sizeBytes: number
}

/** How a database is made. */
export interface CreateDatabaseOptions extends CallOptions {
  /** Notes about it: at most 32 of at most 255 characters each. */
  readonly metadata?: Readonly<Record<string, string>>
  /** One that is there is no error, and stays as it is. Default false. */
  readonly ifNotExists?: boolean
}

/** A column of a table that is made. */
export interface NewColumn {
  /** Its type in SQL, such as `INTEGER`, `DECIMAL(18, 2)` or `VARCHAR[]`. */
  readonly type: string
  /** It is never NULL. Default false. */
  readonly notNull?: boolean
  /** It is part of the primary key. Default false. */
  readonly primaryKey?: boolean
}

/** How a table is made. */
export interface CreateTableOptions extends CallOptions {
  /** One that is there is no error, and stays as it is. Default false. */
  readonly ifNotExists?: boolean
}

/** How a view is made. */
export interface CreateViewOptions extends CallOptions {
  /** Takes the place of a view of that name. Default false. */
  readonly replace?: boolean
}

/** Which tables are listed. */
export interface ListTablesOptions extends CallOptions {
  /** Tables on one page. 1 to 1000, default 100. */
  readonly limit?: number
  /** Where to begin: `nextCursor` of an earlier page. */
  readonly cursor?: string
}

/** A column of a table. */
export interface DatabaseColumn {
  /** Its name. */
  readonly name: string
  /** Its type in SQL. */
  readonly type: string
  /** It is never NULL. */
  readonly notNull: boolean
  /** It is part of the primary key. */
  readonly primaryKey: boolean
  /** Its default, an expression in SQL; absent when that is NULL. */
  readonly defaultValue?: string
}

/** A table or a view. */
export interface DatabaseTable {
  /** Its name. */
  readonly name: string
  /** What it is. */
  readonly kind: 'table' | 'view'
  /** Its columns, in order. */
  readonly columns: readonly DatabaseColumn[]
  /** About how many rows a table has; 0 for a view. */
  readonly estimatedRows: number
}

/** What the values of a column are like. */
export interface ColumnStatistics {
  /** The column. */
  readonly name: string
  /** Its type in SQL. */
  readonly type: string
  /** The least value, as text; empty when there is none. */
  readonly min: string
  /** The greatest value, as text; empty when there is none. */
  readonly max: string
  /** About how many different values there are. */
  readonly approximateDistinct: number
  /** Values that are NULL, in percent. */
  readonly nullPercentage: number
}

/** What a table holds. */
export interface TableStatistics {
  /** Rows there are. */
  readonly rows: number
  /** Each column, in order. */
  readonly columns: readonly ColumnStatistics[]
}

/**
 * A value of a parameter: a `bigint` up to 128 bits, a `Date` (a TIMESTAMPTZ), bytes (a BLOB), whatever JSON holds, and lists
 * and objects (structs) of these.
 */
export type SqlParameter =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Uint8Array
  | readonly SqlParameter[]
  | { readonly [name: string]: SqlParameter }

/** Parameters of a statement: a list for `?` and `$1`, an object for `$name`. */
export type SqlParameters = readonly SqlParameter[] | { readonly [name: string]: SqlParameter }

/** A statement with its parameters. */
export interface BatchStatement {
  /** The statement, one. */
  readonly sql: string
  /** Its parameters. Default: none. */
  readonly parameters?: SqlParameters
}

/** How a query is answered. */
export interface QueryOptions extends CallOptions {
  /** Rows at most. 1 to 100,000, default 1000. */
  readonly limit?: number
}

/** A column of a result. */
export interface ResultColumn {
  /** Its name. Names of one result differ: a second `a` is `a:1`. */
  readonly name: string
  /** Its type in SQL. */
  readonly type: string
}

/** The rows of an answer. */
export interface QueryResult<R> {
  /** The rows, as objects by the names of the columns. */
  readonly rows: R[]
  /** The columns, in order. */
  readonly columns: readonly ResultColumn[]
  /** There are more rows, beyond the limit or beyond 2 MiB: `queryStream` gives them all. */
  readonly more: boolean
}

/** A row, when nothing more is said about it. */
export type SqlRow = Record<string, unknown>

/** How rows are imported. */
export interface ImportOptions extends CallOptions {
  /** How the file is written. Default: `json`, which is what objects are sent as. */
  readonly format?: 'csv' | 'parquet' | 'json'
  /**
   * What becomes of the table: it is made with the columns of the file (`ConflictError` when it is there), gets more rows (columns
   * go by their names), or is made anew. Default `create`.
   */
  readonly mode?: 'create' | 'append' | 'replace'
}

/** An object of the namespace that holds rows. */
export interface ObjectSource {
  /** Its bucket. */
  readonly bucket: string
  /** Its key. */
  readonly key: string
  /** How it is written. Default: as the end of the key says, which is `.csv`, `.parquet`, `.json`, `.jsonl` or `.ndjson`. */
  readonly format?: 'csv' | 'parquet' | 'json'
}

/** Which object is imported, and how. */
export interface ImportObjectOptions extends ObjectSource, CallOptions {
  /** What becomes of the table, as in `ImportOptions`. Default `create`. */
  readonly mode?: 'create' | 'append' | 'replace'
}

/** Where rows are exported to, and how. JSON is a list of objects, or an object on each line when the key ends in `.jsonl` or `.ndjson`. */
export interface ExportObjectOptions extends ObjectSource, CallOptions {}

/** What was exported. */
export interface ExportedObject {
  /** Rows written. */
  readonly rows: number
  /** Bytes of the object. */
  readonly size: number
  /** The object's ETag: the SHA-256 of its bytes in hex. */
  readonly etag: string
}

/** Where a backup is. */
export interface BackupOptions extends CallOptions {
  /** Its bucket. */
  readonly bucket: string
  /** The key of its object. */
  readonly key: string
}

/** Which backup is restored, and how. */
export interface RestoreOptions extends BackupOptions {
  /** It takes the place of a database that is there, at once, when it is found good; what runs on the old one is ended. Default false. */
  readonly replace?: boolean
}

/** What was backed up. */
export interface DatabaseBackup {
  /** Bytes of the object. */
  readonly size: number
  /** The object's ETag: the SHA-256 of its bytes in hex. */
  readonly etag: string
}

/** How a plan is made. */
export interface ExplainOptions extends CallOptions {
  /** Carries the query out, and says how long each step took. Default false. */
  readonly analyze?: boolean
}
