import type { StatementSync } from 'node:sqlite'
import type { Scope } from '../../ports.ts'
import { decodeChunk } from '../../stream-chunks.ts'
import type {
  NewStreamMessage,
  StreamCommit,
  StreamCommitOutcome,
  StreamInfo,
  StreamListener,
  StreamReading,
  StreamRetention,
  StreamSlice,
  StreamStorage,
  StreamWriteOutcome,
  StreamWriteRequest,
} from '../../stream-port.ts'
import {
  answerKey,
  checkCommit,
  fewerPartitions,
  noPartition,
  noStream,
  notOwner,
  placesOf,
  recall,
  refusalOf,
  remember,
} from '../../stream-rules.ts'
import type { Context } from '../context.ts'
import { Groups } from './groups.ts'
import { infoOf, type PartitionEntry, Registry, type StreamEntry } from './registry.ts'
import { Trimmer } from './trim.ts'

interface ChunkRow {
  readonly first_offset: number
  readonly count: number
  readonly written_at: number
  readonly data: Uint8Array
}

/** Streams on SQLite. */
export class SqliteStreams implements StreamStorage {
  readonly #context: Context
  readonly #registry: Registry
  readonly #trimmer: Trimmer
  readonly #groups: Groups
  readonly #around: StatementSync
  readonly #from: StatementSync
  readonly #getCommitted: StatementSync
  readonly #putCommitted: StatementSync
  readonly #update: StatementSync
  readonly #unname: StatementSync
  readonly #findAnswer: StatementSync
  readonly #insertAnswer: StatementSync

  constructor(context: Context) {
    this.#context = context
    this.#registry = new Registry(context)
    this.#trimmer = new Trimmer(context, this.#registry)
    this.#groups = new Groups(context, this.#registry)
    const { db } = context
    const partition = 'FROM stream_chunks WHERE tenant = ? AND stream = ? AND partition = ?'
    this.#around = db.prepare(
      `SELECT first_offset, count, written_at ${partition} AND first_offset <= ? ORDER BY first_offset DESC LIMIT 1`,
    )
    this.#from = db.prepare(`SELECT first_offset, count, written_at, data ${partition} AND first_offset >= ? ORDER BY first_offset`)
    this.#getCommitted = db.prepare('SELECT partition, committed FROM stream_offsets WHERE tenant = ? AND stream = ? AND member_group = ?')
    this.#putCommitted = db.prepare(`INSERT INTO stream_offsets (tenant, stream, member_group, partition, committed, updated_at)
      VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET committed = max(committed, excluded.committed), updated_at = excluded.updated_at
      RETURNING committed`)
    this.#update = db.prepare('UPDATE streams SET max_age_ms = ?, max_bytes = ? WHERE tenant = ? AND stream = ?')
    this.#unname = db.prepare('UPDATE streams SET name = NULL WHERE tenant = ? AND stream = ?')
    this.#findAnswer = db.prepare('SELECT answer FROM answers WHERE tenant = ? AND id = ?')
    this.#insertAnswer = db.prepare('INSERT INTO answers (tenant, id, answer, created_at) VALUES (?, ?, ?, ?)')
  }

  write(request: StreamWriteRequest): Promise<readonly StreamWriteOutcome[]> {
    return this.#context.writer.mutate(() => {
      const { scope, requestId, now } = request
      if (requestId !== '') {
        const known = this.#findAnswer.get(scope.tenant, answerKey(request))
        if (known) return recall(String(known.answer))
      }
      const stream = this.#registry.ensure(scope, request.stream, now)
      const guarded = new Set<PartitionEntry>()
      const outcomes = request.batches.map((batch) => this.#append(stream, batch, guarded, now))
      if (requestId !== '') this.#insertAnswer.run(scope.tenant, answerKey(request), remember(outcomes), now)
      return outcomes
    })
  }

  #append(stream: StreamEntry, batch: readonly NewStreamMessage[], guarded: Set<PartitionEntry>, now: number): StreamWriteOutcome {
    try {
      const partitions = placesOf(batch, stream.partitions.length, stream.turn)
      stream.turn = (stream.turn + 1) % stream.partitions.length
      const offsets = batch.map((message, i) => {
        const partition = stream.partitions[partitions[i]!]!
        if (!guarded.has(partition)) {
          guarded.add(partition)
          this.#registry.guard(partition)
        }
        return this.#registry.append(partition, message, now)
      })
      return { partitions, offsets }
    } catch (error) {
      return refusalOf(error)
    }
  }

  read(
    scope: Scope,
    name: string,
    number: number,
    { offset, maxMessages, maxBytes }: { offset: number; maxMessages: number; maxBytes: number },
  ): Promise<StreamReading> {
    return this.#context.read(() => {
      const partition = this.#partition(scope, name, number)
      const { earliest, next: end } = partition
      let next = Math.max(offset, earliest)
      const slices: StreamSlice[] = []
      if (next >= end) return { slices, next: offset, latest: end - 1 }
      const place = placeOf(partition)
      const first = Number(this.#around.get(...place, next)!.first_offset)
      let left = maxMessages
      let bytes = 0
      for (const found of this.#from.iterate(...place, first) as Iterable<unknown>) {
        const { first_offset, count, written_at, data } = found as ChunkRow
        const from = next - first_offset
        const to = Math.min(count, from + left)
        slices.push({ firstOffset: next, timestamp: written_at, messages: decodeChunk(data, from, to) })
        next = first_offset + to
        left -= to - from
        bytes += (data.length * (to - from)) / count
        if (left === 0 || bytes >= maxBytes) break
      }
      return { slices, next, latest: end - 1 }
    })
  }

  offsetAt(scope: Scope, name: string, number: number, time: number): Promise<number> {
    return this.#context.read(() => {
      const partition = this.#partition(scope, name, number)
      // Times grow with offsets: halve until no row is left.
      let low = partition.earliest
      let high = partition.next
      while (low < high) {
        const middle = low + Math.floor((high - low) / 2)
        const row = this.#around.get(...placeOf(partition), middle) as unknown as ChunkRow
        if (row.written_at >= time) high = row.first_offset
        else low = row.first_offset + row.count
      }
      return low
    })
  }

  commit(scope: Scope, name: string, commits: readonly StreamCommit[], now: number): Promise<readonly StreamCommitOutcome[]> {
    return this.#context.writer.mutate(() => {
      const stream = this.#stream(scope, name)
      const latest = stream.partitions.map(({ next }) => next - 1)
      return commits.map((commit): StreamCommitOutcome => {
        try {
          checkCommit(commit, latest)
          const { group, partition, offset, member = '' } = commit
          if (member !== '' && this.#groups.owners(stream, group)[partition] !== member) throw notOwner(commit)
          return { committed: Number(this.#putCommitted.get(stream.tenant, stream.number, group, partition, offset, now)!.committed) }
        } catch (error) {
          return refusalOf(error)
        }
      })
    })
  }

  committed(scope: Scope, name: string, group: string): Promise<readonly number[]> {
    return this.#context.read(() => {
      const stream = this.#stream(scope, name)
      const committed = stream.partitions.map(() => -1)
      for (const row of this.#getCommitted.all(stream.tenant, stream.number, group))
        committed[Number(row.partition)] = Number(row.committed)
      return committed
    })
  }

  join(scope: Scope, name: string, group: string, member: string, until: number): Promise<void> {
    return this.#context.writer.mutate(() => this.#groups.join(this.#stream(scope, name), group, member, until))
  }

  leave(scope: Scope, name: string, group: string, member: string): Promise<void> {
    return this.#context.writer.mutate(() => this.#groups.leave(this.#stream(scope, name), group, member))
  }

  owners(scope: Scope, name: string, group: string): Promise<readonly (string | undefined)[]> {
    return this.#context.read(() => this.#groups.owners(this.#stream(scope, name), group))
  }

  expireMembers(now: number, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => this.#groups.expire(now, limit))
  }

  describe(scope: Scope, name: string): Promise<StreamInfo | undefined> {
    return this.#context.read(() => {
      const stream = this.#registry.find(scope, name)
      return stream && infoOf(stream)
    })
  }

  put(scope: Scope, name: string, change: { partitions?: number; retention?: StreamRetention }, now: number): Promise<StreamInfo> {
    return this.#context.writer.mutate(() => {
      const stream = this.#registry.ensure(scope, name, now)
      const { partitions = 0, retention } = change
      if (partitions > 0 && partitions < stream.partitions.length) throw fewerPartitions(name, stream.partitions.length, partitions)
      const more = stream.partitions.length < partitions
      while (stream.partitions.length < partitions) this.#registry.addPartition(stream)
      if (more) this.#groups.shareAll(stream)
      if (retention) {
        const before = stream.retention
        stream.retention = retention
        this.#update.run(retention.maxAgeMs, retention.maxBytes, stream.tenant, stream.number)
        this.#context.writer.onRevert(() => {
          stream.retention = before
        })
      }
      return infoOf(stream)
    })
  }

  list(scope: Scope, page: { limit: number; after: string }): Promise<readonly StreamInfo[]> {
    return this.#context.read(() =>
      [...this.#registry.all()]
        .filter(({ tenant, namespace, name }) => {
          return tenant === scope.tenant && namespace === scope.namespace && name !== undefined && name > page.after
        })
        .sort((a, b) => (a.name! < b.name! ? -1 : 1))
        .slice(0, page.limit)
        .map(infoOf),
    )
  }

  delete(scope: Scope, name: string): Promise<boolean> {
    return this.#context.writer.mutate(() => {
      const stream = this.#registry.find(scope, name)
      if (!stream) return false
      this.#unname.run(stream.tenant, stream.number)
      this.#registry.unname(stream)
      return true
    })
  }

  trim(now: number, limit: number): Promise<number> {
    return this.#trimmer.run(now, limit)
  }

  listen(listener: StreamListener): void {
    this.#registry.listener = listener
  }

  #stream(scope: Scope, name: string): StreamEntry {
    const stream = this.#registry.find(scope, name)
    if (!stream) throw noStream(name)
    return stream
  }

  #partition(scope: Scope, name: string, number: number): PartitionEntry {
    const stream = this.#stream(scope, name)
    const partition = stream.partitions[number]
    if (!partition) throw noPartition('partition', number, stream.partitions.length)
    return partition
  }
}

function placeOf({ stream, number }: PartitionEntry): [number, number, number] {
  return [stream.tenant, stream.number, number]
}
