import type { HostError } from './protocol.ts'

/** A fault of the request's, or a limit that it met: everything that a call may fail with by design. */
export class Failure extends Error {
  readonly error: HostError

  constructor(error: HostError) {
    super(error.message)
    this.error = error
  }
}

/** What DuckDB says of an error, as it is set up here. */
interface DuckdbError {
  readonly exception_type: string
  readonly exception_message: string
  /** Byte of the text. */
  readonly position?: string
  readonly error_subtype?: string
}

/** An error that closes the database for good: it has to be opened again. */
export function isFatal(thrown: unknown): boolean {
  return /^(?:FATAL|INTERNAL|Fatal|Internal)$/.test(readDuckdb(thrown)?.exception_type ?? '')
}

/** An error that says that a file is not what it should be. */
export function isBroken(thrown: unknown): boolean {
  return isFatal(thrown) || /^(?:IO|Serialization|)$/.test(readDuckdb(thrown)?.exception_type ?? '')
}

/**
 * Says what DuckDB said, to whoever sent the SQL.
 *
 * @param thrown - from DuckDB, or a {@link Failure}.
 * @param sql - what it says it of.
 * @param path - the field that held the SQL.
 * @param before - bytes that stood before the SQL when DuckDB got it.
 */
export function failureOf(thrown: unknown, sql: string, path: string, before = 0): HostError {
  if (thrown instanceof Failure) return thrown.error
  const said = readDuckdb(thrown)
  const message = messageOf(thrown)
  const type = said?.exception_type ?? ''
  switch (type) {
    case 'Constraint':
      return { reason: 'FAILED_PRECONDITION', message }
    case 'TransactionContext':
      if (/read-only/.test(message)) return { reason: 'VALIDATION', path, message: 'A query only reads; use execute.' }
      return { reason: 'CONFLICT', message }
    case 'Transaction':
      return { reason: 'CONFLICT', message: `${message} Another statement changed the same rows; try again.` }
    case 'Out of Memory':
      return {
        reason: 'QUOTA_EXCEEDED',
        message: `The query needs more memory than a database may have. Narrow it down. (${message})`,
        quota: { type: 'analytics.memory', current: 0, limit: 0 },
      }
    case 'IO':
      if (/lock/i.test(message)) return { reason: 'UNAVAILABLE', message: 'Another server has this database open. Try again, or there.' }
      return { reason: 'UNAVAILABLE', message: `The server cannot use the database now: ${message}` }
    case 'INTERRUPT':
    case 'Interrupt':
      return { reason: 'UNAVAILABLE', message: 'The query was ended.' }
    case 'FATAL':
    case 'Fatal':
    case 'INTERNAL':
    case 'Internal':
    case '':
      return { reason: 'INTERNAL', message }
    default:
      if (said?.error_subtype === 'ENTRY_ALREADY_EXISTS' || /already exists/.test(message)) return { reason: 'ALREADY_EXISTS', message }
      return { reason: 'VALIDATION', path, message: `${place(sql, said?.position, before)}${message}` }
  }
}

/** What an error says, without what concerns the server alone. */
export function messageOf(thrown: unknown): string {
  return cleaned(fullMessageOf(thrown))
}

/** All that an error says. */
export function fullMessageOf(thrown: unknown): string {
  return readDuckdb(thrown)?.exception_message ?? (thrown instanceof Error ? thrown.message : String(thrown))
}

function readDuckdb(thrown: unknown): DuckdbError | undefined {
  const text = thrown instanceof Error ? thrown.message : ''
  const start = text.indexOf('{"exception_type"')
  if (start < 0) return undefined
  try {
    return JSON.parse(text.slice(start)) as DuckdbError
  } catch {
    return undefined
  }
}

/** `line 2, column 5: `, counted from 1. */
function place(sql: string, position: string | undefined, before: number): string {
  if (position === undefined) return ''
  const start = Buffer.from(sql)
    .subarray(0, Number(position) - before)
    .toString()
  const line = start.split('\n').length
  const column = [...start.slice(start.lastIndexOf('\n') + 1)].length + 1
  return `line ${line}, column ${column}: `
}

const longest = 2000

/** Without what concerns the server alone: where its files are. */
function cleaned(message: string): string {
  // DuckDB repeats what it was given, of any length, and what is looked for may take the square of that.
  const text = message
    .slice(0, 2 * longest)
    .replaceAll(process.cwd(), '')
    // Directories of databases have no other names.
    .replace(/(?:\/?[\w=.-]+\/)+staging\/\w*/g, 'the file')
    .replace(/(?:\/?[\w=.-]+\/)+(?:data\.duckdb|spill-)[\w./-]*/g, 'the database')
    .replace(/\n+Possible [Ss]olutions?:[\s\S]*$/, '')
    .trim()
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}
