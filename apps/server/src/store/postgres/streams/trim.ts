import type { Context } from '../context.ts'
import type { Statement } from '../database.ts'
import { compactStreams } from './compact.ts'

const deleted: Statement = {
  name: 'stream_deleted',
  repeatable: true,
  text: 'SELECT tenant, stream FROM millrace.streams WHERE name IS NULL ORDER BY stream LIMIT 1',
}
const dropSome: Statement = {
  name: 'stream_drop_some',
  repeatable: true,
  text: `WITH old AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.stream_chunks WHERE tenant = $1 AND stream = $2 LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM millrace.stream_chunks c USING old WHERE c.ctid = old.at RETURNING 1`,
}
const dropKeys: Statement = {
  name: 'stream_drop_keys',
  repeatable: true,
  text: `WITH old AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.stream_keys WHERE tenant = $1 AND stream = $2 LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM millrace.stream_keys k USING old WHERE k.ctid = old.at RETURNING 1`,
}
const dropRest: Statement = {
  name: 'stream_drop_rest',
  repeatable: true,
  text: `WITH offsets AS (
      DELETE FROM millrace.stream_offsets WHERE tenant = $1 AND stream = $2
    ), members AS (
      DELETE FROM millrace.stream_members WHERE tenant = $1 AND stream = $2
    ), producers AS (
      DELETE FROM millrace.stream_producers WHERE tenant = $1 AND stream = $2
    ), partitions AS (
      DELETE FROM millrace.stream_partitions WHERE tenant = $1 AND stream = $2
    )
    DELETE FROM millrace.streams WHERE tenant = $1 AND stream = $2 AND name IS NULL`,
}
const trimmed: Statement = {
  name: 'stream_trimmed',
  repeatable: true,
  text: `SELECT p.tenant, p.stream, p.partition, s.max_age_ms, s.max_bytes FROM millrace.streams s
    JOIN millrace.stream_partitions p ON p.tenant = s.tenant AND p.stream = s.stream
    WHERE s.name IS NOT NULL AND (s.max_age_ms > 0 OR s.max_bytes > 0) AND p.earliest < p.next AND (s.max_age_ms > 0 OR p.bytes > s.max_bytes)`,
}
/** Drops the oldest rows of a partition, as long as they are too old (`$4`: the latest time that is) or what is left is too large (`$5`; 0: never). */
const drop: Statement = {
  name: 'stream_trim',
  repeatable: true,
  // Held first, as by compaction: they wait for each other in one order.
  text: `WITH held AS MATERIALIZED (
      SELECT bytes FROM millrace.stream_partitions WHERE tenant = $1 AND stream = $2 AND partition = $3 FOR UPDATE
    ), oldest AS MATERIALIZED (
      SELECT first_offset, count, written_at, bytes, sum(bytes) OVER (ORDER BY first_offset) - bytes AS before FROM (
        SELECT first_offset, count, written_at, bytes FROM millrace.stream_chunks
        WHERE tenant = $1 AND stream = $2 AND partition = $3 AND EXISTS (SELECT 1 FROM held) ORDER BY first_offset LIMIT $6
      ) AS c
    ), gone AS (
      DELETE FROM millrace.stream_chunks c USING oldest o
      WHERE c.tenant = $1 AND c.stream = $2 AND c.partition = $3 AND c.first_offset = o.first_offset AND (
        o.written_at <= $4 OR ($5::bigint > 0 AND (SELECT bytes FROM held) - o.before > $5)
      )
      RETURNING c.first_offset + c.count AS next, c.bytes
    ), moved AS (
      UPDATE millrace.stream_partitions p SET earliest = greatest(p.earliest, g.next), bytes = p.bytes - g.bytes
      FROM (SELECT max(next) AS next, sum(bytes) AS bytes FROM gone) AS g
      WHERE p.tenant = $1 AND p.stream = $2 AND p.partition = $3 AND g.next IS NOT NULL
    )
    SELECT 1 FROM gone`,
}

/**
 * Drops messages: past their retention, replaced in streams with compaction, or of deleted streams. Any server may do it, also
 * several at once.
 */
export async function trimStreams({ db }: Context, now: number, limit: number): Promise<number> {
  let left = limit
  while (left > 0) {
    const [stream] = await db.run<[number, number]>(deleted, [])
    if (!stream) break
    let dropped = (await db.run(dropSome, [...stream, left])).length
    if (dropped < left) dropped += (await db.run(dropKeys, [...stream, left - dropped])).length
    if (dropped < left) await db.run(dropRest, [...stream])
    left -= dropped
  }
  for (const [tenant, stream, partition, maxAgeMs, maxBytes] of await db.run<[number, number, number, number, number]>(trimmed, [])) {
    if (left <= 0) break
    const latest = maxAgeMs > 0 ? now - maxAgeMs : -1
    left -= (await db.run(drop, [tenant, stream, partition, latest, maxBytes, left])).length
  }
  if (left > 0) left -= await compactStreams(db, now, left)
  return limit - left
}
