import type { StatementSync } from 'node:sqlite'
import type { Context } from '../context.ts'
import { Compactor } from './compact.ts'
import type { PartitionEntry, Registry, StreamEntry } from './registry.ts'

/** Drops messages: past their retention, replaced in streams with compaction, or of deleted streams. */
export class Trimmer {
  readonly #context: Context
  readonly #registry: Registry
  readonly #compactor: Compactor
  readonly #oldest: StatementSync
  readonly #drop: StatementSync
  readonly #dropSome: readonly StatementSync[]
  readonly #dropRest: readonly StatementSync[]

  constructor(context: Context, registry: Registry) {
    this.#context = context
    this.#registry = registry
    this.#compactor = new Compactor(context, registry)
    const { db } = context
    const partition = 'tenant = ? AND stream = ? AND partition = ?'
    this.#oldest = db.prepare(
      `SELECT first_offset, count, written_at, bytes FROM stream_chunks WHERE ${partition} ORDER BY first_offset LIMIT ?`,
    )
    this.#drop = db.prepare(`DELETE FROM stream_chunks WHERE ${partition} AND first_offset = ?`)
    this.#dropSome = ['stream_chunks', 'stream_keys'].map((table) =>
      db.prepare(`DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE tenant = ? AND stream = ? LIMIT ?)`),
    )
    this.#dropRest = ['stream_members', 'stream_offsets', 'stream_producers', 'stream_partitions', 'streams'].map((table) =>
      db.prepare(`DELETE FROM ${table} WHERE tenant = ? AND stream = ?`),
    )
  }

  async run(now: number, limit: number): Promise<number> {
    let left = limit
    for (const stream of [...this.#registry.all()]) {
      if (left === 0) break
      if (stream.name === undefined) left -= await this.#forget(stream, left)
      else if (stream.retention.maxAgeMs > 0 || stream.retention.maxBytes > 0) left -= await this.#trim(stream, now, left)
      if (stream.name !== undefined && stream.compaction && left > 0) left -= await this.#compactor.run(stream, now, left)
    }
    return limit - left
  }

  #trim(stream: StreamEntry, now: number, limit: number): Promise<number> {
    const due = stream.partitions.filter((partition) => partition.earliest < partition.next && mayBeFull(partition))
    if (due.length === 0) return Promise.resolve(0)
    return this.#context.writer.mutate(() =>
      due.reduce((dropped, partition) => dropped + this.#trimOne(partition, now, limit - dropped), 0),
    )
  }

  #trimOne(partition: PartitionEntry, now: number, limit: number): number {
    const { stream, number } = partition
    const { maxAgeMs, maxBytes } = stream.retention
    let { bytes, earliest } = partition
    let dropped = 0
    for (const row of this.#oldest.all(stream.tenant, stream.number, number, limit)) {
      const old = maxAgeMs > 0 && Number(row.written_at) <= now - maxAgeMs
      if (!old && !(maxBytes > 0 && bytes > maxBytes)) break
      this.#drop.run(stream.tenant, stream.number, number, Number(row.first_offset))
      bytes -= Number(row.bytes)
      earliest = Number(row.first_offset) + Number(row.count)
      dropped++
    }
    if (dropped > 0) this.#registry.drop(partition, earliest, partition.bytes - bytes)
    return dropped
  }

  async #forget(stream: StreamEntry, limit: number): Promise<number> {
    const { tenant, number } = stream
    const dropped = await this.#context.writer.mutate(() => {
      let rows = 0
      for (const statement of this.#dropSome) rows += Number(statement.run(tenant, number, limit - rows).changes)
      if (rows < limit) for (const statement of this.#dropRest) statement.run(tenant, number)
      return rows
    })
    if (dropped < limit) this.#registry.forget(stream)
    return dropped
  }
}

/** True when there may be something to drop: a look at the rows tells. */
function mayBeFull({ stream, bytes }: PartitionEntry): boolean {
  const { maxAgeMs, maxBytes } = stream.retention
  return maxAgeMs > 0 || (maxBytes > 0 && bytes > maxBytes)
}
