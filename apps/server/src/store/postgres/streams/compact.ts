import { slicesOf, without } from '../../stream-chunks.ts'
import { compact, compactAfterMs, keysOf } from '../../stream-compaction.ts'
import { numbers, texts } from '../arrays.ts'
import type { Database, Statement, Transaction } from '../database.ts'

type Place = readonly [tenant: number, stream: number, partition: number]
interface Chunk {
  readonly first: number
  readonly count: number
  readonly timestamp: number
  readonly data: Uint8Array
}

const at = 'tenant = $1 AND stream = $2 AND partition = $3'
/** Partitions with something to do at a time (`$1`); messages written after `$2` are not looked at. */
const due: Statement = {
  name: 'stream_compact_due',
  repeatable: true,
  text: `SELECT p.tenant, p.stream, p.partition FROM millrace.streams s
    JOIN millrace.stream_partitions p ON p.tenant = s.tenant AND p.stream = s.stream
    WHERE s.name IS NOT NULL AND s.compaction = 1 AND (
      p.compacted < p.next AND coalesce((
        SELECT c.written_at FROM millrace.stream_chunks c
        WHERE c.tenant = p.tenant AND c.stream = p.stream AND c.partition = p.partition AND c.first_offset >= coalesce((
          SELECT o.first_offset FROM millrace.stream_chunks o
          WHERE o.tenant = p.tenant AND o.stream = p.stream AND o.partition = p.partition AND o.first_offset <= p.compacted
          ORDER BY o.first_offset DESC LIMIT 1
        ), p.compacted) AND c.first_offset + c.count > p.compacted ORDER BY c.first_offset LIMIT 1
      ), p.written_at) <= $2
      OR EXISTS (SELECT 1 FROM millrace.stream_keys k WHERE k.tenant = p.tenant AND k.stream = p.stream AND k.partition = p.partition
        AND k.due_at <= $1 AND k.last_offset < p.next - 1)
      OR EXISTS (SELECT 1 FROM millrace.stream_keys k WHERE k.tenant = p.tenant AND k.stream = p.stream AND k.partition = p.partition
        AND k.last_offset < p.earliest)
    )`,
}
const holdStream = `SELECT 1 AS one FROM millrace.streams WHERE tenant = $1 AND stream = $2 AND name IS NOT NULL AND compaction = 1 FOR UPDATE`
const holdPartition = `SELECT earliest, next, compacted FROM millrace.stream_partitions WHERE ${at} FOR UPDATE`
const dropStale = `
  DELETE FROM millrace.stream_keys WHERE ${at} AND key IN (SELECT key FROM millrace.stream_keys WHERE ${at} AND last_offset < $4 LIMIT $5)
  RETURNING last_offset AS at`
const dropDue = `
  DELETE FROM millrace.stream_keys WHERE ${at} AND key IN (
    SELECT key FROM millrace.stream_keys WHERE ${at} AND due_at <= $4 AND last_offset < $5 LIMIT $6)
  RETURNING last_offset AS at`
const columns = 'first_offset AS first, count, written_at AS timestamp, data'
const rowsAround = `
  SELECT ${columns} FROM millrace.stream_chunks WHERE ${at} AND first_offset >= coalesce((
    SELECT first_offset FROM millrace.stream_chunks WHERE ${at} AND first_offset <= $4 ORDER BY first_offset DESC LIMIT 1), $4)
  ORDER BY first_offset LIMIT 2`
const knownKeys = `
  SELECT k.key, k.last_offset AS at FROM unnest($4::text[]) AS i (key)
  JOIN millrace.stream_keys k ON k.tenant = $1 AND k.stream = $2 AND k.partition = $3 AND k.key = i.key`
const putKeys = `
  INSERT INTO millrace.stream_keys (tenant, stream, partition, key, last_offset, due_at)
  SELECT $1, $2, $3, i.key, i.at, nullif(i.due_at, -1) FROM unnest($4::text[], $5::bigint[], $6::bigint[]) AS i (key, at, due_at)
  ON CONFLICT (tenant, stream, partition, key) DO UPDATE SET last_offset = excluded.last_offset, due_at = excluded.due_at`
const rowOf = `SELECT ${columns} FROM millrace.stream_chunks WHERE ${at} AND first_offset <= $4 ORDER BY first_offset DESC LIMIT 1`
const replaceRow = `UPDATE millrace.stream_chunks SET first_offset = $5, count = $6, bytes = $7, data = $8 WHERE ${at} AND first_offset = $4`
const dropRow = `DELETE FROM millrace.stream_chunks WHERE ${at} AND first_offset = $4`
const movePartition = `
  UPDATE millrace.stream_partitions SET compacted = $4, bytes = bytes - $5,
    earliest = coalesce((SELECT first_offset FROM millrace.stream_chunks WHERE ${at} ORDER BY first_offset LIMIT 1), next)
  WHERE ${at}`

/** Removes messages that others with their key replaced, from streams with compaction; returns how many it looked at. */
export async function compactStreams(db: Database, now: number, limit: number): Promise<number> {
  let left = limit
  for (const place of await db.run<Place>(due, [now, now - compactAfterMs])) {
    if (left === 0) break
    left -= await db.transaction((transaction) => step(transaction, place, now, left))
  }
  return limit - left
}

async function step(transaction: Transaction, place: Place, now: number, limit: number): Promise<number> {
  const [tenant, stream] = place
  // As who writes: the stream, then its partition.
  if ((await transaction.query(holdStream, [tenant, stream])).length === 0) return 0
  const [held] = await transaction.query<{ earliest: number; next: number; compacted: number }>(holdPartition, place)
  const { earliest, next } = held!
  let left = limit
  // Keys of messages past their retention.
  left -= (await transaction.query(dropStale, [...place, earliest, left])).length
  // The newest message stays: what was written last is always there.
  const over = left === 0 ? [] : await transaction.query<{ at: number }>(dropDue, [...place, now, next - 1, left])
  const removed = over.map(({ at }) => at)
  left -= over.length
  let { compacted } = held!
  const found = left === 0 ? [] : await transaction.query<Chunk>(rowsAround, [...place, compacted])
  const row = found.find(({ first, count }) => first + count > compacted)
  if (left > 0 && !row) compacted = next
  if (row && row.timestamp <= now - compactAfterMs) {
    const end = row.first + row.count
    const slices = slicesOf(chunkOf(row), compacted, end, left)
    const keysFound = await transaction.query<{ key: string; at: number }>(knownKeys, [...place, texts(keysOf(slices))])
    const { keys, removed: replaced } = compact(slices, new Map(keysFound.map(({ key, at }) => [key, at])))
    const states = [...keys.values()]
    await transaction.query(putKeys, [
      ...place,
      texts([...keys.keys()]),
      numbers(states.map(({ offset }) => offset)),
      numbers(states.map(({ dueAt }) => dueAt ?? -1)),
    ])
    removed.push(...replaced)
    const looked = slices.reduce((sum, { messages }) => sum + messages.length, 0)
    const last = slices.at(-1)!
    compacted = looked < left ? end : last.firstOffset + last.messages.length
    left -= looked
  }
  const freed = await remove(transaction, place, removed)
  await transaction.query(movePartition, [...place, compacted, freed])
  return limit - left
}

/** Removes messages by their offsets; returns how many bytes that freed. */
async function remove(transaction: Transaction, place: Place, offsets: readonly number[]): Promise<number> {
  const removed = new Set(offsets.toSorted((a, b) => a - b))
  let freed = 0
  for (const offset of removed) {
    const [row] = await transaction.query<Chunk>(rowOf, [...place, offset])
    if (!row || row.first + row.count <= offset) continue
    const rest = without(chunkOf(row), removed)
    // Others of the row went with it.
    for (let each = offset + 1; each < row.first + row.count; each++) removed.delete(each)
    if (rest) await transaction.query(replaceRow, [...place, row.first, rest.firstOffset, rest.count, rest.data.length, rest.data])
    else await transaction.query(dropRow, [...place, row.first])
    freed += row.data.length - (rest?.data.length ?? 0)
  }
  return freed
}

function chunkOf({ first, timestamp, data }: Chunk) {
  return { firstOffset: first, timestamp, data }
}
