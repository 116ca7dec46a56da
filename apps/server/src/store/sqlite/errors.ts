import { MillraceError } from '../../errors.ts'

/** SQLite's primary result codes that name a state of the storage. Source: https://www.sqlite.org/rescode.html */
const storageFaults: Readonly<Record<number, string>> = {
  5: 'The database is in use by another process, such as a server: stop that one, or use another data directory.',
  7: 'The server is out of memory.',
  8: 'The database is read-only: check the permissions of the data directory.',
  10: 'The disk failed to read or write: check the disk and the system log.',
  11: 'The database file is damaged: stop the server and restore the data directory from a backup.',
  13: 'The disk is full: free space on the volume of the data directory. Nothing acknowledged is lost.',
  14: 'The database file cannot be opened: check that the data directory exists and is writable.',
  26: 'The file is not a Millrace database, or its header is damaged: restore it from a backup.',
}

/** Turns what SQLite throws into the error a caller sees: UNAVAILABLE with the state of the storage. Others pass. */
export function storageError(error: unknown): unknown {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined
  const message = code === undefined ? undefined : storageFaults[code]
  return message === undefined ? error : new MillraceError('UNAVAILABLE', message, { retryAfterMs: 1000 }, { cause: error })
}
