/**
 * Keys and values, ordered by their bytes. A deleted key keeps its row (`type` over 1, no value) for a while, so that watchers
 * who were away hear of it; `floor` is the last revision whose deletion was forgotten. `kv_versions` holds what a row was
 * before, in stores that keep a history. Who changes a store holds its row in `kv_stores`: revisions become visible in order.
 * `answers` holds what named requests were answered.
 */
export const kvSchema = `
  CREATE TABLE millrace.kv_stores (
    tenant int NOT NULL, store int GENERATED ALWAYS AS IDENTITY, namespace text NOT NULL, name text NOT NULL, history int NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 0, floor bigint NOT NULL DEFAULT 0, created_at bigint NOT NULL,
    PRIMARY KEY (tenant, store), UNIQUE (name, namespace, tenant)
  ) WITH (fillfactor = 50);
  CREATE TABLE millrace.kv (
    tenant int NOT NULL, store int NOT NULL, key text COLLATE "C" NOT NULL, revision bigint NOT NULL, type smallint NOT NULL,
    value bytea, content_type text NOT NULL, expires_at bigint, updated_at bigint NOT NULL,
    PRIMARY KEY (tenant, store, key)
  );
  CREATE INDEX kv_changes ON millrace.kv (tenant, store, revision);
  CREATE INDEX kv_expiry ON millrace.kv (expires_at) WHERE expires_at IS NOT NULL;
  CREATE INDEX kv_gone ON millrace.kv (updated_at) WHERE type > 1;
  CREATE TABLE millrace.kv_versions (
    tenant int NOT NULL, store int NOT NULL, key text COLLATE "C" NOT NULL, revision bigint NOT NULL, type smallint NOT NULL,
    value bytea, content_type text NOT NULL, expires_at bigint, updated_at bigint NOT NULL,
    PRIMARY KEY (tenant, store, key, revision)
  );
  CREATE TABLE millrace.answers (
    tenant int NOT NULL, id text NOT NULL, answer text NOT NULL, created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
  );
  CREATE INDEX answers_created ON millrace.answers (created_at);
`
