import type { Clock } from './clock.ts'
import type { ServerConfig } from './config/settings.ts'
import { Analytics } from './domain/analytics/analytics.ts'
import { createJobEngine } from './domain/jobs/engine.ts'
import { createKvEngine } from './domain/kv/engine.ts'
import { ObjectEngine } from './domain/objects/engine.ts'
import { createScheduleEngine } from './domain/schedules/engine.ts'
import { SchemaRegistry } from './domain/schemas/registry.ts'
import { createStreamEngine } from './domain/streams/engine.ts'
import { Replays } from './domain/streams/replays.ts'
import { TableEngine } from './domain/tables/engine.ts'
import { LiveTables } from './domain/tables/live-tables.ts'
import { RowChanges } from './domain/tables/row-changes.ts'
import { createTransactionEngine } from './domain/transactions/engine.ts'
import { VectorEngine } from './domain/vectors/engine.ts'
import { WebhookEngine } from './domain/webhooks/engine.ts'
import { Sender } from './domain/webhooks/sender.ts'
import { openAnalyticsBackend, openObjectBackend, openTables } from './open-backends.ts'
import { limits } from './services/limits.ts'
import type { Store, StoreListener } from './store/ports.ts'

/** What the domain stands on. */
export interface Foundation {
  readonly config: ServerConfig
  /** Open; who opened it closes it. */
  readonly store: Store
  readonly clock: Clock
  /** Hears of faults of what runs without a caller. */
  readonly onError: (error: unknown) => void
}

/** The domain's parts, on the store and on the backends that the settings name. */
export type Domain = Awaited<ReturnType<typeof composeDomain>>

/** Opens the backends, and makes the domain's parts. `close` ends them in the order in which they need each other. */
export async function composeDomain({ config, store, clock, onError }: Foundation) {
  const analyticsBackend = await openAnalyticsBackend(config)
  const { webhookAllowPrivate: allowPrivate } = config
  const webhooks = new WebhookEngine({ store: store.webhooks, clock, sender: new Sender({ clock, allowPrivate }), onError })
  const jobs = createJobEngine({
    store: { ...store, listen: (listener) => store.listen(alsoTell(listener, webhooks)) },
    clock,
    retention: {
      completedMs: config.retentionCompleted,
      failedMs: config.retentionFailed,
      cancelledMs: config.retentionCancelled,
      requestsMs: config.retentionRequests,
    },
    onError,
  })
  const schemas = new SchemaRegistry({ store: store.schemas, clock })
  const schedules = createScheduleEngine({ store, jobs, schemas, clock, onError })
  const streams = createStreamEngine({ streams: store.streams, clock, onError })
  const replays = new Replays({ engine: streams, streams: store.streams, replays: store.replays, clock })
  const kv = createKvEngine({ kv: store.kv, clock, answersKeptMs: config.retentionRequests, onError })
  const tables = new TableEngine({ database: openTables(config), bounds: { rows: limits.tableRows, bytes: config.payloadLimit } })
  const liveTables = new LiveTables(tables, clock)
  const rowChanges = new RowChanges(tables, clock)
  const vectors = new VectorEngine(tables)
  const transactions = createTransactionEngine({ transactions: store.transactions, jobs, kv, clock })
  const analytics = new Analytics({
    backend: analyticsBackend,
    clock,
    open: config.analyticsOpen,
    idleMs: config.analyticsIdle,
    timeoutMs: config.analyticsTimeout,
    onError,
  })
  const objectBackend = openObjectBackend(config)
  const objects = new ObjectEngine({ objects: store.objects, backend: objectBackend, clock, objectLimit: config.objectLimit, onError })
  const close = async () => {
    await webhooks.close()
    await analytics.close()
    liveTables.close()
    rowChanges.close()
    await tables.close()
    await kv.close()
    await objects.close()
    await streams.close()
    await schedules.close()
    await jobs.close()
  }
  return {
    jobs,
    webhooks,
    schemas,
    schedules,
    streams,
    replays,
    kv,
    tables,
    liveTables,
    rowChanges,
    vectors,
    transactions,
    analytics,
    objects,
    objectBackend,
    close,
  }
}

/** A listener that hears what the job engine's does, and tells the webhooks of changes. */
function alsoTell(listener: StoreListener, webhooks: WebhookEngine): StoreListener {
  return {
    ready: (lane) => listener.ready(lane),
    changed(changes) {
      listener.changed(changes)
      webhooks.changed(changes)
    },
    missed() {
      listener.missed?.()
      webhooks.wake()
    },
    due: (at) => listener.due?.(at),
  }
}
