import { MillraceError } from '../../errors.ts'
import type { Database, Transaction } from './database.ts'
import { codeOf } from './errors.ts'
import { fairSchema, rateSchema, triggerSchema, turnSchema } from './flow-schema.ts'
import { kvSchema } from './kv/schema.ts'
import { objectSchema } from './object-schema.ts'
import { replaysSchema } from './replays-schema.ts'
import { schemasSchema } from './schemas-schema.ts'
import { compactionSchema, depthSchema, groupSchema, producerSchema, streamSchema, traitSchema } from './streams/schema.ts'
import { webhookSchema } from './webhook-schema.ts'

/** A step from one version of the schema to the next. Never changed once released. */
interface Migration {
  readonly sql: string
  /** The oldest version of the code that works on the result: servers of two releases run side by side while they are replaced. */
  readonly worksWith: number
}

/** Tables that are written all the time and stay small are vacuumed early, and without pauses. */
const hot = 'autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0'

/**
 * - Every table of a tenant's data has a primary key that begins with the tenant. `meta`, `nodes`, `tenants` and `keys` are small
 *   and whole everywhere.
 * - `jobs` holds what may still run, failed and cancelled jobs included (they can be tried again). A completed job never
 *   changes again: it moves to `completed`, whose partitions by number, that is by time, are dropped when all in them is
 *   past its retention. Labels and logs are partitioned the same way.
 * - What a claim, a renewal and a report of progress change is in no index, and the pages of `jobs` have room: such a change
 *   stays on its page and leaves the indexes alone (a "HOT" update). So running jobs keep their place among the pending:
 *   `rank`, the negated priority, is there for both, and absent for all others.
 * - When leases end is in `leases`, a row for all that one claim took: `due_at` is not after the first `lease_until` of those
 *   of its jobs that still run.
 * - `token` is the fencing token of the latest lease; it only grows. It stays after the holder settled the job, so that a
 *   repeated settlement can be told from a stale one, and is made negative when anything else ended the lease.
 * - Other unique indexes do not begin with the tenant: an index that is not meant for a look-up must not serve it half.
 * - `flow` is 1 for a job that has to do with others (`flows`), and NULL for all others, which are never looked up there.
 * - `lane_counts` has a row for each writer of each node, so that nobody waits for another; a count is the sum of them.
 */
export const migrations: readonly Migration[] = [
  {
    worksWith: 1,
    sql: `
  CREATE TABLE millrace.nodes (
    slot int PRIMARY KEY, owner text, version text, started_at timestamptz, seen_at timestamptz,
    tick bigint NOT NULL DEFAULT 0, tick_limit bigint NOT NULL DEFAULT 0
  );
  CREATE TABLE millrace.tenants (
    tenant int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, created_at bigint NOT NULL
  );
  CREATE TABLE millrace.keys (
    tenant int NOT NULL, seq bigint NOT NULL, name text NOT NULL, hash bytea NOT NULL UNIQUE, hint text NOT NULL,
    scopes text NOT NULL, namespaces text NOT NULL, created_at bigint NOT NULL, expires_at bigint, revoked_at bigint,
    PRIMARY KEY (tenant, seq)
  );

  CREATE TABLE millrace.queues (
    tenant int NOT NULL, queue int GENERATED ALWAYS AS IDENTITY, namespace text NOT NULL, name text NOT NULL, retry text,
    max_depth bigint NOT NULL DEFAULT 0, paused boolean NOT NULL DEFAULT false, created_at bigint NOT NULL,
    PRIMARY KEY (tenant, queue), UNIQUE (name, namespace, tenant)
  );
  CREATE TABLE millrace.lanes (
    tenant int NOT NULL, lane int GENERATED ALWAYS AS IDENTITY, queue int NOT NULL, function text NOT NULL, namespace text NOT NULL,
    PRIMARY KEY (tenant, lane), UNIQUE (queue, function, tenant)
  );
  CREATE TABLE millrace.lane_counts (
    tenant int NOT NULL, lane int NOT NULL, writer int NOT NULL,
    scheduled bigint NOT NULL, pending bigint NOT NULL, running bigint NOT NULL, completed bigint NOT NULL,
    failed bigint NOT NULL, cancelled bigint NOT NULL, dead bigint NOT NULL, total bigint NOT NULL,
    PRIMARY KEY (tenant, lane, writer)
  ) WITH (fillfactor = 30, ${hot});

  CREATE TABLE millrace.jobs (
    tenant int NOT NULL, lane int NOT NULL, seq bigint NOT NULL, rank int, state smallint NOT NULL, priority int NOT NULL,
    attempts int NOT NULL DEFAULT 0, max_attempts int NOT NULL, revision int NOT NULL DEFAULT 1, timeout_ms bigint NOT NULL,
    token bigint, lease_ms bigint, lease_until bigint, deadline bigint,
    created_at bigint NOT NULL, updated_at bigint NOT NULL, run_at bigint, started_at bigint, failed_at bigint, cancelled_at bigint,
    batch bigint, progress real, log_lines int, namespace text NOT NULL, worker text, message text, idempotency_key text, retry text,
    content_type text, headers text, labels text, error text, payload bytea NOT NULL,
    PRIMARY KEY (tenant, seq)
  ) WITH (fillfactor = 50, ${hot});
  CREATE INDEX jobs_ready ON millrace.jobs (tenant, lane, rank, seq) WHERE rank IS NOT NULL;
  CREATE INDEX jobs_scheduled ON millrace.jobs (run_at) WHERE run_at IS NOT NULL;
  CREATE INDEX jobs_dead ON millrace.jobs (tenant, lane, seq) WHERE failed_at IS NOT NULL;
  CREATE INDEX jobs_failed ON millrace.jobs (failed_at) WHERE failed_at IS NOT NULL;
  CREATE INDEX jobs_cancelled ON millrace.jobs (cancelled_at) WHERE cancelled_at IS NOT NULL;
  CREATE INDEX jobs_batch ON millrace.jobs (tenant, batch, seq) WHERE batch IS NOT NULL;

  CREATE TABLE millrace.leases (
    tenant int NOT NULL, id bigint NOT NULL, due_at bigint NOT NULL, seqs bigint[] NOT NULL,
    PRIMARY KEY (tenant, id)
  ) WITH (fillfactor = 90, ${hot});
  CREATE INDEX leases_due ON millrace.leases (due_at);

  CREATE TABLE millrace.completed (
    tenant int NOT NULL, seq bigint NOT NULL, lane int NOT NULL, priority int NOT NULL,
    attempts int NOT NULL, max_attempts int NOT NULL, revision int NOT NULL, token bigint NOT NULL,
    created_at bigint NOT NULL, started_at bigint NOT NULL, finished_at bigint NOT NULL, batch bigint,
    worker text, message text, idempotency_key text, content_type text, headers text, labels text, result_type text,
    payload bytea NOT NULL, result bytea NOT NULL,
    PRIMARY KEY (tenant, seq)
  ) PARTITION BY RANGE (seq);
  CREATE INDEX completed_finished ON millrace.completed (finished_at);
  CREATE INDEX completed_batch ON millrace.completed (tenant, batch, seq) WHERE batch IS NOT NULL;
  CREATE TABLE millrace.completed_rest PARTITION OF millrace.completed DEFAULT;

  CREATE TABLE millrace.labels (
    tenant int NOT NULL, key text NOT NULL, value text NOT NULL, seq bigint NOT NULL,
    PRIMARY KEY (tenant, key, value, seq)
  ) PARTITION BY RANGE (seq);
  CREATE TABLE millrace.labels_rest PARTITION OF millrace.labels DEFAULT;
  CREATE TABLE millrace.logs (
    tenant int NOT NULL, seq bigint NOT NULL, line int NOT NULL, timestamp bigint NOT NULL,
    level smallint NOT NULL, message text NOT NULL, fields text NOT NULL,
    PRIMARY KEY (tenant, seq, line)
  ) PARTITION BY RANGE (seq);
  CREATE TABLE millrace.logs_rest PARTITION OF millrace.logs DEFAULT;

  CREATE TABLE millrace.idempotency (
    tenant int NOT NULL, queue int NOT NULL, key text NOT NULL, seq bigint NOT NULL, hash bytea NOT NULL,
    PRIMARY KEY (tenant, queue, key)
  );
  CREATE TABLE millrace.requests (
    tenant int NOT NULL, id text NOT NULL, outcome text NOT NULL, created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
  );
  CREATE INDEX requests_created ON millrace.requests (created_at);

  -- Completed jobs that finished before this time are past their retention: they are not seen, and go with their partition.
  INSERT INTO millrace.meta (key, value) VALUES ('horizon', 0);
  `,
  },
  { worksWith: 1, sql: 'ALTER TABLE millrace.tenants ADD COLUMN token_secret bytea' },
  {
    worksWith: 2,
    sql: `
  ALTER TABLE millrace.lane_counts ADD COLUMN blocked bigint NOT NULL DEFAULT 0;
  ALTER TABLE millrace.jobs ADD COLUMN flow smallint;
  ALTER TABLE millrace.completed ADD COLUMN flow smallint;

  CREATE TABLE millrace.flows (
    tenant int NOT NULL, seq bigint NOT NULL, gate text NOT NULL, line bigint, state_key text NOT NULL,
    initial bytea, initial_type text, state_ttl bigint NOT NULL,
    PRIMARY KEY (tenant, seq)
  ) PARTITION BY RANGE (seq);
  CREATE INDEX flows_line ON millrace.flows (tenant, gate, line, seq) WHERE line IS NOT NULL;
  CREATE TABLE millrace.flows_rest PARTITION OF millrace.flows DEFAULT;
  CREATE TABLE millrace.gates (
    tenant int NOT NULL, gate text NOT NULL, inside int NOT NULL,
    PRIMARY KEY (tenant, gate)
  ) WITH (fillfactor = 50, ${hot});
  CREATE TABLE millrace.states (
    tenant int NOT NULL, namespace text NOT NULL, key text COLLATE "C" NOT NULL, data bytea NOT NULL, content_type text,
    revision int NOT NULL, updated_at bigint NOT NULL, expires_at bigint,
    PRIMARY KEY (tenant, namespace, key)
  ) WITH (fillfactor = 70, ${hot});
  CREATE INDEX states_expiry ON millrace.states (expires_at) WHERE expires_at IS NOT NULL;
  `,
  },
  { worksWith: 2, sql: kvSchema },
  { worksWith: 2, sql: streamSchema },
  {
    worksWith: 6,
    sql: `
  CREATE TABLE millrace.pipelines (
    tenant int NOT NULL, seq bigint NOT NULL, namespace text NOT NULL, name text NOT NULL, state smallint NOT NULL, go_on smallint NOT NULL,
    timeout_ms bigint NOT NULL, deadline bigint, created_at bigint NOT NULL, finished_at bigint, stage_count int NOT NULL, stages_left int NOT NULL,
    failed int NOT NULL, events int NOT NULL, reason text NOT NULL,
    PRIMARY KEY (tenant, seq)
  );
  CREATE INDEX pipelines_due ON millrace.pipelines (deadline) WHERE deadline IS NOT NULL AND finished_at IS NULL;
  CREATE INDEX pipelines_ended ON millrace.pipelines (state, finished_at) WHERE finished_at IS NOT NULL;
  CREATE TABLE millrace.stages (
    tenant int NOT NULL, pipeline bigint NOT NULL, stage int NOT NULL, name text NOT NULL, state smallint NOT NULL, function text NOT NULL,
    task text NOT NULL, job bigint, waits int NOT NULL, failed int NOT NULL DEFAULT 0, dependencies text NOT NULL, dependents text NOT NULL,
    for_each int, list bytea, items int, items_left int NOT NULL DEFAULT 0, started_at bigint, finished_at bigint, error text,
    PRIMARY KEY (tenant, pipeline, stage)
  );
  CREATE TABLE millrace.stage_jobs (
    tenant int NOT NULL, seq bigint NOT NULL, pipeline bigint NOT NULL, stage int NOT NULL, item int,
    PRIMARY KEY (tenant, seq)
  );
  CREATE INDEX stage_jobs_pipeline ON millrace.stage_jobs (tenant, pipeline, stage);
  CREATE TABLE millrace.stage_results (
    tenant int NOT NULL, pipeline bigint NOT NULL, stage int NOT NULL, item int NOT NULL, data bytea NOT NULL, content_type text,
    PRIMARY KEY (tenant, pipeline, stage, item)
  );
  CREATE TABLE millrace.pipeline_events (
    tenant int NOT NULL, pipeline bigint NOT NULL, event int NOT NULL, stage int, state smallint NOT NULL, at bigint NOT NULL, error text,
    PRIMARY KEY (tenant, pipeline, event)
  );
  `,
  },
  { worksWith: 6, sql: groupSchema },
  {
    worksWith: 6,
    sql: `
  CREATE TABLE millrace.proofs (
    tenant int NOT NULL, seq bigint NOT NULL, namespace text NOT NULL, token bigint NOT NULL, data bytea NOT NULL, created_at bigint NOT NULL,
    PRIMARY KEY (tenant, seq)
  );
  CREATE INDEX proofs_created ON millrace.proofs (created_at);
  `,
  },
  {
    worksWith: 9,
    sql: 'ALTER TABLE millrace.flows ADD COLUMN capacity int NOT NULL DEFAULT 1; ALTER TABLE millrace.flows ADD COLUMN place int NOT NULL DEFAULT 0',
  },
  { worksWith: 9, sql: 'ALTER TABLE millrace.keys ADD COLUMN rate_limit int NOT NULL DEFAULT 0' },
  {
    worksWith: 9,
    sql: `
  CREATE TABLE millrace.schedules (
    tenant int NOT NULL, namespace text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, spec text NOT NULL, payload bytea NOT NULL,
    paused int NOT NULL, revision int NOT NULL, next_at bigint, due_at bigint, last_at bigint, last_job bigint,
    created_at bigint NOT NULL, updated_at bigint NOT NULL,
    PRIMARY KEY (tenant, namespace, name)
  );
  CREATE INDEX schedules_due ON millrace.schedules (due_at) WHERE due_at IS NOT NULL;
  CREATE TABLE millrace.schedule_runs (
    tenant int NOT NULL, namespace text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, run text COLLATE "C" NOT NULL,
    at bigint NOT NULL, manual int NOT NULL, submitted int NOT NULL, reason text NOT NULL, job bigint,
    PRIMARY KEY (tenant, namespace, name, run)
  );
  `,
  },
  { worksWith: 9, sql: webhookSchema },
  { worksWith: 9, sql: producerSchema },
  { worksWith: 14, sql: rateSchema },
  { worksWith: 15, sql: traitSchema },
  { worksWith: 16, sql: triggerSchema },
  { worksWith: 16, sql: depthSchema },
  { worksWith: 18, sql: fairSchema },
  // A server that knows no schemas would write what does not fit.
  { worksWith: 19, sql: schemasSchema },
  { worksWith: 20, sql: compactionSchema },
  { worksWith: 20, sql: objectSchema },
  { worksWith: 20, sql: replaysSchema },
  { worksWith: 23, sql: turnSchema },
]

/** The version of the schema that this code makes and works on. */
export const schemaVersion = migrations.length

/**
 * The schema of the last release, 0 while there is none. Its servers run beside this version's while they are replaced, so
 * each later step works with it; what would not is done in two releases. Set it when a release is made.
 */
export const releasedSchema = 0

/** What is there before the first step. */
export const beginning = `
  CREATE SCHEMA IF NOT EXISTS millrace;
  CREATE TABLE IF NOT EXISTS millrace.meta (key text PRIMARY KEY, value bigint NOT NULL);
`

/** Holds off other servers that start at the same moment; the number means nothing else. */
const migrationLock = 7_411_001

/** Everybody else waits behind a change of a table that waits for somebody: rather give up after this time, and try again … */
const lockTimeout = '500ms'
/** … a moment later, … */
const lockRetryMs = 1000
/** … so often: a transaction that is open for longer than a minute must be ended by people. */
const lockTries = 60

/**
 * Brings a database to this version's schema; safe when several servers do it at once, and while servers work on it.
 *
 * @throws MillraceError UNAVAILABLE when a newer version wrote it that this one cannot work with, or a table is never free.
 */
export async function migrate(db: Database): Promise<void> {
  const version = await readVersion(db)
  for (let next = version; next < migrations.length; next++) await stepWhenFree(db, next)
}

async function stepWhenFree(db: Database, version: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction((transaction) => step(transaction, version), { patient: true })
    } catch (error) {
      if (codeOf((error as Error).cause) !== '55P03' || attempt === lockTries) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, lockRetryMs))
  }
}

async function step(transaction: Transaction, version: number): Promise<void> {
  await transaction.query(`SELECT pg_advisory_xact_lock(${migrationLock})`)
  await transaction.query(`SET LOCAL lock_timeout = '${lockTimeout}'`)
  await transaction.query(beginning)
  // Another server was first.
  if ((await versionIn(transaction)) > version) return
  const { sql, worksWith } = migrations[version]!
  await transaction.query(sql)
  const set = 'INSERT INTO millrace.meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value'
  await transaction.query(set, ['schema', version + 1])
  await transaction.query(`${set} WHERE millrace.meta.value < excluded.value`, ['works_with', worksWith])
}

/** The schema's version; 0 when there is none. Refuses one that this code cannot work with. */
async function readVersion(db: Database): Promise<number> {
  return db.transaction(async (transaction) => {
    const [found] = await transaction.query<{ found: boolean }>("SELECT to_regclass('millrace.meta') IS NOT NULL AS found")
    return found?.found ? versionIn(transaction) : 0
  })
}

async function versionIn(transaction: Transaction): Promise<number> {
  const rows = await transaction.query<{ key: string; value: number }>(
    "SELECT key, value FROM millrace.meta WHERE key IN ('schema', 'works_with')",
  )
  const read = (key: string) => rows.find((row) => row.key === key)?.value ?? 0
  if (read('works_with') > schemaVersion) throw outdated(read('schema'))
  return read('schema')
}

/** What this code says on a schema that it cannot work with. */
export function outdated(schema: number): MillraceError {
  return new MillraceError(
    'UNAVAILABLE',
    `The database has schema version ${schema}, this millrace knows ${schemaVersion}: use a newer millrace (\`millrace db check\` shows the difference).`,
  )
}
