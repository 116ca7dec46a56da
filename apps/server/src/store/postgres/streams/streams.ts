import type { Scope } from '../../ports.ts'
import { slicesOf } from '../../stream-chunks.ts'
import type {
  PartitionInfo,
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
import { fewerPartitions, noPartition, notCompacted, oneSequence } from '../../stream-rules.ts'
import { StreamGone } from '../../trait-port.ts'
import type { Context } from '../context.ts'
import type { Statement } from '../database.ts'
import { commitOffsets } from './commits.ts'
import { Groups } from './groups.ts'
import { Lifecycle } from './lifecycle.ts'
import { named, partitions, type Row, readPartitions } from './partitions.ts'
import { trimStreams } from './trim.ts'
import { StreamWriter } from './write.ts'

/** Rows from an offset (`$4`) on, none that begins after as many messages as are wanted (`$5`), nor after as many bytes (`$6`). */
const chunks: Statement = {
  name: 'stream_read',
  repeatable: true,
  text: `SELECT first_offset, count, written_at, data FROM (
      SELECT first_offset, count, written_at, data, sum(bytes) OVER (ORDER BY first_offset) - bytes AS before FROM (
        SELECT first_offset, count, written_at, bytes, data FROM millrace.stream_chunks
        WHERE tenant = $1 AND stream = $2 AND partition = $3 AND first_offset >= coalesce((
          SELECT o.first_offset FROM millrace.stream_chunks o
          WHERE o.tenant = $1 AND o.stream = $2 AND o.partition = $3 AND o.first_offset <= $4 ORDER BY o.first_offset DESC LIMIT 1
        ), $4) AND first_offset < $4 + $5::int ORDER BY first_offset LIMIT 1000
      ) AS c
    ) AS c WHERE before < $6 OR first_offset <= $4 ORDER BY first_offset`,
}
/** The first row that begins at an offset or later. */
const following: Statement = {
  name: 'stream_following',
  repeatable: true,
  text: `SELECT first_offset FROM millrace.stream_chunks WHERE tenant = $1 AND stream = $2 AND partition = $3 AND first_offset >= $4
    ORDER BY first_offset LIMIT 1`,
}
const atTime: Statement = {
  name: 'stream_at_time',
  repeatable: true,
  text: `SELECT first_offset FROM millrace.stream_chunks WHERE tenant = $1 AND stream = $2 AND partition = $3 AND written_at >= $4
    ORDER BY written_at, first_offset LIMIT 1`,
}
const committed: Statement = {
  name: 'stream_committed',
  repeatable: true,
  text: 'SELECT partition, committed FROM millrace.stream_offsets WHERE tenant = $1 AND stream = $2 AND member_group = $3',
}
const list: Statement = {
  name: 'stream_list',
  repeatable: true,
  text: `SELECT s.stream, p.partition, p.earliest, p.next, p.bytes, s.max_age_ms, s.max_bytes, s.created_at, s.name, s.source, s.inherited, s.compaction FROM (
      SELECT * FROM millrace.streams WHERE tenant = $1 AND namespace = $2 AND gone = 0 AND name COLLATE "C" > $3 ORDER BY name COLLATE "C" LIMIT $4
    ) AS s JOIN millrace.stream_partitions p ON p.tenant = s.tenant AND p.stream = s.stream ORDER BY s.name COLLATE "C", p.partition`,
}
/** A stream that has rows of its forks. */
const sourceOf: Statement = {
  name: 'stream_source',
  repeatable: true,
  text: `SELECT s.stream, p.earliest, s.source, s.inherited FROM millrace.streams s
    JOIN millrace.stream_partitions p ON p.tenant = s.tenant AND p.stream = s.stream AND p.partition = 0 WHERE s.tenant = $1 AND s.stream = $2`,
}

/** Streams on Postgres. */
export class PostgresStreams implements StreamStorage {
  readonly #context: Context
  readonly writer: StreamWriter
  readonly #groups: Groups
  readonly #lifecycle: Lifecycle

  constructor(context: Context) {
    this.#context = context
    this.writer = new StreamWriter(context)
    this.#groups = new Groups(context)
    this.#lifecycle = new Lifecycle(context)
  }

  write(request: StreamWriteRequest): Promise<readonly StreamWriteOutcome[]> {
    return this.writer.write(request)
  }

  async read(
    scope: Scope,
    name: string,
    number: number,
    { offset, maxMessages, maxBytes }: { offset: number; maxMessages: number; maxBytes: number },
  ): Promise<StreamReading> {
    const row = await this.#partition(scope, name, number)
    const [, , earliest, last] = row
    let next = Math.max(offset, earliest)
    const slices: StreamSlice[] = []
    while (slices.length === 0) {
      const { stream, end } = await this.#holder(scope, row, next)
      if (next >= end) return { number: row[0], slices, next: offset, latest: last - 1 }
      const place = [scope.tenant, stream, number]
      const found = await this.#context.db.run<[number, number, number, Uint8Array]>(chunks, [...place, next, maxMessages, maxBytes])
      // What was written meanwhile to the stream itself is read too.
      const limit = stream === row[0] ? Infinity : end
      let left = maxMessages
      for (const [firstOffset, count, timestamp, data] of found) {
        if (left === 0 || firstOffset >= limit) break
        const taken = slicesOf({ firstOffset, timestamp, data }, next, limit, left)
        const last = taken.at(-1)
        if (!last) continue
        slices.push(...taken)
        for (const { messages } of taken) left -= messages.length
        next = left === 0 ? last.firstOffset + last.messages.length : Math.min(firstOffset + count, limit)
      }
      // What was dropped there is passed over.
      if (slices.length === 0) {
        const [after] = await this.#context.db.run<[number]>(following, [...place, next])
        next = Math.min(Math.max(after?.[0] ?? end, next), end)
      }
    }
    return { number: row[0], slices, next, latest: Math.max(last, next) - 1 }
  }

  async offsetAt(scope: Scope, name: string, number: number, time: number): Promise<number> {
    const row = await this.#partition(scope, name, number)
    const [, , earliest, next] = row
    for (let at = earliest; at < next; ) {
      const { stream, end } = await this.#holder(scope, row, at)
      const [found] = await this.#context.db.run<[number]>(atTime, [scope.tenant, stream, number, time])
      if (found && found[0] < end) return Math.max(found[0], at)
      at = end
    }
    return next
  }

  /** Whose rows have an offset of a partition: its stream's, or those of what that was forked from; and where these end for it. */
  async #holder(scope: Scope, row: Row, offset: number): Promise<{ stream: number; earliest: number; end: number }> {
    let [stream, , earliest, end, , , , , , source, inherited] = row
    while (source !== null && offset < inherited) {
      end = Math.min(end, inherited)
      const [found] = await this.#context.db.run<[number, number, number | null, number]>(sourceOf, [scope.tenant, source])
      ;[stream, earliest, source, inherited] = found!
    }
    return { stream, earliest, end }
  }

  commit(scope: Scope, name: string, commits: readonly StreamCommit[], now: number): Promise<readonly StreamCommitOutcome[]> {
    return commitOffsets(this.#context.db, scope, name, commits, now)
  }

  async committed(scope: Scope, name: string, group: string): Promise<readonly number[]> {
    const rows = await this.#rows(scope, name)
    const found = rows.map(() => -1)
    const known = await this.#context.db.run<[number, number]>(committed, [scope.tenant, rows[0]![0], group])
    for (const [partition, offset] of known) found[partition] = offset
    return found
  }

  join(scope: Scope, name: string, group: string, member: string, until: number): Promise<void> {
    return this.#groups.join(scope, name, group, member, until)
  }

  leave(scope: Scope, name: string, group: string, member: string): Promise<void> {
    return this.#groups.leave(scope, name, group, member)
  }

  async owners(scope: Scope, name: string, group: string): Promise<readonly (string | undefined)[]> {
    const rows = await this.#rows(scope, name)
    return this.#groups.owners(scope.tenant, rows[0]![0], group, rows.length)
  }

  expireMembers(now: number, limit: number): Promise<number> {
    return this.#groups.expire(now, limit)
  }

  async describe(scope: Scope, name: string): Promise<StreamInfo | undefined> {
    const rows = await this.#context.db.run<Row>(partitions, [scope.tenant, scope.namespace, name])
    return infosOf(rows)[0]
  }

  async put(scope: Scope, name: string, change: StreamChange, now: number): Promise<StreamInfo> {
    const { partitions: wanted = 0, retention, compaction } = change
    const key = [scope.tenant, scope.namespace, name]
    await this.#context.db.transaction(async (transaction) => {
      await transaction.query(
        'INSERT INTO millrace.streams (tenant, namespace, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
        [...key, now],
      )
      type Found = { stream: number; has: number; one: boolean }
      const [found] = await transaction.query<Found>(
        `SELECT s.stream, s.content_type <> '' OR s.source IS NOT NULL AS one, (SELECT count(*)::int FROM millrace.stream_partitions p WHERE p.tenant = s.tenant AND p.stream = s.stream) AS has
         FROM millrace.streams s WHERE ${named} FOR UPDATE OF s`,
        key,
      )
      if (!found) throw new StreamGone(name)
      const { stream, has } = found
      if (wanted > 1 && found.one) throw oneSequence(name)
      if (compaction && found.one) throw notCompacted(name)
      if (wanted > 0 && wanted < has) throw fewerPartitions(name, has, wanted)
      await transaction.query(
        'INSERT INTO millrace.stream_partitions (tenant, stream, partition) SELECT $1, $2, n FROM generate_series($3::int, $4::int - 1) AS n',
        [scope.tenant, stream, has, Math.max(wanted, 1)],
      )
      if (!retention && compaction === undefined) return
      await transaction.query(
        `UPDATE millrace.streams SET max_age_ms = coalesce($3, max_age_ms), max_bytes = coalesce($4, max_bytes), compaction = coalesce($5, compaction)
         WHERE tenant = $1 AND stream = $2`,
        [
          scope.tenant,
          stream,
          retention?.maxAgeMs ?? null,
          retention?.maxBytes ?? null,
          compaction === undefined ? null : Number(compaction),
        ],
      )
    })
    if (wanted > 0) await this.#groups.shareAll(scope, name)
    return (await this.describe(scope, name))!
  }

  async list(scope: Scope, page: { limit: number; after: string }): Promise<readonly StreamInfo[]> {
    return infosOf(await this.#context.db.run<Row>(list, [scope.tenant, scope.namespace, page.after, page.limit]))
  }

  delete(scope: Scope, name: string): Promise<boolean> {
    return this.#lifecycle.remove(scope, name)
  }

  state(scope: Scope, name: string): Promise<StreamState | undefined> {
    return this.#lifecycle.state(scope, name)
  }

  create(request: StreamCreateRequest): Promise<{ readonly created: boolean; readonly state: StreamState }> {
    return this.#lifecycle.create(request)
  }

  use(scope: Scope, _stream: string, state: StreamState, now: number): Promise<void> {
    return this.#lifecycle.use(scope, state, now)
  }

  expire(now: number, limit: number): Promise<number> {
    return this.#lifecycle.expire(now, limit)
  }

  trim(now: number, limit: number): Promise<number> {
    return trimStreams(this.#context, now, limit)
  }

  listen(listener: StreamListener): void {
    this.#context.onTouch('stream', {
      touched: ({ tenant, namespace, name }) => listener.written({ tenant, namespace, stream: name }),
      missed: () => listener.missed(),
    })
    this.#context.onTouch('group', {
      touched({ tenant, namespace, name }) {
        const [stream = '', group = ''] = name.split(' ')
        listener.regrouped({ tenant, namespace, stream }, group)
      },
      missed: () => undefined,
    })
  }

  close(): Promise<void> {
    return this.writer.close()
  }

  #rows(scope: Scope, name: string): Promise<Row[]> {
    return readPartitions(this.#context.db, scope, name)
  }

  async #partition(scope: Scope, name: string, number: number): Promise<Row> {
    const rows = await this.#rows(scope, name)
    const row = rows[number]
    if (!row) throw noPartition('partition', number, rows.length)
    return row
  }
}

function infosOf(rows: readonly Row[]): StreamInfo[] {
  const infos = new Map<number, StreamInfo & { readonly partitions: PartitionInfo[] }>()
  for (const [stream, , earliest, next, bytes, maxAgeMs, maxBytes, createdAt, name, , , compaction] of rows) {
    const info = infos.get(stream) ?? { name, partitions: [], retention: { maxAgeMs, maxBytes }, compaction: compaction === 1, createdAt }
    info.partitions.push({ earliest, latest: next - 1, bytes })
    infos.set(stream, info)
  }
  return [...infos.values()]
}
