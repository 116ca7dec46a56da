/**
 * Streams. Messages that are committed together are one row of a partition (or a few, when they are many), found by the
 * offset of its first: `data` is what `stream-chunks.ts` says. Who writes holds the stream's row: offsets become visible in
 * order. A deleted stream has no name any more; its rows go bit by bit.
 */
export const streamSchema = `
  CREATE TABLE millrace.streams (
    tenant int NOT NULL, stream int GENERATED ALWAYS AS IDENTITY, namespace text NOT NULL, name text, max_age_ms bigint NOT NULL DEFAULT 0,
    max_bytes bigint NOT NULL DEFAULT 0, created_at bigint NOT NULL,
    PRIMARY KEY (tenant, stream), UNIQUE (name, namespace, tenant)
  );
  CREATE INDEX streams_deleted ON millrace.streams (stream) WHERE name IS NULL;
  CREATE INDEX streams_trimmed ON millrace.streams (stream) WHERE name IS NOT NULL AND (max_age_ms > 0 OR max_bytes > 0);
  CREATE TABLE millrace.stream_partitions (
    tenant int NOT NULL, stream int NOT NULL, partition int NOT NULL, earliest bigint NOT NULL DEFAULT 0, next bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0, written_at bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, stream, partition)
  ) WITH (fillfactor = 50);
  CREATE TABLE millrace.stream_chunks (
    tenant int NOT NULL, stream int NOT NULL, partition int NOT NULL, first_offset bigint NOT NULL, count int NOT NULL,
    written_at bigint NOT NULL, bytes int NOT NULL, data bytea NOT NULL,
    PRIMARY KEY (tenant, stream, partition, first_offset)
  );
  CREATE INDEX stream_chunks_time ON millrace.stream_chunks (tenant, stream, partition, written_at, first_offset);
  CREATE TABLE millrace.stream_offsets (
    tenant int NOT NULL, stream int NOT NULL, member_group text NOT NULL, partition int NOT NULL, committed bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (tenant, stream, member_group, partition)
  ) WITH (fillfactor = 50);
`

/** Balanced groups: who is a member, and whose a partition is. */
export const groupSchema = `
  CREATE TABLE millrace.stream_members (
    tenant int NOT NULL, stream int NOT NULL, member_group text NOT NULL, member text NOT NULL, seq bigint NOT NULL, expires_at bigint NOT NULL,
    PRIMARY KEY (tenant, stream, member_group, member)
  ) WITH (fillfactor = 50);
  CREATE INDEX stream_members_expiry ON millrace.stream_members (expires_at);
  ALTER TABLE millrace.stream_offsets ADD COLUMN owner text;
`

/** Producers: the last write of each. `answers` is what `stream-producers.ts` says. */
export const producerSchema = `
  CREATE TABLE millrace.stream_producers (
    tenant int NOT NULL, stream int NOT NULL, producer text COLLATE "C" NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL,
    answers text NOT NULL, updated_at bigint NOT NULL,
    PRIMARY KEY (tenant, stream, producer)
  ) WITH (fillfactor = 50);
`

/** What a stream is beside its messages: `stream-traits.ts` says it. */
export const traitSchema = `
  ALTER TABLE millrace.streams ADD COLUMN content_type text NOT NULL DEFAULT '', ADD COLUMN ttl_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN expires_at bigint NOT NULL DEFAULT 0, ADD COLUMN closed int NOT NULL DEFAULT 0, ADD COLUMN last_order text NOT NULL DEFAULT '',
    ADD COLUMN source int, ADD COLUMN inherited bigint NOT NULL DEFAULT 0, ADD COLUMN fork_sub bigint NOT NULL DEFAULT 0,
    ADD COLUMN gone int NOT NULL DEFAULT 0;
  CREATE INDEX streams_forks ON millrace.streams (tenant, source) WHERE source IS NOT NULL;
  CREATE INDEX streams_expiry ON millrace.streams (expires_at) WHERE expires_at > 0;
`

/** How many forks are between a stream and the first one. */
export const depthSchema = 'ALTER TABLE millrace.streams ADD COLUMN fork_depth int NOT NULL DEFAULT 0'

/** Compaction: how far each partition was looked at, and the newest message of each key up to there. `due_at` is when that goes itself. */
export const compactionSchema = `
  ALTER TABLE millrace.streams ADD COLUMN compaction int NOT NULL DEFAULT 0;
  CREATE INDEX streams_compacted ON millrace.streams (stream) WHERE name IS NOT NULL AND compaction = 1;
  ALTER TABLE millrace.stream_partitions ADD COLUMN compacted bigint NOT NULL DEFAULT 0;
  CREATE TABLE millrace.stream_keys (
    tenant int NOT NULL, stream int NOT NULL, partition int NOT NULL, key text COLLATE "C" NOT NULL, last_offset bigint NOT NULL, due_at bigint,
    PRIMARY KEY (tenant, stream, partition, key)
  ) WITH (fillfactor = 70);
  CREATE INDEX stream_keys_place ON millrace.stream_keys (tenant, stream, partition, last_offset);
  CREATE INDEX stream_keys_due ON millrace.stream_keys (tenant, stream, partition, due_at) WHERE due_at IS NOT NULL;
`
