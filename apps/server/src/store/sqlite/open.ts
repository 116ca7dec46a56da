import { closeSync, fdatasync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { MillraceError } from '../../errors.ts'
import type { Store, StoreListener, StoreOptions } from '../ports.ts'
import { Context } from './context.ts'
import { storageError } from './errors.ts'
import { SqliteJobs } from './jobs.ts'
import { SqliteKeys } from './keys.ts'
import { SqliteQueues } from './queues.ts'
import { migrate } from './schema.ts'

/** How to open a SQLite store. */
export interface SqliteStoreOptions extends StoreOptions {
  /** The folder of the database; made when it does not exist. ':memory:' keeps everything in memory. */
  readonly path: string
}

/**
 * - `locking_mode=EXCLUSIVE`: one server to a folder, and no shared memory to ask on each transaction.
 * - `synchronous=NORMAL`: SQLite itself syncs at checkpoints alone. The writer syncs the log after each group of commits,
 *   beside the event loop, before it answers anybody: as durable as FULL, which would stop the loop for each sync.
 * - The cache holds the hot ends of the tables and indexes; the checkpoint threshold (in pages) trades the size of
 *   the log against how often pages are written back.
 */
const pragmas = `
  PRAGMA page_size = 8192;
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA cache_size = -32768;
  PRAGMA wal_autocheckpoint = 2000;
  PRAGMA journal_size_limit = 67108864;
  PRAGMA temp_store = MEMORY;
`

const datasync = promisify(fdatasync)

/**
 * Opens the store of one server.
 *
 * @throws MillraceError UNAVAILABLE when another server uses the folder, or it cannot be read or written.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  let db: DatabaseSync | undefined
  try {
    if (options.path !== ':memory:') mkdirSync(options.path, { recursive: true })
    db = new DatabaseSync(options.path === ':memory:' ? options.path : join(options.path, 'millrace.db'))
    db.exec(pragmas)
    migrate(db)
    return sqliteStore(db, options, options.path === ':memory:' ? undefined : `${options.path}/millrace.db-wal`)
  } catch (error) {
    db?.close()
    throw openError(error, options.path)
  }
}

/** Says which folder, and what to do. */
function openError(error: unknown, path: string): unknown {
  const known = storageError(error)
  if (known instanceof MillraceError) {
    return new MillraceError('UNAVAILABLE', `The store in '${path}' cannot be opened. ${known.message}`, {}, { cause: error })
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR' || code === 'EEXIST' || code === 'ENOSPC') {
    return new MillraceError(
      'UNAVAILABLE',
      `The data directory '${path}' cannot be made (${code}): choose another, or change its permissions.`,
      {},
      { cause: error },
    )
  }
  return error
}

function sqliteStore(db: DatabaseSync, options: StoreOptions, log: string | undefined): Store {
  let file: number | undefined
  const context = new Context(db, options, async () => {
    if (file !== undefined) await datasync(file)
  })
  // SQLite has made the log by now, and keeps the same file for as long as the database is open.
  if (log) file = openSync(log, 'r')
  const { writer } = context
  return {
    jobs: new SqliteJobs(context),
    queues: new SqliteQueues(context),
    keys: new SqliteKeys(context),
    listen(listener: StoreListener) {
      writer.listener = listener
    },
    nodes: async () => [{ active: true }],
    now: options.now,
    // A real write: it moves the persisted sequence.
    check: () => writer.mutate(() => void context.sequence.next()),
    async close() {
      await writer.close()
      db.close()
      if (file !== undefined) closeSync(file)
    },
  }
}
