import type { Scope } from '../../ports.ts'
import { decodeChunk } from '../../stream-chunks.ts'
import type {
  PartitionInfo,
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
import { checkCommit, fewerPartitions, noPartition, noStream, notOwner, refusalOf } from '../../stream-rules.ts'
import { numbers, texts } from '../arrays.ts'
import type { Context } from '../context.ts'
import type { Statement } from '../database.ts'
import { Groups } from './groups.ts'
import { trimStreams } from './trim.ts'
import { StreamWriter } from './write.ts'

const named = 's.tenant = $1 AND s.namespace = $2 AND s.name = $3'
const partitions: Statement = {
  name: 'stream_partitions',
  repeatable: true,
  text: `SELECT s.stream, p.partition, p.earliest, p.next, p.bytes, s.max_age_ms, s.max_bytes, s.created_at, s.name FROM millrace.streams s
    JOIN millrace.stream_partitions p ON p.tenant = s.tenant AND p.stream = s.stream WHERE ${named} ORDER BY p.partition`,
}
const chunks: Statement = {
  name: 'stream_read',
  repeatable: true,
  text: `SELECT first_offset, count, written_at, data FROM (
      SELECT first_offset, count, written_at, data, sum(bytes) OVER (ORDER BY first_offset) - bytes AS before FROM (
        SELECT first_offset, count, written_at, bytes, data FROM millrace.stream_chunks
        WHERE tenant = $1 AND stream = $2 AND partition = $3 AND first_offset >= coalesce((
          SELECT o.first_offset FROM millrace.stream_chunks o
          WHERE o.tenant = $1 AND o.stream = $2 AND o.partition = $3 AND o.first_offset <= $4 ORDER BY o.first_offset DESC LIMIT 1
        ), $4) ORDER BY first_offset LIMIT least($5::int, 1000)
      ) AS c
    ) AS c WHERE before < $6 OR first_offset <= $4 ORDER BY first_offset`,
}
const atTime: Statement = {
  name: 'stream_at_time',
  repeatable: true,
  text: `SELECT first_offset FROM millrace.stream_chunks WHERE tenant = $1 AND stream = $2 AND partition = $3 AND written_at >= $4
    ORDER BY written_at, first_offset LIMIT 1`,
}
/** Of one member (`$7`; '': of none): what is not its partition stays as it is. */
const commit: Statement = {
  name: 'stream_commit',
  repeatable: true,
  text: `INSERT INTO millrace.stream_offsets (tenant, stream, member_group, partition, committed, updated_at, owner)
    SELECT $1::int, $2::int, i.member_group, i.partition, max(i.committed), $6::bigint, nullif($7::text, '')
    FROM unnest($3::text[], $4::int[], $5::bigint[]) AS i (member_group, partition, committed)
    WHERE $7 = '' OR EXISTS (
      SELECT FROM millrace.stream_offsets o
      WHERE o.tenant = $1 AND o.stream = $2 AND o.member_group = i.member_group AND o.partition = i.partition AND o.owner = $7
    )
    GROUP BY i.member_group, i.partition ORDER BY 3, 4
    ON CONFLICT (tenant, stream, member_group, partition) DO UPDATE
    SET committed = greatest(stream_offsets.committed, excluded.committed), updated_at = excluded.updated_at
    WHERE excluded.owner IS NULL OR stream_offsets.owner = excluded.owner
    RETURNING member_group, partition, committed`,
}
const committed: Statement = {
  name: 'stream_committed',
  repeatable: true,
  text: 'SELECT partition, committed FROM millrace.stream_offsets WHERE tenant = $1 AND stream = $2 AND member_group = $3',
}
const list: Statement = {
  name: 'stream_list',
  repeatable: true,
  text: `SELECT s.stream, p.partition, p.earliest, p.next, p.bytes, s.max_age_ms, s.max_bytes, s.created_at, s.name FROM (
      SELECT * FROM millrace.streams WHERE tenant = $1 AND namespace = $2 AND name COLLATE "C" > $3 ORDER BY name COLLATE "C" LIMIT $4
    ) AS s JOIN millrace.stream_partitions p ON p.tenant = s.tenant AND p.stream = s.stream ORDER BY s.name COLLATE "C", p.partition`,
}
const remove: Statement = {
  name: 'stream_delete',
  repeatable: false,
  text: `UPDATE millrace.streams s SET name = NULL WHERE ${named} RETURNING 1`,
}

type Row = readonly [
  stream: number,
  partition: number,
  earliest: number,
  next: number,
  bytes: number,
  maxAgeMs: number,
  maxBytes: number,
  createdAt: number,
  name: string,
]

/** Streams on Postgres. */
export class PostgresStreams implements StreamStorage {
  readonly #context: Context
  readonly #writer: StreamWriter
  readonly #groups: Groups

  constructor(context: Context) {
    this.#context = context
    this.#writer = new StreamWriter(context)
    this.#groups = new Groups(context)
  }

  write(request: StreamWriteRequest): Promise<readonly StreamWriteOutcome[]> {
    return this.#writer.write(request)
  }

  async read(
    scope: Scope,
    name: string,
    number: number,
    { offset, maxMessages, maxBytes }: { offset: number; maxMessages: number; maxBytes: number },
  ): Promise<StreamReading> {
    const [stream, , earliest, end] = await this.#partition(scope, name, number)
    let next = Math.max(offset, earliest)
    if (next >= end) return { slices: [], next: offset, latest: end - 1 }
    const found = await this.#context.db.run<[number, number, number, Uint8Array]>(chunks, [
      scope.tenant,
      stream,
      number,
      next,
      maxMessages,
      maxBytes,
    ])
    const slices: StreamSlice[] = []
    let left = maxMessages
    for (const [first, count, timestamp, data] of found) {
      if (left === 0) break
      next = Math.max(next, first)
      const from = next - first
      const to = Math.min(count, from + left)
      if (to <= from) continue
      slices.push({ firstOffset: next, timestamp, messages: decodeChunk(data, from, to) })
      next = first + to
      left -= to - from
    }
    return { slices, next, latest: Math.max(end, next) - 1 }
  }

  async offsetAt(scope: Scope, name: string, number: number, time: number): Promise<number> {
    const [stream, , , next] = await this.#partition(scope, name, number)
    const [row] = await this.#context.db.run<[number]>(atTime, [scope.tenant, stream, number, time])
    return row?.[0] ?? next
  }

  async commit(scope: Scope, name: string, commits: readonly StreamCommit[], now: number): Promise<readonly StreamCommitOutcome[]> {
    const rows = await this.#rows(scope, name)
    const latest = rows.map(([, , , next]) => next - 1)
    const refused = new Map<StreamCommit, StreamCommitOutcome>()
    for (const each of commits) {
      try {
        checkCommit(each, latest)
      } catch (error) {
        refused.set(each, refusalOf(error))
      }
    }
    const found = new Map<StreamCommit, number>()
    for (const member of new Set(commits.map(({ member = '' }) => member))) {
      const own = commits.filter((each) => !refused.has(each) && (each.member ?? '') === member)
      const values = [
        texts(own.map(({ group }) => group)),
        numbers(own.map(({ partition }) => partition)),
        numbers(own.map(({ offset }) => offset)),
      ]
      const done = await this.#context.db.run<[string, number, number]>(commit, [scope.tenant, rows[0]![0], ...values, now, member])
      const offsets = new Map(done.map(([group, partition, offset]) => [`${partition} ${group}`, offset]))
      for (const each of own) {
        const offset = offsets.get(`${each.partition} ${each.group}`)
        if (offset !== undefined) found.set(each, offset)
      }
    }
    return commits.map((each): StreamCommitOutcome => {
      const committed = found.get(each)
      return refused.get(each) ?? (committed === undefined ? { error: notOwner(each) } : { committed })
    })
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

  async put(scope: Scope, name: string, change: { partitions?: number; retention?: StreamRetention }, now: number): Promise<StreamInfo> {
    const { partitions: wanted = 0, retention } = change
    const key = [scope.tenant, scope.namespace, name]
    await this.#context.db.transaction(async (transaction) => {
      await transaction.query(
        'INSERT INTO millrace.streams (tenant, namespace, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
        [...key, now],
      )
      type Found = { stream: number; has: number }
      const [found] = await transaction.query<Found>(
        `SELECT s.stream, (SELECT count(*)::int FROM millrace.stream_partitions p WHERE p.tenant = s.tenant AND p.stream = s.stream) AS has
         FROM millrace.streams s WHERE ${named} FOR UPDATE OF s`,
        key,
      )
      const { stream, has } = found!
      if (wanted > 0 && wanted < has) throw fewerPartitions(name, has, wanted)
      await transaction.query(
        'INSERT INTO millrace.stream_partitions (tenant, stream, partition) SELECT $1, $2, n FROM generate_series($3::int, $4::int - 1) AS n',
        [scope.tenant, stream, has, Math.max(wanted, 1)],
      )
      if (!retention) return
      const { maxAgeMs, maxBytes } = retention
      await transaction.query('UPDATE millrace.streams SET max_age_ms = $3, max_bytes = $4 WHERE tenant = $1 AND stream = $2', [
        scope.tenant,
        stream,
        maxAgeMs,
        maxBytes,
      ])
    })
    if (wanted > 0) await this.#groups.shareAll(scope, name)
    return (await this.describe(scope, name))!
  }

  async list(scope: Scope, page: { limit: number; after: string }): Promise<readonly StreamInfo[]> {
    return infosOf(await this.#context.db.run<Row>(list, [scope.tenant, scope.namespace, page.after, page.limit]))
  }

  async delete(scope: Scope, name: string): Promise<boolean> {
    const gone = await this.#context.db.run(remove, [scope.tenant, scope.namespace, name])
    if (gone.length > 0) this.#context.touch('stream', scope, name)
    return gone.length > 0
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
    return this.#writer.close()
  }

  async #rows(scope: Scope, name: string): Promise<Row[]> {
    const rows = await this.#context.db.run<Row>(partitions, [scope.tenant, scope.namespace, name])
    if (rows.length === 0) throw noStream(name)
    return rows
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
  for (const [stream, , earliest, next, bytes, maxAgeMs, maxBytes, createdAt, name] of rows) {
    const info = infos.get(stream) ?? { name, partitions: [], retention: { maxAgeMs, maxBytes }, createdAt }
    info.partitions.push({ earliest, latest: next - 1, bytes })
    infos.set(stream, info)
  }
  return [...infos.values()]
}
