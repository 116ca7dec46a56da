import { MillraceError } from '../../errors.ts'
import { objectStorage } from '../flow/objects/storage.ts'
import { replayStorage } from '../flow/replays.ts'
import { schemaStorage } from '../flow/schemas.ts'
import { webhookStorage } from '../flow/webhooks.ts'
import type { Store, StoreListener, StoreOptions } from '../ports.ts'
import { readConnectionUrl } from './connection.ts'
import { Context } from './context.ts'
import { Database } from './database.ts'
import { runAlone, runTogether } from './flow.ts'
import { PostgresJobs } from './jobs.ts'
import { PostgresKeys } from './keys.ts'
import { PostgresKv } from './kv/kv.ts'
import type { NodeInfo } from './nodes.ts'
import { PostgresProofs } from './proofs.ts'
import { PostgresQueues } from './queues.ts'
import { readQuotas } from './quotas.ts'
import { PostgresSchedules } from './schedules.ts'
import { migrate } from './schema.ts'
import { PostgresStates } from './states.ts'
import { PostgresStreams } from './streams/streams.ts'
import { PostgresTransactions } from './transactions.ts'

const day = 86_400_000

/** How to open a Postgres store. */
export interface PostgresStoreOptions extends StoreOptions {
  /** `postgres://user:password@host:port/database`; what more it may say is in `connection.ts`. */
  readonly url: string
  /** How long completed jobs are kept, in milliseconds: it decides how much time a partition of them covers. Default: a day. */
  readonly completedMs?: number
}

/** A store that many servers share. */
export interface PostgresStore extends Store {
  /** The servers on this database. */
  nodes(): Promise<readonly NodeInfo[]>
}

/**
 * Opens the store of one of any number of servers over one Postgres; brings the schema up to date first.
 *
 * @throws MillraceError UNAVAILABLE when the database cannot be reached or used, VALIDATION when the URL is not right.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<PostgresStore> {
  const db = new Database(readConnectionUrl(options.url))
  try {
    await migrate(db)
    await refuseHalfCopy(db)
    return await postgresStore(db, options)
  } catch (error) {
    await db.close()
    throw error
  }
}

async function refuseHalfCopy(db: Database): Promise<void> {
  const rows = await db.transaction((transaction) => transaction.query("SELECT FROM millrace.meta WHERE key = 'loading'"))
  if (rows.length === 0) return
  const what = 'An import into the database is not finished: finish it with `millrace import`, or drop the schema "millrace".'
  throw new MillraceError('UNAVAILABLE', what)
}

async function postgresStore(db: Database, options: PostgresStoreOptions): Promise<PostgresStore> {
  const context = new Context(db, options)
  const jobs = new PostgresJobs(context)
  await jobs.prepare(options.now(), options.completedMs ?? day)
  const kv = new PostgresKv(context)
  const streams = new PostgresStreams(context)
  const transactions = new PostgresTransactions(context, { kv, streams })
  await context.start()
  return {
    jobs,
    queues: new PostgresQueues(context),
    pipelines: jobs.pipelines,
    states: new PostgresStates(context),
    proofs: new PostgresProofs(context),
    schedules: new PostgresSchedules(context),
    keys: new PostgresKeys(context),
    kv,
    streams,
    transactions,
    webhooks: webhookStorage(
      (program) => runAlone(context, program),
      (program) => runAlone(context, program),
    ),
    schemas: schemaStorage(
      (program) => runTogether(context, program),
      (program) => runAlone(context, program),
      (scope) => context.touch('schema', scope, ''),
      (listener) => context.onTouch('schema', { touched: (scope) => listener.changed(scope), missed: () => listener.missed() }),
    ),
    objects: objectStorage({
      write: (program, holds) => runTogether(context, program, holds),
      read: (program) => runAlone(context, program),
    }),
    replays: replayStorage(
      (program) => runTogether(context, program),
      (program) => runAlone(context, program),
      (scope, stream) => context.touch('stream', scope, stream),
    ),
    listen(listener: StoreListener) {
      context.listener = listener
    },
    // A real write: the sign of life.
    check: () => context.nodes.beat(),
    nodes: () => context.nodes.list(),
    quotas: (tenant) => readQuotas(context.db, tenant),
    now: context.time.now,
    async close() {
      await transactions.close()
      await jobs.close()
      await kv.close()
      await streams.close()
      await context.stop()
      await db.close()
    },
  }
}
