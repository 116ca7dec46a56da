import type { ErrorReason } from '@millrace/protocol/errors'
import type {
  ExportedFile,
  ImportedFile,
  QueryBounds,
  QueryResult,
  ResultColumn,
  RowBatch,
  SqlStatement,
  StagedFile,
} from '../../../../domain/analytics/backend.ts'

/** How a database is opened. */
export interface HostLimits {
  /** Memory of one open database, in bytes. */
  readonly memory: number
  /** Threads of one open database. */
  readonly threads: number
  /** What one open database may put aside on the disk while it sorts and the like, in bytes. */
  readonly spill: number
}

/** What the server asks of the process that runs DuckDB. `at` is a database's directory, relative to that of all. */
export interface HostOperations {
  /** Makes the file of a database and lets go of it. */
  create(input: { readonly at: string }): void
  /** @param input - `file`, in `staging`, is the table `object` of this query. */
  query(input: {
    readonly at: string
    readonly statement: SqlStatement
    readonly bounds: QueryBounds
    readonly file?: StagedFile
  }): QueryResult
  /** The server's own queries: its SQL needs no check, and its rows are few. */
  catalog(input: { readonly at: string; readonly sql: string; readonly values: readonly string[] }): readonly Row[]
  execute(input: { readonly at: string; readonly statements: readonly SqlStatement[] }): readonly number[]
  explain(input: { readonly at: string; readonly statement: SqlStatement; readonly analyze: boolean }): string
  open(input: { readonly at: string; readonly statement: SqlStatement }): {
    readonly stream: number
    readonly columns: readonly ResultColumn[]
  }
  next(input: { readonly stream: number }): RowBatch | undefined
  end(input: { readonly stream: number }): void
  /** Where the server puts files for `load` and `query`, relative to the directory of all. It is gone with the release. */
  staging(input: { readonly at: string }): string
  /** Makes rows of a file in `staging`. */
  load(input: { readonly at: string; readonly file: ImportedFile }): number
  /** Writes rows into a file in `staging`. */
  export(input: { readonly at: string; readonly statement: SqlStatement; readonly file: ExportedFile }): number
  /** Copies a database into another directory, and makes one file of it and its log there. */
  copy(input: { readonly at: string; readonly to: string }): void
  /** Reads a database that comes from anywhere to its end. @param input - `path` names it, for errors. */
  verify(input: { readonly at: string; readonly path: string }): void
  /** Lets go of a database; what runs on it is ended. */
  release(input: { readonly at: string }): void
  /** Closes what is open, and ends the process. */
  stop(input: object): void
}

/** A row of the server's own queries. */
export type Row = Readonly<Record<string, string | number | boolean | null>>

/** The name of an operation. */
export type HostOperation = keyof HostOperations
/** What an operation is given. */
export type HostInput<O extends HostOperation> = Parameters<HostOperations[O]>[0]
/** What it answers. */
export type HostOutput<O extends HostOperation> = ReturnType<HostOperations[O]>

/** A message to the process. */
export type ToHost =
  | { readonly type: 'call'; readonly id: number; readonly operation: HostOperation; readonly input: unknown }
  /** Ends the query of a call, which then fails. */
  | { readonly type: 'interrupt'; readonly id: number }

/** A limit. */
interface QuotaError {
  readonly type: string
  readonly current: number
  readonly limit: number
}

/** What a failed call says. */
export interface HostError {
  readonly reason: ErrorReason
  readonly message: string
  /** The wrong field. */
  readonly path?: string
  /** Of QUOTA_EXCEEDED: the limit that was met. */
  readonly quota?: QuotaError
}

/** A message from the process. */
export type FromHost =
  | { readonly type: 'result'; readonly id: number; readonly output: unknown }
  | { readonly type: 'error'; readonly id: number; readonly error: HostError }
