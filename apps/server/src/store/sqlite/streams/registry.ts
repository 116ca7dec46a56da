import type { SQLOutputValue, StatementSync } from 'node:sqlite'
import { MillraceError } from '../../../errors.ts'
import type { Scope, TenantId } from '../../ports.ts'
import { mostOf } from '../../quotas.ts'
import { cutIntoChunks } from '../../stream-chunks.ts'
import type { StreamInfo, StreamListener, StreamMessage, StreamRetention, StreamState } from '../../stream-port.ts'
import { plainTraits, StreamGone, type StreamTraits } from '../../trait-port.ts'
import type { Context } from '../context.ts'

/** A partition, in memory. */
export interface PartitionEntry {
  readonly stream: StreamEntry
  readonly number: number
  earliest: number
  next: number
  bytes: number
  writtenAt: number
  /** The first offset that compaction has not looked at. */
  compacted: number
  /** Written in the transaction that is being made; the last one has the offset before `next`. */
  pending: StreamMessage[]
}

/** A stream, in memory. */
export interface StreamEntry extends Scope {
  readonly number: number
  /** Undefined when it is deleted. */
  name: string | undefined
  retention: StreamRetention
  compaction: boolean
  traits: StreamTraits
  readonly createdAt: number
  readonly partitions: PartitionEntry[]
  /** Whose turn it is to get messages without a key. */
  turn: number
}

/** Most streams of a tenant: they stay in memory. */
const most = mostOf.streams

/** The streams with their partitions: kept in memory; what a transaction wrote goes into few rows at its end, and is told of after it. */
export class Registry {
  listener: StreamListener = { written() {}, regrouped() {}, missed() {} }
  readonly #context: Context
  readonly #byName = new Map<string, StreamEntry>()
  readonly #all = new Map<number, StreamEntry>()
  readonly #perTenant = new Map<TenantId, number>()
  readonly #dirty = new Set<PartitionEntry>()
  readonly #insert: StatementSync
  readonly #insertPartition: StatementSync
  readonly #insertChunk: StatementSync
  readonly #delete: StatementSync
  readonly #deletePartitions: StatementSync
  readonly #updatePartition: StatementSync
  readonly #updateTraits: StatementSync
  #lastNumber = 0

  constructor(context: Context) {
    this.#context = context
    const { db } = context
    this.#insert = db.prepare('INSERT INTO streams (tenant, stream, namespace, name, created_at) VALUES (?, ?, ?, ?, ?)')
    this.#insertPartition = db.prepare('INSERT INTO stream_partitions (tenant, stream, partition) VALUES (?, ?, ?)')
    this.#delete = db.prepare('DELETE FROM streams WHERE tenant = ? AND stream = ?')
    this.#deletePartitions = db.prepare('DELETE FROM stream_partitions WHERE tenant = ? AND stream = ?')
    this.#insertChunk = db.prepare(`INSERT INTO stream_chunks (tenant, stream, partition, first_offset, count, written_at, bytes, data)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#updatePartition = db.prepare(`UPDATE stream_partitions SET earliest = ?, next = ?, bytes = ?, written_at = ?, compacted = ?
      WHERE tenant = ? AND stream = ? AND partition = ?`)
    this.#updateTraits =
      db.prepare(`UPDATE streams SET content_type = ?, ttl_ms = ?, expires_at = ?, closed = ?, last_order = ?, source = ?,
      inherited = ?, fork_sub = ?, fork_depth = ?, gone = ? WHERE tenant = ? AND stream = ?`)
    this.#load()
    context.beforeCommit(() => this.#write())
  }

  /** The stream, when there is one. */
  find(scope: Scope, name: string): StreamEntry | undefined {
    const stream = this.named(scope, name)
    return stream?.traits.gone ? undefined : stream
  }

  /** The stream that has the name, also when it is gone. */
  named(scope: Scope, name: string): StreamEntry | undefined {
    return this.#byName.get(keyOf(scope, name))
  }

  /** True when there are forks of a stream. */
  hasForks({ number }: StreamEntry): boolean {
    for (const { name, traits } of this.#all.values()) if (name !== undefined && traits.fork?.source === number) return true
    return false
  }

  /** The stream of a number found in a row. */
  numbered(number: number): StreamEntry | undefined {
    return this.#all.get(number)
  }

  /** Every stream; deleted ones too, until they are gone. */
  all(): Iterable<StreamEntry> {
    return this.#all.values()
  }

  /** Inside a mutation: the stream, made with one partition when it is new. */
  ensure(scope: Scope, name: string, now: number): StreamEntry {
    const known = this.named(scope, name)
    if (known?.traits.gone) throw new StreamGone(name)
    if (known) return known
    const { tenant, namespace } = scope
    const current = this.#perTenant.get(tenant) ?? 0
    if (current >= most) {
      throw new MillraceError(
        'QUOTA_EXCEEDED',
        `There are ${current} streams, which is the most there may be. Delete some, or use fewer names.`,
        {
          quota: { type: 'streams', current, limit: most },
        },
      )
    }
    const number = this.#lastNumber + 1
    const stream: StreamEntry = {
      tenant,
      namespace,
      number,
      name,
      createdAt: now,
      retention: { maxAgeMs: 0, maxBytes: 0 },
      compaction: false,
      traits: plainTraits,
      partitions: [],
      turn: 0,
    }
    this.#insert.run(tenant, number, namespace, name, now)
    this.#add(stream)
    this.#context.writer.onRevert(() => this.#remove(stream, name))
    this.addPartition(stream)
    return stream
  }

  /** Inside the mutation that made the stream: takes it back, before anything is in it. */
  unmake(stream: StreamEntry): void {
    this.#deletePartitions.run(stream.tenant, stream.number)
    this.#delete.run(stream.tenant, stream.number)
    this.#remove(stream, stream.name)
  }

  /** Inside a mutation: gives a stream one partition more. */
  addPartition(stream: StreamEntry): void {
    const number = stream.partitions.length
    this.#insertPartition.run(stream.tenant, stream.number, number)
    stream.partitions.push(newPartition(stream, number))
    this.#context.writer.onRevert(() => stream.partitions.pop())
  }

  /** Inside a mutation: what a stream is from now on. */
  describe(stream: StreamEntry, traits: StreamTraits): void {
    const before = stream.traits
    if (traits === before) return
    const { contentType, ttlMs, expiresAt, closed, order, fork, gone } = traits
    const values = [
      contentType,
      ttlMs,
      expiresAt,
      Number(closed),
      order,
      fork?.source ?? null,
      fork?.inherited ?? 0,
      fork?.sub ?? 0,
      fork?.depth ?? 0,
    ]
    this.#updateTraits.run(...values, Number(gone), stream.tenant, stream.number)
    stream.traits = traits
    this.#context.writer.onRevert(() => {
      stream.traits = before
    })
    const { tenant, namespace, name } = stream
    if (name === undefined || (closed === before.closed && gone === before.gone)) return
    this.#context.writer.afterwards(() => this.listener.written({ tenant, namespace, stream: name }))
  }

  /** Inside a mutation that made the partition: its messages begin elsewhere. */
  begin(partition: PartitionEntry, earliest: number, next: number): void {
    Object.assign(partition, { earliest, next })
    this.#dirty.add(partition)
  }

  /** Inside a mutation: adds a message; returns its offset. */
  append(partition: PartitionEntry, message: StreamMessage, now: number): number {
    partition.pending.push(message)
    partition.writtenAt = Math.max(partition.writtenAt, now)
    this.#dirty.add(partition)
    return partition.next++
  }

  /** Inside a mutation: takes back what is appended from now on, if it fails. */
  guard(partition: PartitionEntry): void {
    const { next, pending } = partition
    const { length } = pending
    this.#context.writer.onRevert(() => {
      partition.next = next
      if (pending.length > length) pending.length = length
    })
  }

  /** Inside a mutation: messages of a partition were dropped, after compaction looked at those before `compacted`. */
  drop(partition: PartitionEntry, earliest: number, bytes: number, compacted = partition.compacted): void {
    const before = { earliest: partition.earliest, bytes: partition.bytes, compacted: partition.compacted }
    partition.earliest = earliest
    partition.bytes -= bytes
    partition.compacted = compacted
    this.#dirty.add(partition)
    this.#context.writer.onRevert(() => Object.assign(partition, before))
  }

  /** Inside a mutation: takes a stream's name from it. */
  unname(stream: StreamEntry): void {
    const { name } = stream
    if (name === undefined) return
    stream.name = undefined
    this.#byName.delete(keyOf(stream, name))
    this.#context.writer.onRevert(() => {
      stream.name = name
      this.#byName.set(keyOf(stream, name), stream)
    })
    this.#context.writer.afterwards(() => this.listener.written({ tenant: stream.tenant, namespace: stream.namespace, stream: name }))
  }

  /** After a mutation: forgets a deleted stream. */
  forget(stream: StreamEntry): void {
    this.#remove(stream, undefined)
  }

  #write(): void {
    if (this.#dirty.size === 0) return
    const changed = [...this.#dirty]
    this.#dirty.clear()
    const written = new Set<StreamEntry>()
    for (const partition of changed) {
      const { stream, number, pending } = partition
      const { tenant } = stream
      if (pending.length > 0) {
        partition.pending = []
        written.add(stream)
        for (const { firstOffset, count, data } of cutIntoChunks(partition.next - pending.length, pending)) {
          this.#insertChunk.run(tenant, stream.number, number, firstOffset, count, partition.writtenAt, data.length, data)
          partition.bytes += data.length
          this.#context.writer.onRevert(() => {
            partition.bytes -= data.length
          })
        }
      }
      const { earliest, next, bytes, writtenAt, compacted } = partition
      this.#updatePartition.run(earliest, next, bytes, writtenAt, compacted, tenant, stream.number, number)
    }
    if (written.size === 0) return
    this.#context.writer.afterwards(() => {
      for (const { tenant, namespace, name } of written) if (name !== undefined) this.listener.written({ tenant, namespace, stream: name })
    })
  }

  #add(stream: StreamEntry): void {
    this.#all.set(stream.number, stream)
    if (stream.name !== undefined) this.#byName.set(keyOf(stream, stream.name), stream)
    this.#perTenant.set(stream.tenant, (this.#perTenant.get(stream.tenant) ?? 0) + 1)
    this.#lastNumber = Math.max(this.#lastNumber, stream.number)
  }

  #remove(stream: StreamEntry, name: string | undefined): void {
    if (!this.#all.delete(stream.number)) return
    if (name !== undefined) this.#byName.delete(keyOf(stream, name))
    this.#perTenant.set(stream.tenant, this.#perTenant.get(stream.tenant)! - 1)
  }

  #load(): void {
    const { db } = this.#context
    for (const row of db.prepare('SELECT * FROM streams').iterate()) {
      this.#add({
        tenant: Number(row.tenant),
        namespace: String(row.namespace),
        number: Number(row.stream),
        name: row.name === null ? undefined : String(row.name),
        retention: { maxAgeMs: Number(row.max_age_ms), maxBytes: Number(row.max_bytes) },
        compaction: row.compaction === 1,
        traits: traitsOf(row),
        createdAt: Number(row.created_at),
        partitions: [],
        turn: 0,
      })
    }
    for (const row of db.prepare('SELECT * FROM stream_partitions ORDER BY tenant, stream, partition').iterate()) {
      const stream = this.#all.get(Number(row.stream))!
      stream.partitions.push({
        ...newPartition(stream, Number(row.partition)),
        earliest: Number(row.earliest),
        next: Number(row.next),
        bytes: Number(row.bytes),
        writtenAt: Number(row.written_at),
        compacted: Number(row.compacted),
      })
    }
  }
}

/** A stream as the domain sees it. */
export function infoOf({ name = '', partitions, retention, compaction, createdAt }: StreamEntry): StreamInfo {
  const each = partitions.map(({ earliest, next, bytes }) => ({ earliest, latest: next - 1, bytes }))
  return { name, partitions: each, retention, compaction, createdAt }
}

/** A stream as its state. */
export function stateOf({ traits, number, createdAt, partitions }: StreamEntry): StreamState {
  const { earliest, next } = partitions[0]!
  return { ...traits, number, createdAt, partitions: partitions.length, earliest, next }
}

function traitsOf(row: Record<string, SQLOutputValue>): StreamTraits {
  const fork = { source: Number(row.source), inherited: Number(row.inherited), sub: Number(row.fork_sub), depth: Number(row.fork_depth) }
  return {
    contentType: String(row.content_type),
    ttlMs: Number(row.ttl_ms),
    expiresAt: Number(row.expires_at),
    closed: row.closed === 1,
    order: String(row.last_order),
    fork: row.source === null ? undefined : fork,
    gone: row.gone === 1,
  }
}

function newPartition(stream: StreamEntry, number: number): PartitionEntry {
  return { stream, number, earliest: 0, next: 0, bytes: 0, writtenAt: 0, compacted: 0, pending: [] }
}

function keyOf({ tenant, namespace }: Scope, name: string): string {
  return `${tenant} ${namespace} ${name}`
}
