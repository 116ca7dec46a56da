import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MillraceError } from '../../../errors.ts'

/** What keeps other processes from a directory. */
export interface DirectoryHold {
  release(): void
}

/**
 * Keeps other processes from a directory for as long as this one lives: two that write the same files of Postgres would destroy them.
 * The lock is SQLite's, which ends with the process however that ends.
 *
 * @throws UNAVAILABLE when another one has it.
 */
export function holdDirectory(directory: string): DirectoryHold {
  const database = new DatabaseSync(join(directory, 'lock.sqlite'))
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    throw new MillraceError(
      'UNAVAILABLE',
      `The tables in ${directory} are in use by another server.`,
      { retryAfterMs: 5000 },
      { cause: error },
    )
  }
  return { release: () => database.close() }
}
