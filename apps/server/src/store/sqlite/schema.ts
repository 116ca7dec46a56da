import type { DatabaseSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import { fairSchema, rateSchema, triggerSchema, turnSchema } from './flow-schema.ts'
import { kvSchema } from './kv/schema.ts'
import { objectSchema } from './object-schema.ts'
import { replaysSchema } from './replays-schema.ts'
import { schemasSchema } from './schemas-schema.ts'
import { compactionSchema, depthSchema, groupSchema, producerSchema, streamSchema, traitSchema } from './streams/schema.ts'
import { webhookSchema } from './webhook-schema.ts'

/**
 * The schema, one entry a version, applied in order and never changed once released.
 *
 * - Every primary key begins with the tenant.
 * - A job's row holds all that is small; payloads and results over `inlineBytes` are in `blobs`, so that a change of
 *   state never rewrites them.
 * - `due_at` is when something happens by itself: a scheduled job runs, a lease or an attempt's time ends.
 * - `flow` is 1 for a job that has to do with others (`flows`), and NULL for all others, which are never looked up there.
 * - `token` is the fencing token of the latest lease. It stays after the holder settled the job, so that a repeated
 *   settlement can be told from a stale one, and is NULL after anything else ended the lease.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO meta VALUES ('seq', 0);

  CREATE TABLE tenants (tenant INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL);

  CREATE TABLE keys (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, hint TEXT NOT NULL,
    scopes TEXT NOT NULL, namespaces TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER,
    PRIMARY KEY (tenant, seq)
  ) WITHOUT ROWID;

  CREATE TABLE queues (
    tenant INTEGER NOT NULL, queue INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, retry TEXT,
    max_depth INTEGER NOT NULL DEFAULT 0, paused INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, queue), UNIQUE (tenant, namespace, name)
  ) WITHOUT ROWID;

  CREATE TABLE lanes (
    tenant INTEGER NOT NULL, lane INTEGER NOT NULL, queue INTEGER NOT NULL, function TEXT NOT NULL,
    scheduled INTEGER NOT NULL DEFAULT 0, pending INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, lane), UNIQUE (tenant, queue, function)
  ) WITHOUT ROWID;

  CREATE TABLE jobs (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, lane INTEGER NOT NULL, state INTEGER NOT NULL,
    priority INTEGER NOT NULL, attempts INTEGER NOT NULL, max_attempts INTEGER NOT NULL, token INTEGER,
    due_at INTEGER, deadline INTEGER, lease_ms INTEGER, timeout_ms INTEGER NOT NULL,
    created_at INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER, updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL, worker TEXT, batch INTEGER, progress REAL, message TEXT,
    idempotency_key TEXT, retry TEXT, content_type TEXT, headers TEXT, labels TEXT,
    result_type TEXT, error TEXT, payload BLOB, result BLOB,
    PRIMARY KEY (tenant, seq)
  ) WITHOUT ROWID;
  CREATE INDEX jobs_ready ON jobs (tenant, lane, priority DESC, seq) WHERE state = 2;
  CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
  CREATE INDEX jobs_ended ON jobs (state, finished_at) WHERE finished_at IS NOT NULL;
  CREATE INDEX jobs_dead ON jobs (tenant, lane, seq) WHERE state = 6;
  CREATE INDEX jobs_batch ON jobs (tenant, batch, seq) WHERE batch IS NOT NULL;

  CREATE TABLE blobs (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (tenant, seq, kind)
  );
  CREATE TABLE labels (
    tenant INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (tenant, key, value, seq)
  ) WITHOUT ROWID;
  CREATE TABLE logs (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, line INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    level INTEGER NOT NULL, message TEXT NOT NULL, fields TEXT NOT NULL,
    PRIMARY KEY (tenant, seq, line)
  ) WITHOUT ROWID;
  CREATE TABLE idempotency (
    tenant INTEGER NOT NULL, queue INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (tenant, queue, key)
  ) WITHOUT ROWID;
  CREATE TABLE requests (
    tenant INTEGER NOT NULL, id TEXT NOT NULL, outcome TEXT NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
  ) WITHOUT ROWID;
  CREATE INDEX requests_created ON requests (created_at);
  `,
  'ALTER TABLE tenants ADD COLUMN token_secret BLOB',
  `
  ALTER TABLE lanes ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE jobs ADD COLUMN flow INTEGER;

  CREATE TABLE flows (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, gate TEXT NOT NULL, line INTEGER, state_key TEXT NOT NULL,
    initial BLOB, initial_type TEXT, state_ttl INTEGER NOT NULL,
    PRIMARY KEY (tenant, seq)
  ) WITHOUT ROWID;
  CREATE INDEX flows_line ON flows (tenant, gate, line, seq) WHERE line IS NOT NULL;
  CREATE TABLE gates (
    tenant INTEGER NOT NULL, gate TEXT NOT NULL, inside INTEGER NOT NULL,
    PRIMARY KEY (tenant, gate)
  ) WITHOUT ROWID;
  CREATE TABLE states (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL, content_type TEXT,
    revision INTEGER NOT NULL, updated_at INTEGER NOT NULL, expires_at INTEGER,
    PRIMARY KEY (tenant, namespace, key)
  );
  CREATE INDEX states_expiry ON states (expires_at) WHERE expires_at IS NOT NULL;
  `,
  kvSchema,
  streamSchema,
  `
  CREATE TABLE pipelines (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, state INTEGER NOT NULL, go_on INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL, deadline INTEGER, created_at INTEGER NOT NULL, finished_at INTEGER, stage_count INTEGER NOT NULL, stages_left INTEGER NOT NULL,
    failed INTEGER NOT NULL, events INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (tenant, seq)
  ) WITHOUT ROWID;
  CREATE INDEX pipelines_due ON pipelines (deadline) WHERE deadline IS NOT NULL AND finished_at IS NULL;
  CREATE INDEX pipelines_ended ON pipelines (state, finished_at) WHERE finished_at IS NOT NULL;
  CREATE TABLE stages (
    tenant INTEGER NOT NULL, pipeline INTEGER NOT NULL, stage INTEGER NOT NULL, name TEXT NOT NULL, state INTEGER NOT NULL, function TEXT NOT NULL,
    task TEXT NOT NULL, job INTEGER, waits INTEGER NOT NULL, failed INTEGER NOT NULL DEFAULT 0, dependencies TEXT NOT NULL, dependents TEXT NOT NULL,
    for_each INTEGER, list BLOB, items INTEGER, items_left INTEGER NOT NULL DEFAULT 0, started_at INTEGER, finished_at INTEGER, error TEXT,
    PRIMARY KEY (tenant, pipeline, stage)
  ) WITHOUT ROWID;
  CREATE TABLE stage_jobs (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, pipeline INTEGER NOT NULL, stage INTEGER NOT NULL, item INTEGER,
    PRIMARY KEY (tenant, seq)
  ) WITHOUT ROWID;
  CREATE INDEX stage_jobs_pipeline ON stage_jobs (tenant, pipeline, stage);
  CREATE TABLE stage_results (
    tenant INTEGER NOT NULL, pipeline INTEGER NOT NULL, stage INTEGER NOT NULL, item INTEGER NOT NULL, data BLOB NOT NULL, content_type TEXT,
    PRIMARY KEY (tenant, pipeline, stage, item)
  );
  CREATE TABLE pipeline_events (
    tenant INTEGER NOT NULL, pipeline INTEGER NOT NULL, event INTEGER NOT NULL, stage INTEGER, state INTEGER NOT NULL, at INTEGER NOT NULL, error TEXT,
    PRIMARY KEY (tenant, pipeline, event)
  ) WITHOUT ROWID;
  `,
  groupSchema,
  `
  CREATE TABLE proofs (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, namespace TEXT NOT NULL, token INTEGER NOT NULL, data BLOB NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, seq)
  );
  CREATE INDEX proofs_created ON proofs (created_at);
  `,
  'ALTER TABLE flows ADD COLUMN capacity INTEGER NOT NULL DEFAULT 1; ALTER TABLE flows ADD COLUMN place INTEGER NOT NULL DEFAULT 0',
  'ALTER TABLE keys ADD COLUMN rate_limit INTEGER NOT NULL DEFAULT 0',
  `
  CREATE TABLE schedules (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, spec TEXT NOT NULL, payload BLOB NOT NULL,
    paused INTEGER NOT NULL, revision INTEGER NOT NULL, next_at INTEGER, due_at INTEGER, last_at INTEGER, last_job INTEGER,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace, name)
  );
  CREATE INDEX schedules_due ON schedules (due_at) WHERE due_at IS NOT NULL;
  CREATE TABLE schedule_runs (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, run TEXT NOT NULL, at INTEGER NOT NULL,
    manual INTEGER NOT NULL, submitted INTEGER NOT NULL, reason TEXT NOT NULL, job INTEGER,
    PRIMARY KEY (tenant, namespace, name, run)
  ) WITHOUT ROWID;
  `,
  webhookSchema,
  producerSchema,
  rateSchema,
  traitSchema,
  triggerSchema,
  depthSchema,
  fairSchema,
  schemasSchema,
  compactionSchema,
  objectSchema,
  replaysSchema,
  turnSchema,
]

/** The database's version of the schema; 0 when it has none. */
export function versionOf(db: DatabaseSync): number {
  return (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
}

/**
 * Brings a database to this version's schema.
 *
 * @throws MillraceError UNAVAILABLE when a newer version wrote it.
 */
export function migrate(db: DatabaseSync): void {
  const version = versionOf(db)
  if (version > migrations.length) {
    throw new MillraceError(
      'UNAVAILABLE',
      `It has schema version ${version}, this millrace knows ${migrations.length}: use a newer millrace (\`millrace db check\` shows the difference).`,
    )
  }
  for (let next = version; next < migrations.length; next++) {
    db.exec(`BEGIN; ${migrations[next]}; PRAGMA user_version = ${next + 1}; COMMIT;`)
  }
}
