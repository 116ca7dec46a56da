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

/** Producers: the last write of each. `answers` is what `stream-producers.ts` says. */
export const producerSchema = `
  CREATE TABLE stream_producers (
    tenant INTEGER NOT NULL, stream INTEGER NOT NULL, producer TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    answers TEXT NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, stream, producer)
  ) WITHOUT ROWID;
`

/** What a stream is beside its messages: `stream-traits.ts` says it. */
export const traitSchema = `
  ALTER TABLE streams ADD COLUMN content_type TEXT NOT NULL DEFAULT '';
  ALTER TABLE streams ADD COLUMN ttl_ms INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE streams ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE streams ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE streams ADD COLUMN last_order TEXT NOT NULL DEFAULT '';
  ALTER TABLE streams ADD COLUMN source INTEGER;
  ALTER TABLE streams ADD COLUMN inherited INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE streams ADD COLUMN fork_sub INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE streams ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
`

/** How many forks are between a stream and the first one. */
export const depthSchema = 'ALTER TABLE streams ADD COLUMN fork_depth INTEGER NOT NULL DEFAULT 0'

/** Compaction: how far each partition was looked at, and the newest message of each key up to there. `due_at` is when that goes itself. */
export const compactionSchema = `
  ALTER TABLE streams ADD COLUMN compaction INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE stream_partitions ADD COLUMN compacted INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE stream_keys (
    tenant INTEGER NOT NULL, stream INTEGER NOT NULL, partition INTEGER NOT NULL, key TEXT NOT NULL, last_offset INTEGER NOT NULL, due_at INTEGER,
    PRIMARY KEY (tenant, stream, partition, key)
  );
  CREATE INDEX stream_keys_place ON stream_keys (tenant, stream, partition, last_offset);
  CREATE INDEX stream_keys_due ON stream_keys (tenant, stream, partition, due_at) WHERE due_at IS NOT NULL;
`
