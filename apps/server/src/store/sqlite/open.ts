import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import { objectStorage } from '../flow/objects/storage.ts'
import { replayStorage } from '../flow/replays.ts'
import { schemaStorage } from '../flow/schemas.ts'
import { webhookStorage } from '../flow/webhooks.ts'
import type { Store, StoreListener, StoreOptions } from '../ports.ts'
import { Context } from './context.ts'
import { storageError } from './errors.ts'
import { SqliteJobs } from './jobs.ts'
import { SqliteKeys } from './keys.ts'
import { SqliteKv } from './kv/kv.ts'
import { Log, resyncLog } from './log.ts'
import { SqliteProofs } from './proofs.ts'
import { SqliteQueues } from './queues.ts'
import { quotaReader } from './quotas.ts'
import { SqliteSchedules } from './schedules.ts'
import { migrate } from './schema.ts'
import { SqliteStates } from './states.ts'
import { SqliteStreams } from './streams/streams.ts'
import { SqliteTransactions } from './transactions.ts'
import { armWebhooks } from './webhook-schema.ts'

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

/**
 * Opens the store of one server.
 *
 * @throws MillraceError UNAVAILABLE when another server uses the folder, or it cannot be read or written.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  let db: DatabaseSync | undefined
  try {
    db = openDatabase(options.path)
    admitServer(db)
    armWebhooks(db)
    return sqliteStore(db, options, options.path === ':memory:' ? undefined : new Log(`${options.path}/millrace.db-wal`))
  } catch (error) {
    db?.close()
    throw openError(error, options.path)
  }
}

/** Opens the database of a folder, for one process alone; brings its schema up to date unless told not to. */
export function openDatabase(path: string, prepare: (db: DatabaseSync) => void = migrate): DatabaseSync {
  if (path !== ':memory:') mkdirSync(path, { recursive: true })
  const db = new DatabaseSync(path === ':memory:' ? path : join(path, 'millrace.db'))
  try {
    db.exec(pragmas)
    // It is ours alone now, and nothing is written yet.
    if (path !== ':memory:') resyncLog(join(path, 'millrace.db-wal'))
    prepare(db)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Counts the uses by servers, so that a copy in the making knows when it is of the past; and refuses half a copy. */
function admitServer(db: DatabaseSync): void {
  if (db.prepare("SELECT 1 FROM meta WHERE key = 'loading'").get()) {
    throw new MillraceError('UNAVAILABLE', 'An import into it is not finished: finish it with `millrace import`, or delete it.')
  }
  db.exec("INSERT INTO meta VALUES ('opened', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1")
}

/** Says which folder, and what to do. */
export function openError(error: unknown, path: string): unknown {
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

function sqliteStore(db: DatabaseSync, options: StoreOptions, log: Log | undefined): Store {
  const context = new Context(db, options, log)
  const { writer } = context
  const jobs = new SqliteJobs(context)
  const kv = new SqliteKv(context)
  const streams = new SqliteStreams(context)
  return {
    jobs,
    pipelines: jobs.pipelines,
    queues: new SqliteQueues(context),
    states: new SqliteStates(context),
    proofs: new SqliteProofs(context),
    schedules: new SqliteSchedules(context),
    keys: new SqliteKeys(context),
    kv,
    streams,
    transactions: new SqliteTransactions(context, { jobs, kv, streams }),
    webhooks: webhookStorage(
      (program) =>
        context.writer.mutate(() => {
          const result = context.flow.run(program)
          armWebhooks(db)
          return result
        }),
      (program) => context.read(() => context.flow.run(program)),
    ),
    // No other server shares the storage: there is nobody to tell, and nothing to hear.
    schemas: schemaStorage(
      (program) => context.writer.mutate(() => context.flow.run(program())),
      (program) => context.read(() => context.flow.run(program)),
      () => {},
      () => {},
    ),
    objects: objectStorage({
      write: (program) => writer.mutate(() => context.flow.run(program())),
      read: (program) => context.read(() => context.flow.run(program)),
    }),
    replays: replayStorage(
      (program) => context.writer.mutate(() => context.flow.run(program())),
      (program) => context.read(() => context.flow.run(program)),
      () => {},
    ),
    listen(listener: StoreListener) {
      writer.listener = listener
    },
    nodes: async () => [{ active: true }],
    quotas: quotaReader(context),
    now: options.now,
    // A real write: it moves the persisted sequence.
    check: () => writer.mutate(() => void context.sequence.next()),
    backup: (file) => copyTo(file, db),
    async close() {
      await writer.close()
      db.close()
      log?.close()
    },
  }
}

/** How often a copy is begun. */
const copyTries = 1000

/** Copies the database beside the event loop; what is written meanwhile is in the copy too. */
async function copyTo(file: string, db: DatabaseSync): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await backup(db, file)
      return
    } catch (error) {
      // SQLite begins no copy while a transaction is open, and node:sqlite then fails with the number of no error.
      if ((error as { readonly errcode?: number }).errcode !== 0 || tries === copyTries) throw storageError(error)
    }
    await new Promise(setImmediate)
  }
}
