/**
 * Streams. Messages that are committed together are one row of a partition (or a few, when they are many), found by the
 * offset of its first: `data` is what `stream-chunks.ts` says. A deleted stream has no name any more; its rows go bit by bit.
 */
export const streamSchema = `
  CREATE TABLE streams (
    tenant INTEGER NOT NULL, stream INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT, max_age_ms INTEGER NOT NULL DEFAULT 0,
    max_bytes INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, stream), UNIQUE (tenant, namespace, name)
  ) WITHOUT ROWID;
  CREATE TABLE stream_partitions (
    tenant INTEGER NOT NULL, stream INTEGER NOT NULL, partition INTEGER NOT NULL, earliest INTEGER NOT NULL DEFAULT 0,
    next INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, written_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, stream, partition)
  ) WITHOUT ROWID;
  CREATE TABLE stream_chunks (
    tenant INTEGER NOT NULL, stream INTEGER NOT NULL, partition INTEGER NOT NULL, first_offset INTEGER NOT NULL, count INTEGER NOT NULL,
    written_at INTEGER NOT NULL, bytes INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (tenant, stream, partition, first_offset)
  );
  CREATE TABLE stream_offsets (
    tenant INTEGER NOT NULL, stream INTEGER NOT NULL, member_group TEXT NOT NULL, partition INTEGER NOT NULL, committed INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, stream, member_group, partition)
  ) WITHOUT ROWID;
`

/** Balanced groups: who is a member, and whose a partition is. */
export const groupSchema = `
  CREATE TABLE stream_members (
    tenant INTEGER NOT NULL, stream INTEGER NOT NULL, member_group TEXT NOT NULL, member TEXT NOT NULL, seq INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, stream, member_group, member)
  ) WITHOUT ROWID;
  ALTER TABLE stream_offsets ADD COLUMN owner TEXT;
`
