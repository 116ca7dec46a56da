/**
 * Keys and values. A deleted key keeps its row (`type` over 1, no value) for a while, so that watchers who were away hear of it;
 * `floor` is the last revision whose deletion was forgotten. `kv_versions` holds what a row was before, in stores that keep a history.
 * `answers` holds what named requests were answered.
 */
export const kvSchema = `
  CREATE TABLE kv_stores (
    tenant INTEGER NOT NULL, store INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, history INTEGER NOT NULL DEFAULT 1,
    revision INTEGER NOT NULL DEFAULT 0, floor INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, store), UNIQUE (tenant, namespace, name)
  ) WITHOUT ROWID;
  CREATE TABLE kv (
    tenant INTEGER NOT NULL, store INTEGER NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, type INTEGER NOT NULL,
    value BLOB, content_type TEXT NOT NULL, expires_at INTEGER, updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, store, key)
  ) WITHOUT ROWID;
  CREATE UNIQUE INDEX kv_changes ON kv (tenant, store, revision);
  CREATE INDEX kv_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;
  CREATE INDEX kv_gone ON kv (updated_at) WHERE type > 1;
  CREATE TABLE kv_versions (
    tenant INTEGER NOT NULL, store INTEGER NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, type INTEGER NOT NULL,
    value BLOB, content_type TEXT NOT NULL, expires_at INTEGER, updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, store, key, revision)
  ) WITHOUT ROWID;
  CREATE TABLE answers (
    tenant INTEGER NOT NULL, id TEXT NOT NULL, answer TEXT NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
  ) WITHOUT ROWID;
  CREATE INDEX answers_created ON answers (created_at);
`
