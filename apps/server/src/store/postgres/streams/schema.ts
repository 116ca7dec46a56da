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
