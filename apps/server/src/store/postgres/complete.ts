import { attestedMark, type Content, JobState } from '../ports.ts'
import { Bytes, columns } from './arrays.ts'
import type { Context } from './context.ts'
import { countMoves, Writer } from './counts.ts'
import type { Statement, Value } from './database.ts'
import { withFlow } from './flow.ts'
import { heldOf, inLockOrder, jobKey, type Lease, leaseColumns } from './held.ts'
import { horizon } from './rows.ts'

/** A lease whose job is done. */
export interface Completion extends Lease {
  readonly result: Uint8Array
  readonly contentType: string
  /** Of a job with a flow: its new state. */
  readonly state?: Content | null
  /** What its worker proved is kept. */
  readonly proven?: boolean
}

const rows = columns<Completion & { readonly start: number }>({
  ...leaseColumns,
  result_at: ['int', ({ start }) => start],
  result_length: ['int', ({ result }) => result.length],
  result_type: ['text', ({ contentType }) => contentType || null],
  proven: ['smallint', ({ proven }) => Number(proven === true)],
})
/** Jobs of attested lanes are completed with a proof alone. */
const mayComplete = `(i.proven = 1 OR NOT EXISTS (
        SELECT FROM millrace.lanes l WHERE l.tenant = j.tenant AND l.lane = j.lane AND l.function LIKE '%${attestedMark}'))`

/** Moves jobs to where they stay. (Not before the horizon: what is there has been forgotten already.) */
const completion = (name: string, condition: string): Statement => ({
  name,
  // Done again, it finds nothing held.
  repeatable: true,
  text: `
    WITH ${heldOf(rows.from('i', 3), condition)}, gone AS (
      DELETE FROM millrace.jobs j USING held h WHERE j.ctid = h.at
      RETURNING j.tenant, j.seq, j.lane, j.priority, j.attempts, j.max_attempts, j.revision + 1 AS revision, j.token, j.created_at, j.started_at,
        h.now, j.batch, j.worker, j.message, j.idempotency_key, j.content_type, j.headers, j.labels, j.flow, h.result_type, j.payload,
        h.result_at, h.result_length
    ), kept AS (
      INSERT INTO millrace.completed (tenant, seq, lane, priority, attempts, max_attempts, revision, token, created_at, started_at,
        finished_at, batch, worker, message, idempotency_key, content_type, headers, labels, flow, result_type, payload, result)
      SELECT tenant, seq, lane, priority, attempts, max_attempts, revision, token, created_at, started_at,
        greatest(now, ${horizon}), batch, worker, message, idempotency_key, content_type, headers, labels, flow, result_type, payload,
        substring($1::bytea FROM result_at FOR result_length)
      FROM gone
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, ${JobState.running} AS from_state, ${JobState.completed} AS into_state FROM gone`, '$2::int')}
    )
    SELECT tenant, seq FROM gone`,
})
const complete = completion('complete', `AND j.flow IS NULL AND ${mayComplete}`)
const completeFlow = completion('complete_flow', `AND j.flow IS NOT NULL AND ${mayComplete}`)

/** Completes jobs without a flow whose lease is current; returns their {@link jobKey}s. */
export async function completeJobs(context: Context, completions: readonly Completion[]): Promise<ReadonlySet<string>> {
  const done = await context.db.run<[number, number]>(complete, valuesOf(context, completions))
  context.vacuum.removed(done.length)
  await context.announce({ changes: done.map(([tenant, seq]) => ({ tenant, seq, state: JobState.completed, cause: 'settled' })) })
  return new Set(done.map(([tenant, seq]) => jobKey(tenant, seq)))
}

/** Completes jobs with a flow whose lease is current, with all that follows; returns their {@link jobKey}s. */
export async function completeFlowJobs(context: Context, completions: readonly Completion[]): Promise<ReadonlySet<string>> {
  return withFlow(context, async (flow) => {
    await flow.lock(completions.map(({ scope, seq }) => ({ tenant: scope.tenant, seq })))
    const keys = new Set(
      (await flow.change<[number, number]>(completeFlow, valuesOf(context, completions))).map(([tenant, seq]) => jobKey(tenant, seq)),
    )
    for (const { scope, seq, state, result, contentType, now } of completions.filter(({ scope, seq }) =>
      keys.has(jobKey(scope.tenant, seq)),
    )) {
      flow.changes.push({ tenant: scope.tenant, seq, state: JobState.completed, cause: 'settled' })
      const content = { data: result, contentType }
      await flow.ended(scope, seq, { state: JobState.completed, now, inside: true, result: content, change: state })
    }
    return keys
  })
}

function valuesOf(context: Context, completions: readonly Completion[]): Value[] {
  const results = new Bytes()
  const placed = inLockOrder(completions).map((completion) => ({ ...completion, start: results.add(completion.result) }))
  const values = rows.values(placed)
  return [results.all(), context.writer(Writer.complete), ...values]
}
