import type { StatementSync } from 'node:sqlite'
import type { Scope } from '../../ports.ts'
import { slicesOf } from '../../stream-chunks.ts'
import type {
  StreamBatch,
  StreamChange,
  StreamCommit,
  StreamCommitOutcome,
  StreamCreateRequest,
  StreamInfo,
  StreamListener,
  StreamReading,
  StreamSlice,
  StreamState,
  StreamStorage,
  StreamWriteOutcome,
  StreamWriteRequest,
} from '../../stream-port.ts'
import { afterWrite } from '../../stream-producers.ts'
import {
  answerKey,
  checkCommit,
  fewerPartitions,
  noPartition,
  noStream,
  notCompacted,
  notOwner,
  oneSequence,
  placesOf,
  recall,
  refusalOf,
  remember,
} from '../../stream-rules.ts'
import { admitBatch, traitsAfter, usedUntil } from '../../stream-traits.ts'
import { isOneSequence } from '../../trait-port.ts'
import type { Context } from '../context.ts'
import { Groups } from './groups.ts'
import { Lifecycle } from './lifecycle.ts'
import { Producers } from './producers.ts'
import { infoOf, type PartitionEntry, Registry, type StreamEntry, stateOf } from './registry.ts'
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
  readonly #producers: Producers
  readonly #lifecycle: Lifecycle
  readonly #around: StatementSync
  readonly #from: StatementSync
  readonly #getCommitted: StatementSync
  readonly #putCommitted: StatementSync
  readonly #update: StatementSync
  readonly #findAnswer: StatementSync
  readonly #insertAnswer: StatementSync

  constructor(context: Context) {
    this.#context = context
    this.#registry = new Registry(context)
    this.#trimmer = new Trimmer(context, this.#registry)
    this.#groups = new Groups(context, this.#registry)
    this.#producers = new Producers(context.db)
    this.#lifecycle = new Lifecycle(context, this.#registry)
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
    this.#update = db.prepare('UPDATE streams SET max_age_ms = ?, max_bytes = ?, compaction = ? WHERE tenant = ? AND stream = ?')
    this.#findAnswer = db.prepare('SELECT answer FROM answers WHERE tenant = ? AND id = ?')
    this.#insertAnswer = db.prepare('INSERT INTO answers (tenant, id, answer, created_at) VALUES (?, ?, ?, ?)')
  }

  write(request: StreamWriteRequest): Promise<readonly StreamWriteOutcome[]> {
    return this.#context.writer.mutate(() => this.writeInside(request))
  }

  /** Inside a mutation. */
  writeInside(request: StreamWriteRequest): readonly StreamWriteOutcome[] {
    const { scope, requestId, now } = request
    if (requestId !== '') {
      const known = this.#findAnswer.get(scope.tenant, answerKey(request))
      if (known) return recall(String(known.answer))
    }
    const { to } = request
    const known = this.#registry.find(scope, request.stream)
    const stream = to === undefined ? (known ?? this.#registry.ensure(scope, request.stream, now)) : known
    if (!stream || (to !== undefined && stream.number !== to)) return request.batches.map(() => ({ error: noStream(request.stream) }))
    const guarded = new Set<PartitionEntry>()
    const outcomes = request.batches.map((batch) => this.#append(stream, batch, guarded, now))
    if (!known && outcomes.every((outcome) => 'error' in outcome)) this.#registry.unmake(stream)
    if (requestId !== '') this.#insertAnswer.run(scope.tenant, answerKey(request), remember(outcomes), now)
    return outcomes
  }

  #append(stream: StreamEntry, batch: StreamBatch, guarded: Set<PartitionEntry>, now: number): StreamWriteOutcome {
    const { messages, producer } = batch
    try {
      const state = producer && this.#producers.find(stream, producer.id)
      const answer = admitBatch(stream.name ?? '', stream.traits, state, batch)
      if (answer) return answer
      const partitions = placesOf(messages, stream.partitions.length, stream.turn)
      stream.turn = (stream.turn + 1) % stream.partitions.length
      const offsets = messages.map((message, i) => {
        const partition = stream.partitions[partitions[i]!]!
        if (!guarded.has(partition)) {
          guarded.add(partition)
          this.#registry.guard(partition)
        }
        return this.#registry.append(partition, message, now)
      })
      const outcome = { partitions, offsets }
      if (producer && !state) this.#producers.forget(stream, producer.id, now)
      if (producer) this.#producers.put(stream, producer.id, afterWrite(state, producer, outcome), now)
      this.#registry.describe(stream, traitsAfter(stream.traits, batch, now))
      return outcome
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
      const latest = partition.next - 1
      const stream = partition.stream.number
      let next = Math.max(offset, partition.earliest)
      const slices: StreamSlice[] = []
      while (slices.length === 0) {
        const { partition: holder, end } = this.#lifecycle.holder(partition, next)
        if (next >= end) return { number: stream, slices, next: offset, latest }
        const place = placeOf(holder)
        const first = Number(this.#around.get(...place, next)?.first_offset ?? next)
        let left = maxMessages
        let bytes = 0
        for (const found of this.#from.iterate(...place, first) as Iterable<unknown>) {
          const { first_offset, count, written_at, data } = found as ChunkRow
          if (first_offset >= end) break
          const taken = slicesOf({ firstOffset: first_offset, timestamp: written_at, data }, next, end, left)
          for (const slice of taken) {
            slices.push(slice)
            left -= slice.messages.length
            bytes += (data.length * slice.messages.length) / count
          }
          const last = taken.at(-1)
          if (last) next = left === 0 ? last.firstOffset + last.messages.length : Math.min(first_offset + count, end)
          if (left === 0 || bytes >= maxBytes || next >= end) break
        }
        // What was dropped there is passed over.
        if (slices.length === 0) next = end
      }
      return { number: stream, slices, next, latest }
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
        const { partition: holder, end } = this.#lifecycle.holder(partition, middle)
        const place = placeOf(holder)
        const row = this.#around.get(...place, middle) as ChunkRow | undefined
        if (row && row.written_at >= time) high = row.first_offset
        else if (row && row.first_offset + row.count > middle) low = Math.min(row.first_offset + row.count, end)
        else low = Math.min(Number(this.#from.get(...place, middle)?.first_offset ?? end), end)
      }
      return low
    })
  }

  commit(scope: Scope, name: string, commits: readonly StreamCommit[], now: number): Promise<readonly StreamCommitOutcome[]> {
    return this.#context.writer.mutate(() => this.commitInside(scope, name, commits, now))
  }

  /** Inside a mutation. */
  commitInside(scope: Scope, name: string, commits: readonly StreamCommit[], now: number): readonly StreamCommitOutcome[] {
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

  put(scope: Scope, name: string, change: StreamChange, now: number): Promise<StreamInfo> {
    return this.#context.writer.mutate(() => {
      const stream = this.#registry.ensure(scope, name, now)
      const { partitions = 0, retention = stream.retention, compaction = stream.compaction } = change
      if (partitions > 1 && isOneSequence(stream.traits)) throw oneSequence(name)
      if (compaction && isOneSequence(stream.traits)) throw notCompacted(name)
      if (partitions > 0 && partitions < stream.partitions.length) throw fewerPartitions(name, stream.partitions.length, partitions)
      const more = stream.partitions.length < partitions
      while (stream.partitions.length < partitions) this.#registry.addPartition(stream)
      if (more) this.#groups.shareAll(stream)
      const before = { retention: stream.retention, compaction: stream.compaction }
      Object.assign(stream, { retention, compaction })
      this.#update.run(retention.maxAgeMs, retention.maxBytes, Number(compaction), stream.tenant, stream.number)
      this.#context.writer.onRevert(() => Object.assign(stream, before))
      return infoOf(stream)
    })
  }

  list(scope: Scope, page: { limit: number; after: string }): Promise<readonly StreamInfo[]> {
    return this.#context.read(() =>
      [...this.#registry.all()]
        .filter(({ tenant, namespace, name, traits }) => {
          return tenant === scope.tenant && namespace === scope.namespace && name !== undefined && name > page.after && !traits.gone
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
      this.#lifecycle.remove(stream)
      return true
    })
  }

  state(scope: Scope, name: string): Promise<StreamState | undefined> {
    return this.#context.read(() => {
      const stream = this.#registry.named(scope, name)
      return stream && stateOf(stream)
    })
  }

  create(request: StreamCreateRequest): Promise<{ readonly created: boolean; readonly state: StreamState }> {
    return this.#context.writer.mutate(() => this.#lifecycle.create(request))
  }

  async use(scope: Scope, name: string, state: StreamState, now: number): Promise<void> {
    if (usedUntil(state, now) === state.expiresAt) return
    const stream = this.#registry.find(scope, name)
    if (stream?.number !== state.number) return
    await this.#context.writer.mutate(() => this.#lifecycle.use(stream, now))
  }

  async expire(now: number, limit: number): Promise<number> {
    if (this.#lifecycle.ended(now, 1).length === 0) return 0
    return this.#context.writer.mutate(() => {
      const ended = this.#lifecycle.ended(now, limit)
      for (const stream of ended) this.#lifecycle.remove(stream)
      return ended.length
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
