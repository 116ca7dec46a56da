import type { Scope } from '../../ports.ts'
import type { StreamCommit, StreamCommitOutcome } from '../../stream-port.ts'
import { checkCommit, notOwner, refusalOf } from '../../stream-rules.ts'
import { numbers, texts } from '../arrays.ts'
import type { Statement } from '../database.ts'
import { type Runner, readPartitions } from './partitions.ts'

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

/** Commits offsets of groups, each on its own; see `StreamStorage.commit`. */
export async function commitOffsets(
  db: Runner,
  scope: Scope,
  name: string,
  commits: readonly StreamCommit[],
  now: number,
): Promise<readonly StreamCommitOutcome[]> {
  const rows = await readPartitions(db, scope, name)
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
    const done = await db.run<[string, number, number]>(commit, [scope.tenant, rows[0]![0], ...values, now, member])
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
