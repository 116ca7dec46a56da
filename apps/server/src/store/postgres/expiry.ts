import { expired } from '../flow/expiries.ts'
import { isInside } from '../flow/flows.ts'
import { JobState, type Seq, type TenantId } from '../ports.ts'
import { columns } from './arrays.ts'
import type { Context } from './context.ts'
import { countMoves, Writer } from './counts.ts'
import type { Statement } from './database.ts'
import { withFlow } from './flow.ts'

type Name = readonly [tenant: TenantId, seq: Seq]
const names = columns<Name>({ tenant: ['int', ([tenant]) => tenant], seq: ['bigint', ([, seq]) => seq] })

/** Jobs whose time to begin is over, begun or not, and whether others wait for them. */
const due: Statement = {
  name: 'expired',
  repeatable: true,
  text: `
    SELECT e.tenant, e.seq, j.flow FROM (SELECT * FROM millrace.expiries WHERE at <= $1 ORDER BY at LIMIT $2) AS e
    LEFT JOIN millrace.jobs j ON j.tenant = e.tenant AND j.seq = e.seq AND j.state <= ${JobState.blocked} AND j.attempts = 0`,
}

const end: Statement = {
  name: 'expire',
  repeatable: false,
  text: `
    WITH told AS (
      DELETE FROM millrace.expiries e USING ${names.from('i', 1)} WHERE e.tenant = i.tenant AND e.seq = i.seq RETURNING e.tenant, e.seq
    ), held AS MATERIALIZED (
      SELECT j.tenant, j.seq, j.state FROM told t JOIN millrace.jobs j ON j.tenant = t.tenant AND j.seq = t.seq
      WHERE j.state <= ${JobState.blocked} AND j.attempts = 0 ORDER BY j.tenant, j.seq FOR UPDATE OF j
    ), done AS (
      UPDATE millrace.jobs j SET state = ${JobState.cancelled}, updated_at = $3::bigint, cancelled_at = $3, revision = j.revision + 1,
        rank = NULL, run_at = NULL, message = $4::text
      FROM held WHERE j.tenant = held.tenant AND j.seq = held.seq RETURNING j.tenant, j.seq, j.lane, j.namespace, held.state AS before
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, before AS from_state, ${JobState.cancelled} AS into_state FROM done`, '$5::int')}
    )
    SELECT tenant, seq, namespace, before FROM done`,
}

/** Ends jobs that were not taken in time; returns how many were looked at, at most `limit`. Several nodes may do it at once. */
export async function expireJobs(context: Context, now: number, limit: number): Promise<number> {
  const rows = await context.db.run<[number, number, number | null]>(due, [now, limit])
  const writer = context.writer(Writer.other)
  const alone = rows.filter(([, , flow]) => flow === null).map(([tenant, seq]): Name => [tenant, seq])
  if (alone.length > 0) {
    const done = await context.db.run<Name>(end, [...names.values(alone), now, expired, writer])
    await context.announce({
      changes: done.map(([tenant, seq]) => ({ tenant, seq, state: JobState.cancelled, cause: 'cancelled' })),
    })
  }
  for (const [tenant, seq, flow] of rows) {
    if (flow === null) continue
    await withFlow(context, async (work) => {
      await work.lock([{ tenant, seq }])
      const values = [...names.values([[tenant, seq]]), now, expired, writer]
      for (const [, , namespace, before] of await work.change<[number, number, string, JobState]>(end, values)) {
        work.changes.push({ tenant, seq, state: JobState.cancelled, cause: 'cancelled' })
        await work.ended({ tenant, namespace }, seq, { state: JobState.cancelled, now, inside: isInside(before, 0) })
      }
    })
  }
  return rows.length
}
