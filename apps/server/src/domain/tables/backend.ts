/** A value as Postgres reads it in text; null is null. */
export type SqlValue = string | null

/** What a statement gave. */
export interface SqlOutcome {
  /** Its columns: names, and the numbers of their types. */
  readonly columns: readonly { readonly name: string; readonly type: number }[]
  /** Its rows, each value in the text that Postgres writes. */
  readonly rows: readonly (readonly SqlValue[])[]
  /** All its rows as a JSON list, when somebody took them as they arrived; then `rows` is empty. */
  readonly json?: Uint8Array
  /** Rows read, added, changed or deleted. */
  readonly affected: number
  /** What was done: `SELECT`, `INSERT`, `CREATE TABLE`. */
  readonly command: string
}

/** How much a statement may give; more is refused with {@link ResultTooLarge}. */
export interface ResultBounds {
  /** Most rows. */
  readonly rows: number
  /** Most bytes of all values together, about. */
  readonly bytes: number
  /**
   * Makes what takes the rows of a result as they arrive: thousands of texts that wait for the last row are a burden on the memory.
   * Undefined, or a backend that does not use it: they come as a list.
   */
  readonly taker?: (columns: SqlOutcome['columns']) => RowTaker | undefined
}

/**
 * A row as Postgres sends it: the number of its values in two bytes; then for each the length of its text in four, -1 for NULL, and the
 * text in UTF-8 (https://www.postgresql.org/docs/current/protocol-message-formats.html, DataRow).
 */
export interface RawRow {
  /** Where it is; others are beside it. */
  readonly bytes: Buffer
  /** Where it begins. */
  readonly at: number
  /** How many bytes it has. */
  readonly length: number
}

/** What takes rows as they arrive. */
export interface RowTaker {
  /** Takes the next row. Its bytes are not touched later. */
  add(row: RawRow): void
  /** All rows, a JSON list. */
  end(): Uint8Array
}

/** What can be asked. */
export interface TableQueries {
  /** Carries out one statement; more than one in the text is an error of Postgres's. */
  query(text: string, values?: readonly SqlValue[], bounds?: ResultBounds): Promise<SqlOutcome>
}

/** A connection, lent for a while. */
export interface TableConnection extends TableQueries {
  /** Carries out one statement that may change rows, in a transaction of its own: nothing of it when its result passes the bounds. */
  write(text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome>
  /** Carries out statements with semicolons between them, without values, and gives nothing back. */
  script(text: string): Promise<void>
}

/** Characters of a statement's values up to which what it gives back is taken to be within its bounds, too. */
const smallValue = 4096

/** True for values with which a statement that adds rows gives little back. */
export function areSmall(values: readonly SqlValue[]): boolean {
  return values.every((value) => value === null || value.length <= smallValue)
}

/** Whom to log in as. */
export interface Login {
  /** The role. */
  readonly role: string
  /** What the role logs in with, where passwords are asked for. */
  readonly password: string
  /** The schemas that names without one are looked for in, as SQL writes them. */
  readonly searchPath: string
}

/** What the tables need of a Postgres. */
export interface TableDatabase {
  /**
   * Lends a connection of the server's own, which may make schemas and roles. Never for texts of callers.
   *
   * @throws UNAVAILABLE when Postgres cannot be reached.
   */
  asServer<T>(work: (connection: TableConnection) => Promise<T>): Promise<T>
  /**
   * Lends a connection that is logged in as a role: nothing that runs on it can become another role, neither a statement nor
   * a function that it calls, now or at the commit.
   *
   * @param login - the role.
   * @param work - must end the transactions that it begins.
   * @param raw - true when callers' texts run: the connection is made as new afterwards.
   * @throws {@link LoginRefused}, UNAVAILABLE when Postgres cannot be reached.
   */
  asRole<T>(login: Login, work: (connection: TableConnection) => Promise<T>, raw?: boolean): Promise<T>
  /**
   * Carries out one statement that reads as a role, in a transaction of its own. It may travel with others of the same role.
   *
   * @throws as {@link TableDatabase.asRole}, and what the statement does.
   */
  read(login: Login, text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome>
  /**
   * Carries out one statement that adds rows as a role. It may be committed with others of the same role that begin in the
   * same moment; when one of them fails, all are carried out again, each in a transaction of its own.
   *
   * @throws as {@link TableDatabase.read}.
   */
  insert(login: Login, text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome>
  /** The tables of a role may be others now: nothing that was prepared for them is used again. */
  forget(role: string): void
  /**
   * Listens to {@link changesChannel}, of which whoever runs SQL can speak, until the end.
   *
   * @param onSaid - called with what was said at a commit; undefined: something may have been missed.
   * @throws UNAVAILABLE when Postgres cannot be reached.
   */
  listen(onSaid: (said: string | undefined) => void): Promise<void>
  /** Rejects with UNAVAILABLE when Postgres cannot be reached. */
  check(): Promise<void>
  /** Ends all connections. */
  close(): Promise<void>
}

/** Where it is told that tables changed. Everybody with SQL in the database can hear it, so no more than the schema is said. */
export const changesChannel = 'millrace_tables'

/** What a COPY that waits for rows is told; Postgres's error has it, in whatever language. */
export const copyRefused = 'Rows cannot be copied in by a statement.'

/** An error that Postgres answered a statement with. */
export class SqlError extends Error {
  override readonly name = 'SqlError'
  /** SQLSTATE, five characters. */
  readonly code: string
  readonly detail: string | undefined
  readonly hint: string | undefined
  /** Where in the text, from 1. */
  readonly position: number | undefined
  readonly table: string | undefined
  readonly column: string | undefined
  readonly constraint: string | undefined

  /** @param fields - the fields of Postgres's ErrorResponse. */
  constructor(fields: {
    readonly message: string
    readonly code?: string | undefined
    readonly detail?: string | undefined
    readonly hint?: string | undefined
    readonly position?: string | undefined
    readonly table?: string | undefined
    readonly column?: string | undefined
    readonly constraint?: string | undefined
  }) {
    super(fields.message)
    this.code = fields.code ?? 'XX000'
    this.detail = fields.detail
    this.hint = fields.hint
    this.position = fields.position ? Number(fields.position) : undefined
    this.table = fields.table
    this.column = fields.column
    this.constraint = fields.constraint
  }
}

/** A statement gave more than its bounds. */
export class ResultTooLarge extends Error {
  override readonly name = 'ResultTooLarge'
  /** The bound that was passed. */
  readonly what: keyof ResultBounds

  constructor(what: keyof ResultBounds) {
    super(`more ${what} than allowed`)
    this.what = what
  }
}

/** A role's password is not (or no longer) what it logs in with. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused'
}
