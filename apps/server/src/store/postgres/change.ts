import { MillraceError } from '../../errors.ts'
import { arrive, FlowKind, isInside } from '../flow/flows.ts'
import { type JobRecord, JobState, type Scope, type Seq } from '../ports.ts'
import { storable } from './arrays.ts'
import type { Context } from './context.ts'
import { countMoves, Move, Writer } from './counts.ts'
import type { Statement, Value } from './database.ts'
import { withFlow } from './flow.ts'
import { type ReadyRow, readyOf } from './heads.ts'
import type { Read } from './read.ts'
import { inNamespace } from './rows.ts'

/** SQL of the part `held`: the job of the scope `$1`, `$2` with the number `$3`, locked, when its state is one of these. */
const heldIn = (states: string, flow: 'IS NULL' | 'IS NOT NULL') => `held AS MATERIALIZED (
      SELECT j.tenant, j.seq, j.lane, j.state FROM millrace.jobs j ${inNamespace('$2')}
      WHERE j.tenant = $1 AND j.seq = $3 AND j.state IN (${states}) AND j.flow ${flow} FOR UPDATE OF j
    )`

const cancelling = (name: string, flow: 'IS NULL' | 'IS NOT NULL'): Statement => ({
  name,
  repeatable: false,
  text: `
    WITH ${heldIn(`${JobState.scheduled}, ${JobState.pending}, ${JobState.blocked}, ${JobState.running}`, flow)}, done AS (
      UPDATE millrace.jobs j SET state = ${JobState.cancelled}, updated_at = $4::bigint, cancelled_at = $4, revision = j.revision + 1,
        token = -abs(j.token), rank = NULL, run_at = NULL, lease_until = NULL, deadline = NULL, message = $6::text
      FROM held WHERE j.tenant = $1 AND j.seq = $3
      RETURNING j.tenant, j.seq, j.lane, j.attempts, held.state AS before
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, before AS from_state, ${JobState.cancelled} AS into_state FROM done`, '$5::int')}
    )
    SELECT before, attempts FROM done`,
})
const cancel = cancelling('cancel', 'IS NULL')
const cancelFlow = cancelling('cancel_flow', 'IS NOT NULL')

/** What makes a job that ended wait again. */
const restart = (
  state: string,
) => `state = ${state}, rank = CASE WHEN ${state} = ${JobState.pending} THEN -j.priority END, updated_at = $4::bigint, failed_at = NULL, cancelled_at = NULL, revision = j.revision + 1,
        token = -abs(j.token), attempts = 0, progress = NULL, message = NULL`

const retrying = (name: string, flow: 'IS NULL' | 'IS NOT NULL', state: string): Statement => ({
  name,
  repeatable: false,
  text: `
    WITH ${heldIn(`${JobState.failed}, ${JobState.cancelled}`, flow)}, done AS (
      UPDATE millrace.jobs j SET ${restart(state)} FROM held WHERE j.tenant = $1 AND j.seq = $3
      RETURNING j.tenant, j.seq, j.lane, j.priority, held.state AS before
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, before AS from_state, ${state} AS into_state FROM done`, '$5::int')}
    )
    SELECT tenant, lane, -priority, seq FROM done`,
})
const retry = retrying('retry', 'IS NULL', `${JobState.pending}`)
const retryFlow = retrying('retry_flow', 'IS NOT NULL', '$6::int')
/** Nobody else changes it until the end. */
const holdEnded: Statement = {
  name: 'retry_flow_hold',
  repeatable: false,
  text: `WITH ${heldIn(`${JobState.failed}, ${JobState.cancelled}`, 'IS NOT NULL')} SELECT j.flow FROM held h JOIN millrace.jobs j ON j.tenant = h.tenant AND j.seq = h.seq`,
}

/** SQL of the part `dead`: up to `limit` failed jobs of the queue `$3`, locked; those that others work on are passed over. */
const deadOf = (limit: string, condition = '') => `dead AS MATERIALIZED (
      SELECT h.at FROM millrace.queues q JOIN millrace.lanes l ON l.tenant = q.tenant AND l.queue = q.queue
      CROSS JOIN LATERAL (
        SELECT j.ctid AS at FROM millrace.jobs j WHERE j.tenant = q.tenant AND j.lane = l.lane AND j.failed_at IS NOT NULL ${condition}
        ORDER BY j.seq LIMIT ${limit} FOR UPDATE SKIP LOCKED
      ) AS h
      WHERE q.tenant = $1 AND q.namespace = $2 AND q.name = $3 LIMIT ${limit}
    )`

const replay: Statement = {
  name: 'dead_replay',
  repeatable: false,
  text: `
    WITH ${deadOf('$6', 'AND j.flow IS NULL')}, done AS (
      UPDATE millrace.jobs j SET ${restart(`${JobState.pending}`)} FROM dead WHERE j.ctid = dead.at RETURNING j.tenant, j.seq, j.lane, j.priority
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, ${JobState.failed} AS from_state, ${JobState.pending} AS into_state FROM done`, '$5::int')}
    )
    SELECT tenant, lane, -priority, seq FROM done`,
}

const deadFlows: Statement = {
  name: 'dead_flows',
  repeatable: true,
  text: `SELECT j.seq FROM millrace.queues q JOIN millrace.lanes l ON l.tenant = q.tenant AND l.queue = q.queue
    CROSS JOIN LATERAL (
      SELECT seq FROM millrace.jobs WHERE tenant = q.tenant AND lane = l.lane AND failed_at IS NOT NULL AND flow <> ${FlowKind.stage} ORDER BY seq LIMIT $4
    ) AS j WHERE q.tenant = $1 AND q.namespace = $2 AND q.name = $3 ORDER BY j.seq LIMIT $4`,
}

const purge: Statement = {
  name: 'dead_purge',
  repeatable: false,
  text: `
    WITH ${deadOf('$5')}, gone AS (
      DELETE FROM millrace.jobs j USING dead WHERE j.ctid = dead.at RETURNING j.tenant, j.seq, j.lane, j.idempotency_key
    ), ${freeKeysOf('gone')}, counted AS (
      ${countMoves(`SELECT tenant, lane, ${JobState.failed} AS from_state, ${Move.deleted} AS into_state FROM gone`, '$4::int')}
    )
    SELECT 1 FROM gone`,
}

/**
 * SQL of the part `freed` of a statement: the idempotency keys of deleted jobs may be used again. (Their labels and logs go
 * with their partitions; nobody sees them without the job.)
 *
 * @param gone - the part with the jobs: tenant, seq, lane and idempotency_key.
 */
export function freeKeysOf(gone: string): string {
  return `used AS MATERIALIZED (
      SELECT k.at FROM ${gone} g JOIN millrace.lanes l ON l.tenant = g.tenant AND l.lane = g.lane
      CROSS JOIN LATERAL (
        SELECT i.ctid AS at FROM millrace.idempotency i
        WHERE i.tenant = g.tenant AND i.queue = l.queue AND i.key = g.idempotency_key AND i.seq = g.seq FOR UPDATE
      ) AS k
      WHERE g.idempotency_key IS NOT NULL
    ), freed AS (
      DELETE FROM millrace.idempotency i USING used WHERE i.ctid = used.at
    )`
}

/** What people do to jobs, whoever holds them: cancel, try again, replay and purge. */
export class Change {
  readonly #context: Context
  readonly #read: Read

  constructor(context: Context, read: Read) {
    this.#context = context
    this.#read = read
  }

  async cancel(scope: Scope, seq: Seq, reason: string, now: number): Promise<JobRecord> {
    const values = [scope.tenant, scope.namespace, seq, now, this.#context.writer(Writer.other), storable(reason) || null]
    const done = await this.#context.db.run(cancel, values)
    if (done.length === 0) {
      if (await this.#cancelFlow(scope, seq, values, now)) return this.#record(scope, seq)
      throw await this.#refusal(scope, seq, 'cancelled')
    }
    await this.#context.announce({ changes: [{ tenant: scope.tenant, seq, state: JobState.cancelled, cause: 'cancelled' }] })
    return this.#record(scope, seq)
  }

  async retry(scope: Scope, seq: Seq, now: number): Promise<JobRecord> {
    const values = [scope.tenant, scope.namespace, seq, now, this.#context.writer(Writer.other)]
    const done = await this.#context.db.run<ReadyRow>(retry, values)
    if (done.length === 0) {
      if (await this.#retryFlow(scope, seq, now)) return this.#record(scope, seq)
      throw await this.#refusal(scope, seq, 'run again')
    }
    await this.#context.announce({
      ready: done.map(readyOf),
      changes: [{ tenant: scope.tenant, seq, state: JobState.pending, cause: 'other' }],
    })
    return this.#record(scope, seq)
  }

  async replayDead(scope: Scope, queue: string, limit: number, now: number): Promise<number> {
    const values = [scope.tenant, scope.namespace, queue, now, this.#context.writer(Writer.other), limit]
    const ready = (await this.#context.db.run<ReadyRow>(replay, values)).map(readyOf)
    await this.#context.announce({
      ready,
      changes: ready.map(({ tenant, seq }) => ({ tenant, seq, state: JobState.pending, cause: 'other' })),
    })
    return ready.length + (await this.#replayFlows(scope, queue, limit - ready.length, now))
  }

  /** True when the job has to do with others and was cancelled. */
  #cancelFlow(scope: Scope, seq: Seq, values: readonly Value[], now: number): Promise<boolean> {
    const name = { tenant: scope.tenant, seq }
    return withFlow(this.#context, async (flow) => {
      await flow.lock([name])
      const [done] = await flow.change<[JobState, number]>(cancelFlow, values)
      if (!done) return false
      flow.changes.push({ ...name, state: JobState.cancelled, cause: 'cancelled' })
      await flow.ended(scope, seq, { state: JobState.cancelled, now, inside: isInside(...done) })
      return true
    })
  }

  /** True when the job has to do with others and waits again. */
  #retryFlow(scope: Scope, seq: Seq, now: number): Promise<boolean> {
    const name = { tenant: scope.tenant, seq }
    return withFlow(this.#context, async (flow) => {
      await flow.lock([name])
      const [held] = await flow.change<[number]>(holdEnded, [scope.tenant, scope.namespace, seq])
      if (!held) return false
      if (held[0] === FlowKind.stage) {
        throw new MillraceError('FAILED_PRECONDITION', 'The task is a stage of a pipeline: run the pipeline again.')
      }
      const { through, dueAt } = await flow.run(arrive(scope.tenant, seq, 0, now))
      const state = through ? JobState.pending : JobState.blocked
      const values = [scope.tenant, scope.namespace, seq, now, this.#context.writer(Writer.other), state]
      const done = await flow.change<ReadyRow>(retryFlow, values)
      if (state === JobState.pending) flow.ready.push(...done.map(readyOf))
      flow.changes.push({ ...name, state, cause: 'other', dueAt })
      return true
    })
  }

  async #replayFlows(scope: Scope, queue: string, limit: number, now: number): Promise<number> {
    if (limit === 0) return 0
    const dead = await this.#context.db.run<[number]>(deadFlows, [scope.tenant, scope.namespace, queue, limit])
    let replayed = 0
    for (const [seq] of dead) if (await this.#retryFlow(scope, seq, now)) replayed++
    return replayed
  }

  async purgeDead(scope: Scope, queue: string, limit: number): Promise<number> {
    const values = [scope.tenant, scope.namespace, queue, this.#context.writer(Writer.other), limit]
    return (await this.#context.db.run(purge, values)).length
  }

  async #record(scope: Scope, seq: Seq): Promise<JobRecord> {
    const record = await this.#read.get(scope, seq, false)
    if (!record) throw noSuchJob()
    return record
  }

  async #refusal(scope: Scope, seq: Seq, wanted: string): Promise<MillraceError> {
    const record = await this.#read.get(scope, seq, false)
    if (!record) return noSuchJob()
    return new MillraceError('FAILED_PRECONDITION', `The job is ${stateNames[record.state]} and cannot be ${wanted}.`)
  }
}

const stateNames = Object.fromEntries(Object.entries(JobState).map(([name, state]) => [state, name]))

function noSuchJob(): MillraceError {
  return new MillraceError('NOT_FOUND', 'There is no such job in this namespace.', { resource: 'job' })
}
