import { MillraceError } from '../../errors.ts'
import type { Scope } from '../ports.ts'
import { mostReplays, type ReplayRecord, type ReplayState, type ReplayStorage } from '../replay-port.ts'
import { type Program, query } from './program.ts'

interface ReplayRow {
  readonly stream: string
  readonly number: number
  readonly member_group: string
  readonly ranges: string
  readonly base_at: number | null
  readonly state: number
  readonly elapsed_ms: number
  readonly since: number
  readonly created_at: number
}

const states: readonly ReplayState[] = ['ready', 'running', 'paused', 'stopped']
const running = states.indexOf('running')
const ofReplay = 'tenant = $1 AND namespace = $2 AND stream = $3 AND member_group = $4'
const ofStream = 'tenant = $1 AND namespace = $2 AND stream = $3'

/** Carries out a program in one transaction, anew where somebody else's stands in its way. */
type Change = <T>(program: () => Program<T>) => Promise<T>

type Run = <T>(program: Program<T>) => Promise<T>

/**
 * Replays of a store.
 *
 * @param run - carries out a program that writes, in one transaction.
 * @param read - carries out one that does not.
 * @param tell - tells the other servers that those who read the stream should look.
 */
export function replayStorage(run: Change, read: Run, tell: (scope: Scope, stream: string) => void): ReplayStorage {
  const told = async <T>(scope: Scope, stream: string, change: Promise<T>): Promise<T> => {
    const result = await change
    tell(scope, stream)
    return result
  }
  return {
    add: (scope, replay, now) => run(() => add(scope, replay, now)),
    async get({ tenant, namespace }, stream, group) {
      const [row] = await read(query<ReplayRow>(`SELECT * FROM millrace.replays WHERE ${ofReplay}`, [tenant, namespace, stream, group]))
      return row && replayOf(row)
    },
    async list({ tenant, namespace }, stream) {
      const sql = `SELECT * FROM millrace.replays WHERE ${ofStream} ORDER BY member_group`
      return (await read(query<ReplayRow>(sql, [tenant, namespace, stream]))).map(replayOf)
    },
    change: (scope, stream, group, change, now) =>
      told(
        scope,
        stream,
        run(() => alter(scope, stream, group, change, now)),
      ),
    async delete(scope, stream, group) {
      const sql = `DELETE FROM millrace.replays WHERE ${ofReplay} RETURNING 1 AS one`
      const gone = await told(
        scope,
        stream,
        run(() => query(sql, [scope.tenant, scope.namespace, stream, group])),
      )
      return gone.length > 0
    },
  }
}

function* add(
  { tenant, namespace }: Scope,
  { stream, number, group, ranges, baseAt }: Parameters<ReplayStorage['add']>[1],
  now: number,
): Program<boolean> {
  yield* query(`DELETE FROM millrace.replays WHERE ${ofStream} AND number <> $4`, [tenant, namespace, stream, number])
  const added = yield* query(
    `INSERT INTO millrace.replays (tenant, namespace, stream, member_group, number, ranges, base_at, state, elapsed_ms, since, created_at)
      VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, $8) ON CONFLICT DO NOTHING RETURNING 1 AS one`,
    [tenant, namespace, stream, group, number, JSON.stringify(ranges), baseAt ?? null, now],
  )
  if (added.length === 0) return false
  const counting = `SELECT count(*) AS number FROM millrace.replays WHERE ${ofStream}`
  const [count] = yield* query<{ readonly number: number }>(counting, [tenant, namespace, stream])
  if (Number(count!.number) > mostReplays) {
    throw new MillraceError('QUOTA_EXCEEDED', `A stream has at most ${mostReplays} replays: delete one.`, {
      quota: { type: 'stream_replays', current: mostReplays, limit: mostReplays },
    })
  }
  return true
}

function* alter(
  { tenant, namespace }: Scope,
  stream: string,
  group: string,
  { from, to }: Parameters<ReplayStorage['change']>[3],
  now: number,
): Program<ReplayRecord | undefined> {
  const allowed = from.map((state) => states.indexOf(state)).join(', ')
  const [row] = yield* query<ReplayRow>(
    `UPDATE millrace.replays SET state = $5, since = $6,
        elapsed_ms = elapsed_ms + CASE WHEN state = ${running} AND $7 > since THEN $7 - since ELSE 0 END
      WHERE ${ofReplay} AND state IN (${allowed}) RETURNING *`,
    [tenant, namespace, stream, group, states.indexOf(to), to === 'running' ? now : 0, now],
  )
  return row && replayOf(row)
}

function replayOf(row: ReplayRow): ReplayRecord {
  return {
    stream: row.stream,
    number: row.number,
    group: row.member_group,
    ranges: JSON.parse(row.ranges) as ReplayRecord['ranges'],
    baseAt: row.base_at ?? undefined,
    state: states[row.state]!,
    elapsedMs: row.elapsed_ms,
    since: row.since,
    createdAt: row.created_at,
  }
}
