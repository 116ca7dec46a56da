import type { ErrorReason } from '@millrace/protocol/errors'
import { MillraceError, notFound } from '../../errors.ts'
import { nearest } from '../../suggest.ts'
import { copyRefused, ResultTooLarge, SqlError, type TableQueries } from './backend.ts'

/** What a statement was made for, so that its error can say more. */
export interface ErrorContext {
  /** The field that a wrong value or column came in. */
  readonly field: string
  /** The schema and the table it acted on. */
  readonly schema?: string
  readonly table?: string
  /** What asked for the function. */
  readonly function?: string
}

/** SQLSTATEs that have a reason of their own; the others go by their class, the first two characters. */
const reasons: Readonly<Record<string, ErrorReason>> = {
  // Fewer or more values than the statement has places for.
  '08P01': 'VALIDATION',
  '23505': 'ALREADY_EXISTS',
  '23P01': 'ALREADY_EXISTS',
  '23503': 'FAILED_PRECONDITION',
  '25006': 'PERMISSION_DENIED',
  '40001': 'CONFLICT',
  '40P01': 'CONFLICT',
  '42501': 'PERMISSION_DENIED',
  '57014': 'DEADLINE_EXCEEDED',
  '55P03': 'CONFLICT',
  '42P07': 'ALREADY_EXISTS',
  '42710': 'ALREADY_EXISTS',
  '2BP01': 'FAILED_PRECONDITION',
}

const classes: Readonly<Record<string, ErrorReason>> = {
  '08': 'UNAVAILABLE',
  '53': 'UNAVAILABLE',
  '57': 'UNAVAILABLE',
  '25': 'FAILED_PRECONDITION',
  '55': 'FAILED_PRECONDITION',
}

/** What Postgres says of its own faults. All else the caller can mend; functions of the caller's may raise errors with any code. */
const faults = /^(58|XX)/

/**
 * What to answer for an error of a statement.
 *
 * @param connection - where the names that were likely meant are looked up; not when it is in a transaction that failed.
 */
export async function explain(error: unknown, context: ErrorContext, connection?: TableQueries): Promise<unknown> {
  if (error instanceof ResultTooLarge) {
    const remedy = 'Ask for fewer: with limit and offset, with a filter, or with fewer columns.'
    const message = `The result has more ${error.what} than one answer may have. ${remedy}`
    return new MillraceError('VALIDATION', message, { fields: [{ path: 'limit', message }] })
  }
  if (!(error instanceof SqlError)) return error
  if (error.code === '42P01') return noTable(error, context)
  if (error.code === '42883' && context.function !== undefined) {
    const message = `There is no function '${context.function}' with these arguments in this namespace.`
    return new MillraceError('NOT_FOUND', message, { resource: 'function', id: context.function })
  }
  const reason = refusedCopy(error)
    ? 'VALIDATION'
    : (reasons[error.code] ?? classes[error.code.slice(0, 2)] ?? (faults.test(error.code) ? undefined : 'VALIDATION'))
  if (!reason) return error
  const hint = error.code === '42703' ? await columnHint(error, context, connection) : undefined
  // `r` is what statements that are made here call their table.
  const said = context.table === undefined ? error.message : error.message.replace(/^column r\./, 'column ')
  const parts = [said, error.detail, hint ?? error.hint, position(error, context)].filter((part) => part !== undefined && part !== '')
  const message = `${context.field}: ${parts.map((part) => part!.replace(/\.$/, '')).join('. ')}.`.replace(/\?\.$/, '?')
  if (reason === 'UNAVAILABLE') return new MillraceError(reason, message, { retryAfterMs: 1000 })
  if (reason !== 'VALIDATION') return new MillraceError(reason, message)
  const path = error.column ? `${context.field}.${error.column}` : context.field
  return new MillraceError(reason, message, { fields: [{ path, message: parts.join('. ') }] })
}

/** A COPY that was told that there are no rows: by a connection here, or by the driver within a script. Postgres calls that a cancel. */
function refusedCopy({ code, message }: SqlError): boolean {
  return code === '57014' && (message.includes(copyRefused) || message.includes('No source stream defined'))
}

/** Where in the caller's own text. In a text that was made here it would be a riddle. */
function position({ position: at, code }: SqlError, { table, function: name }: ErrorContext): string | undefined {
  return at !== undefined && code.startsWith('42') && table === undefined && name === undefined ? `At character ${at}` : undefined
}

function noTable({ message: text }: SqlError, { table }: ErrorContext): MillraceError {
  return notFound('table', table ?? /"(.+?)"/.exec(text)?.[1] ?? '')
}

/** The column that was likely meant. */
async function columnHint(
  error: SqlError,
  { schema, table }: ErrorContext,
  connection: TableQueries | undefined,
): Promise<string | undefined> {
  const wrong = /column (?:r\.)?(?:"(.+?)"|(\S+)) (?:of relation|does not exist)/.exec(error.message)
  const name = wrong?.[1] ?? wrong?.[2]
  if (!connection || !name || schema === undefined || table === undefined) return undefined
  const { rows } = await connection.query(
    `SELECT attname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = attrelid JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
     WHERE nspname = $1 AND relname = $2 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [schema, table],
  )
  const columns = rows.map(([column]) => column!)
  const meant = nearest(name, columns)
  return meant ? `Did you mean '${meant}'?` : `It has ${columns.slice(0, 20).join(', ')}`
}
