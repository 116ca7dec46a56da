import type { CallOptions } from '../options.ts'

/** A value that a column is compared with. Texts stand for every type; a list is any of its values. */
export type FilterValue = string | number | bigint | boolean | Date | null

/** How a column is compared. Several hold together. */
export interface Comparisons {
  /** Equal; `null` finds what is null. */
  readonly eq?: FilterValue
  /** Not equal; `null` finds what is not null. */
  readonly ne?: FilterValue
  /** Greater. */
  readonly gt?: FilterValue
  /** Greater or equal. */
  readonly gte?: FilterValue
  /** Less. */
  readonly lt?: FilterValue
  /** Less or equal. */
  readonly lte?: FilterValue
  /** Like a pattern: `%` is any text, `_` any character. */
  readonly like?: string
  /** Like a pattern, whatever the case. */
  readonly ilike?: string
  /** One of these. */
  readonly in?: readonly FilterValue[]
  /** Is null, true, false or unknown. */
  readonly is?: 'null' | 'true' | 'false' | 'unknown' | boolean | null
  /** Contains these: an array, JSON or a range. */
  readonly contains?: unknown
  /** Is contained in these. */
  readonly containedBy?: unknown
  /** Has something in common with these. */
  readonly overlaps?: unknown
  /** What must not hold. */
  readonly not?: FilterValue | readonly FilterValue[] | Comparisons
}

/**
 * Which rows: columns with a value, a list of values, or comparisons. `metadata->>title` reaches into JSON.
 *
 * @typeParam T - what a row is.
 */
export type Where<T> = {
  readonly [K in Extract<keyof T, string> | (string & {})]?:
    | FilterValue
    | readonly FilterValue[]
    | Comparisons
    | Where<T>
    | readonly Where<T>[]
} & {
  /** All of these. */
  readonly and?: readonly Where<T>[]
  /** Any of these. */
  readonly or?: readonly Where<T>[]
  /** Not this. */
  readonly not?: Where<T>
}

/** Which rows: an object, or text as PostgREST writes it (`age=gt.25&name=like.A*`, also `age>25`). */
export type RowFilter<T> = string | Where<T>

/** Whom calls act as. */
export interface TableOptions {
  /**
   * A user of the namespace: row-level security holds, and policies find the user in `current_setting('millrace.user')`.
   * Default: none; calls act as the owner of the tables, for whom row-level security does not hold.
   */
  readonly user?: string
}

/** How to watch changes. */
export interface WatchChangesOptions<T> {
  /** The selection: what enters it is an insert, what leaves it a delete. Default: all rows. */
  readonly where?: RowFilter<T>
  /** Columns of the rows, with commas between them. Default: all. */
  readonly columns?: string
  /** Begin after a change that was seen: its `cursor`. Default: now. */
  readonly after?: string
  /** Called with each place to go on from: first where it begins, when changes from there on are sure to come; then after changes. */
  readonly onCursor?: (cursor: string) => void
  /** Ends the iteration with an `AbortError`. */
  readonly signal?: AbortSignal
}

/** A change of a selection. */
export type RowChange<T> = {
  /** When the statement changed it. */
  readonly at: Date
  /** Where to go on after it, with `changes({ after })`. */
  readonly cursor: string
} & (
  | {
      /** The row is new in the selection, or in it no longer. */
      readonly type: 'insert' | 'delete'
      /** The row as it is, or as it was. */
      readonly row: T
    }
  | {
      /** The row is in the selection, and has changed. */
      readonly type: 'update'
      /** The row as it is. */
      readonly row: T
      /** The row as it was. */
      readonly old: T
    }
  | {
      /** All rows are gone, by TRUNCATE. */
      readonly type: 'truncate'
    }
)

/** How to add rows. */
export interface InsertRowsOptions extends CallOptions {
  /** Columns to answer with; `false` answers with none. Default: all. */
  readonly returning?: string | false
}

/** How to add rows or change those that are there. */
export interface UpsertOptions extends InsertRowsOptions {
  /** Columns of a unique constraint, with commas between them. */
  readonly onConflict: string
  /** True: rows that are there stay as they are. Default: they are changed. */
  readonly ignoreDuplicates?: boolean
}

/** Which rows to change or delete. */
export interface ChangeOptions<T> extends CallOptions {
  /** Which rows. */
  readonly where?: RowFilter<T>
  /** True: every row. Needed when there is no `where`. */
  readonly all?: boolean
  /** Columns to answer with; `false` answers with none. Default: all. */
  readonly returning?: string | false
}

/** What SQL gave. */
export interface SqlResult<T> {
  /** The rows. */
  readonly rows: readonly T[]
  /** Their columns, with the types as Postgres names them. */
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Rows read, added, changed or deleted. */
  readonly affected: number
  /** What was done: `SELECT`, `CREATE TABLE`. */
  readonly command: string
}

/** A table or view as it is. */
export interface TableInfo {
  /** Its name. */
  readonly name: string
  /** What it is. */
  readonly kind: 'table' | 'view' | 'materialized view'
  /** Its columns, in order. */
  readonly columns: readonly TableColumnInfo[]
  /** Columns of its primary key. */
  readonly primaryKey: readonly string[]
  /** True when its rows are under row-level security. */
  readonly rowSecurity: boolean
  /** The comment made on it; empty when there is none. */
  readonly comment: string
}

/** A column of a table. */
export interface TableColumnInfo {
  /** Its name. */
  readonly name: string
  /** Its type as Postgres names it. */
  readonly type: string
  /** What its values are: its type without a length, and for a domain the type that it is made of. */
  readonly baseType: string
  /** True when it may be null: neither it nor a domain that is its type refuses it. Always true of views. */
  readonly nullable: boolean
  /** The expression it gets when a row does not give it; empty when there is none. */
  readonly defaultValue: string
  /** True when it is computed, and cannot be given. */
  readonly generated: boolean
  /** The values of its type, when that is an enum or a domain of one. */
  readonly enumValues: readonly string[]
  /** The comment made on it; empty when there is none. */
  readonly comment: string
}

/** One step in the life of a schema. */
export interface Migration {
  /** Its name, unique in the namespace. */
  readonly name: string
  /** Statements with semicolons between them. */
  readonly sql: string
}

/** What became of migrations. */
export interface MigrateResult {
  /** Names of those carried out now, in order. */
  readonly applied: readonly string[]
  /** Names of those carried out before. */
  readonly alreadyApplied: readonly string[]
}
