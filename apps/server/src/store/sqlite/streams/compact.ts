import type { StatementSync } from 'node:sqlite'
import { slicesOf, without } from '../../stream-chunks.ts'
import { compact, compactAfterMs, keysOf } from '../../stream-compaction.ts'
import type { Context } from '../context.ts'
import type { PartitionEntry, Registry, StreamEntry } from './registry.ts'

interface ChunkRow {
  readonly first_offset: number
  readonly count: number
  readonly written_at: number
  readonly data: Uint8Array
}

/** Removes messages that others with their key replaced, from streams with compaction. */
export class Compactor {
  readonly #context: Context
  readonly #registry: Registry
  readonly #due: StatementSync
  readonly #stale: StatementSync
  readonly #around: StatementSync
  readonly #after: StatementSync
  readonly #key: StatementSync
  readonly #putKey: StatementSync
  readonly #dropKey: StatementSync
  readonly #replace: StatementSync
  readonly #drop: StatementSync

  constructor(context: Context, registry: Registry) {
    this.#context = context
    this.#registry = registry
    const { db } = context
    const partition = 'tenant = ? AND stream = ? AND partition = ?'
    this.#due = db.prepare(`SELECT key, last_offset FROM stream_keys WHERE ${partition} AND due_at <= ? AND last_offset < ? LIMIT ?`)
    this.#stale = db.prepare(`SELECT key FROM stream_keys WHERE ${partition} AND last_offset < ? LIMIT ?`)
    const row = `SELECT first_offset, count, written_at, data FROM stream_chunks WHERE ${partition}`
    this.#around = db.prepare(`${row} AND first_offset <= ? ORDER BY first_offset DESC LIMIT 1`)
    this.#after = db.prepare(`${row} AND first_offset >= ? ORDER BY first_offset LIMIT 1`)
    this.#key = db.prepare(`SELECT last_offset FROM stream_keys WHERE ${partition} AND key = ?`)
    this.#putKey = db.prepare(`INSERT INTO stream_keys (tenant, stream, partition, key, last_offset, due_at) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET last_offset = excluded.last_offset, due_at = excluded.due_at`)
    this.#dropKey = db.prepare(`DELETE FROM stream_keys WHERE ${partition} AND key = ?`)
    this.#replace = db.prepare(
      `UPDATE stream_chunks SET first_offset = ?, count = ?, bytes = ?, data = ? WHERE ${partition} AND first_offset = ?`,
    )
    this.#drop = db.prepare(`DELETE FROM stream_chunks WHERE ${partition} AND first_offset = ?`)
  }

  /** Looks at so many messages of a stream, or as there are; returns how many. */
  async run(stream: StreamEntry, now: number, limit: number): Promise<number> {
    let left = limit
    for (const partition of stream.partitions) {
      if (left === 0) break
      if (this.#hasWork(partition, now)) left -= await this.#context.writer.mutate(() => this.#step(partition, now, left))
    }
    return limit - left
  }

  #hasWork(partition: PartitionEntry, now: number): boolean {
    const place = placeOf(partition)
    return (
      this.#next(partition, now) !== undefined ||
      this.#due.get(...place, now, partition.next - 1, 1) !== undefined ||
      this.#stale.get(...place, partition.earliest, 1) !== undefined
    )
  }

  /** Inside a mutation. */
  #step(partition: PartitionEntry, now: number, limit: number): number {
    const place = placeOf(partition)
    const removed: number[] = []
    let left = limit
    // Keys of messages past their retention.
    for (const { key } of this.#stale.all(...place, partition.earliest, left)) {
      this.#dropKey.run(...place, String(key))
      left--
    }
    // The newest message stays: what was written last is always there.
    for (const { key, last_offset } of this.#due.all(...place, now, partition.next - 1, left)) {
      this.#dropKey.run(...place, String(key))
      removed.push(Number(last_offset))
      left--
    }
    let { compacted } = partition
    const row = left > 0 ? this.#next(partition, now) : undefined
    if (row) {
      const end = row.first_offset + row.count
      const slices = slicesOf(chunkOf(row), compacted, end, left)
      const known = new Map<string, number>()
      for (const key of keysOf(slices)) {
        const found = this.#key.get(...place, key)
        if (found) known.set(key, Number(found.last_offset))
      }
      const { keys, removed: replaced } = compact(slices, known)
      for (const [key, { offset, dueAt }] of keys) this.#putKey.run(...place, key, offset, dueAt)
      removed.push(...replaced)
      const looked = slices.reduce((sum, { messages }) => sum + messages.length, 0)
      const last = slices.at(-1)!
      compacted = looked < left ? end : last.firstOffset + last.messages.length
      left -= looked
    }
    const freed = this.#remove(place, removed)
    const first = this.#after.get(...place, 0)
    const earliest = first ? Number(first.first_offset) : partition.next - partition.pending.length
    this.#registry.drop(partition, earliest, freed, compacted)
    return limit - left
  }

  /** The row to look at next, when it is old enough. */
  #next(partition: PartitionEntry, now: number): ChunkRow | undefined {
    const place = placeOf(partition)
    const { compacted } = partition
    if (compacted >= partition.next) return undefined
    const around = this.#around.get(...place, compacted) as unknown as ChunkRow | undefined
    const row =
      around && around.first_offset + around.count > compacted
        ? around
        : (this.#after.get(...place, compacted) as unknown as ChunkRow | undefined)
    return row && row.written_at <= now - compactAfterMs ? row : undefined
  }

  /** Removes messages by their offsets; returns how many bytes that freed. */
  #remove(place: [number, number, number], offsets: readonly number[]): number {
    const removed = new Set(offsets.toSorted((a, b) => a - b))
    let freed = 0
    for (const offset of removed) {
      const row = this.#around.get(...place, offset) as unknown as ChunkRow | undefined
      if (!row || row.first_offset + row.count <= offset) continue
      const rest = without(chunkOf(row), removed)
      // Others of the row went with it.
      for (let each = offset + 1; each < row.first_offset + row.count; each++) removed.delete(each)
      if (rest) this.#replace.run(rest.firstOffset, rest.count, rest.data.length, rest.data, ...place, row.first_offset)
      else this.#drop.run(...place, row.first_offset)
      freed += row.data.length - (rest?.data.length ?? 0)
    }
    return freed
  }
}

function chunkOf({ first_offset, written_at, data }: ChunkRow) {
  return { firstOffset: first_offset, timestamp: written_at, data }
}

function placeOf({ stream, number }: PartitionEntry): [number, number, number] {
  return [stream.tenant, stream.number, number]
}
