import { MillraceError } from '../../errors.ts'

/** States of the storage by SQLSTATE. Source: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const faults: Readonly<Record<string, string>> = {
  '25006': 'Postgres is read-only: the URL leads to a standby, or default_transaction_read_only is on. Point it at the primary.',
  '26000': 'Postgres has lost a prepared statement: when the URL leads to a pooler, add pgbouncer=true to it.',
  '28000': 'Postgres refuses this user: check the user of the URL and pg_hba.conf.',
  '28P01': 'Postgres refuses the password: check the user and password of the URL.',
  '3D000': 'The database does not exist: create it, or correct the URL.',
  '3F000': 'The tables are not there: run `millrace db migrate`.',
  '42501':
    'The user of the URL may not do this: let its owner run `millrace db migrate`, and grant this one the use of the schema "millrace".',
  '42P05': 'Postgres has a prepared statement of somebody else: when the URL leads to a pooler, add pgbouncer=true to it.',
  '42703': 'The tables are not those of this version: run `millrace db check`.',
  '42P01': 'The tables are not those of this version: run `millrace db migrate`.',
  '53100': "Postgres's disk is full: free space on its volume. Nothing acknowledged is lost.",
  '53200': 'Postgres is out of memory.',
  '53300': 'Postgres has no connection left: raise its max_connections, or lower `pool` in the URL.',
  '55P03': 'A lock was not given in time: look for long transactions in pg_stat_activity.',
  '57014': 'Postgres took too long and the statement was cancelled: look at its load and for missing vacuums.',
  '57P01': 'Postgres is shutting down.',
  '57P02': 'Postgres crashed and is recovering.',
  '57P03': 'Postgres is starting up.',
  XX001: "Postgres's files are damaged: restore them from a backup.",
  XX002: "One of Postgres's indexes is damaged: rebuild it with REINDEX.",
}

/** Nothing of this ends by itself: somebody has to change something. */
const lasting = new Set(['28000', '28P01', '3D000', '3F000', '42501', '42703', '42P01', 'XX001', 'XX002'])

const transactionConflicts = new Set(['40001', '40P01'])

const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNABORTED',
  'EHOSTDOWN',
  'ENETDOWN',
  'ERR_SOCKET_CLOSED',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
])
/** What the driver says in words alone. */
const networkMessages =
  /^Connection terminated|^timeout (expired|exceeded)|^Query read timeout|not queryable|^Client was closed|after calling end on the pool/

/** The SQLSTATE or system error code of what the driver threw. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}

/** The constraint of a unique violation. */
export function violatedConstraint(error: unknown): string | undefined {
  return codeOf(error) === '23505' ? String((error as { constraint?: unknown }).constraint) : undefined
}

/** The transaction was rolled back for another's sake: the same again may succeed. */
export function isConflict(error: unknown): boolean {
  return transactionConflicts.has(codeOf(error) ?? '')
}

/** The connection keeps a plan from before the tables changed: the statement was not carried out, and works on a new one. */
function isOutdated(error: unknown): boolean {
  return codeOf(error) === '0A000' && (error as Error).message.startsWith('cached plan')
}

/** The connection is of no more use; whether the statement was carried out is not known. */
export function isDisconnected(error: unknown): boolean {
  const code = codeOf(error) ?? ''
  return (
    isOutdated(error) ||
    networkCodes.has(code) ||
    code.startsWith('08') ||
    code.startsWith('57P') ||
    (error instanceof Error && networkMessages.test(error.message))
  )
}

/** Turns what the driver throws into the error a caller sees: UNAVAILABLE with the state of the storage. Others pass. */
export function storageError(error: unknown, target: string): unknown {
  const code = codeOf(error) ?? ''
  const known = faults[code] ?? (transactionConflicts.has(code) ? 'Too many transactions change the same rows: try again.' : undefined)
  if (known !== undefined) return unavailable(known, error, lasting.has(code) ? {} : undefined)
  // 53: out of resources, 58: the system failed.
  if (code.startsWith('53') || code.startsWith('58')) return unavailable(`Postgres cannot work: ${(error as Error).message}.`, error)
  if (!isDisconnected(error)) return error
  return unavailable(
    `Postgres at ${target} cannot be reached (${(error as Error).message}): check that it runs and the URL is right.`,
    error,
  )
}

function unavailable(message: string, cause: unknown, details: { retryAfterMs?: number } = { retryAfterMs: 1000 }): MillraceError {
  return new MillraceError('UNAVAILABLE', message, details, { cause })
}
