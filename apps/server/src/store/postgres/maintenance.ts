import { noAftermath } from '../flow/aftermath.ts'
import { arrive, FlowKind, ratedKinds } from '../flow/flows.ts'
import { mayBeRetried, sweepPipelines } from '../flow/pipeline-read.ts'
import { sweepProofs } from '../flow/proofs.ts'
import { dueGates, staleGates, turnGate } from '../flow/rates.ts'
import { sweepStates } from '../flow/states.ts'
import { sweepTriggers } from '../flow/triggers.ts'
import { JobState, type Retention } from '../ports.ts'
import { freeKeysOf } from './change.ts'
import type { Context } from './context.ts'
import { countMoves, Move, Writer } from './counts.ts'
import type { Statement } from './database.ts'
import { runAlone, withFlow } from './flow.ts'
import { type ReadyRow, readyOf } from './heads.ts'
import { Partitions } from './partitions.ts'

const promote: Statement = {
  name: 'promote',
  repeatable: true,
  text: `
    WITH due AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.jobs WHERE run_at <= $1 AND (flow IS NULL OR (attempts > 0 AND flow NOT IN (${ratedKinds.join(', ')})))
      ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ), promoted AS (
      UPDATE millrace.jobs j SET state = ${JobState.pending}, rank = -j.priority, run_at = NULL, updated_at = $1::bigint, revision = j.revision + 1
      FROM due WHERE j.ctid = due.at RETURNING j.tenant, j.seq, j.lane, j.priority
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, ${JobState.scheduled} AS from_state, ${JobState.pending} AS into_state FROM promoted`, '$3::int')}
    )
    SELECT tenant, lane, -priority, seq FROM promoted`,
}

/** Jobs whose time has come, and who may have to wait for others. */
const dueFlows: Statement = {
  name: 'promote_flows',
  repeatable: true,
  text: `SELECT tenant, seq FROM millrace.jobs WHERE run_at <= $1 AND flow IS NOT NULL AND (attempts = 0 OR flow IN (${ratedKinds.join(', ')})) ORDER BY run_at LIMIT $2`,
}
const promoteFlow: Statement = {
  name: 'promote_flow',
  repeatable: false,
  text: `
    WITH due AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.jobs WHERE tenant = $1 AND seq = $2 AND run_at <= $3 FOR UPDATE
    ), promoted AS (
      UPDATE millrace.jobs j SET state = $5::smallint, rank = CASE WHEN $5 = ${JobState.pending} THEN -j.priority END, run_at = NULL,
        updated_at = $3::bigint, revision = j.revision + 1
      FROM due WHERE j.ctid = due.at RETURNING j.tenant, j.seq, j.lane, j.priority
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, ${JobState.scheduled} AS from_state, $5::int AS into_state FROM promoted`, '$4::int')}
    )
    SELECT tenant, lane, -priority, seq FROM promoted`,
}
/** Nobody else changes it until the end. */
const holdDue: Statement = {
  name: 'promote_flow_hold',
  repeatable: false,
  text: 'SELECT attempts FROM millrace.jobs WHERE tenant = $1 AND seq = $2 AND run_at <= $3 FOR UPDATE',
}

const nextDue: Statement = {
  name: 'next_due',
  repeatable: true,
  text: `SELECT least((SELECT min(run_at) FROM millrace.jobs WHERE run_at IS NOT NULL), (SELECT min(due_at) FROM millrace.leases),
    (SELECT min(deadline) FROM millrace.pipelines WHERE deadline IS NOT NULL AND finished_at IS NULL),
    (SELECT min(due_at) FROM millrace.gates WHERE due_at IS NOT NULL), (SELECT min(at) FROM millrace.expiries))`,
}

/**
 * Failed and cancelled jobs are few: they are deleted one by one. Stages whose pipeline may be run again are kept; those cancelled
 * before $5 were looked at.
 */
const deleteEnded: Statement = {
  name: 'sweep_ended',
  repeatable: true,
  text: `
    WITH failed AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.jobs WHERE failed_at < $1 ORDER BY failed_at LIMIT $3 FOR UPDATE SKIP LOCKED
    ), cancelled AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.jobs j WHERE cancelled_at >= greatest($5::bigint, least($1, $2)) AND cancelled_at < $2
        AND NOT (flow IS NOT DISTINCT FROM ${FlowKind.stage}
          AND EXISTS (SELECT 1 FROM millrace.pipelines p WHERE p.tenant = j.tenant AND p.seq = j.batch AND ${mayBeRetried}))
      ORDER BY cancelled_at LIMIT $3 FOR UPDATE OF j SKIP LOCKED
    ), long_cancelled AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.jobs WHERE cancelled_at < least($1, $2) ORDER BY cancelled_at LIMIT $3 FOR UPDATE SKIP LOCKED
    ), ended AS MATERIALIZED (
      SELECT at FROM failed UNION ALL SELECT at FROM long_cancelled UNION ALL SELECT at FROM cancelled LIMIT $3
    ), gone AS (
      DELETE FROM millrace.jobs j USING ended WHERE j.ctid = ended.at RETURNING j.tenant, j.seq, j.lane, j.state, j.idempotency_key
    ), ${freeKeysOf('gone')}, counted AS (
      ${countMoves(`SELECT tenant, lane, state AS from_state, ${Move.deleted} AS into_state FROM gone`, '$4::int')}
    )
    SELECT 1 FROM gone`,
}

/**
 * Completed jobs are many: the horizon moves past them, and they go with their partitions. Jobs that finished in the same
 * millisecond pass it together.
 */
const moveHorizon: Statement = {
  name: 'sweep_completed',
  repeatable: true,
  text: `
    WITH horizon AS MATERIALIZED (
      SELECT value FROM millrace.meta WHERE key = 'horizon' FOR UPDATE
    ), passed AS MATERIALIZED (
      SELECT tenant, seq, lane, idempotency_key, finished_at FROM millrace.completed
      WHERE finished_at >= (SELECT value FROM horizon) AND finished_at < $1::bigint
      ORDER BY finished_at FETCH FIRST $2 ROWS WITH TIES
    ), moved AS (
      UPDATE millrace.meta SET value = CASE WHEN (SELECT count(*) FROM passed) < $2 THEN $1 ELSE (SELECT max(finished_at) + 1 FROM passed) END
      WHERE key = 'horizon' AND value < $1
    ), ${freeKeysOf('passed')}
    SELECT least(count(*), $2) FROM passed`,
}

const forgetRequests: Statement = {
  name: 'sweep_requests',
  repeatable: true,
  text: `
    WITH old AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.requests WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM millrace.requests r USING old WHERE r.ctid = old.at RETURNING 1`,
}

/** What time does to jobs: scheduled ones become ready, ended ones are forgotten. Any node may do it, also several at once: each passes over what another has in hand. */
export class Maintenance {
  readonly #context: Context
  readonly #partitions: Partitions
  /** Jobs cancelled before this were looked at: those that are left are kept for their pipelines. */
  #keptUntil = 0

  constructor(context: Context) {
    this.#context = context
    this.#partitions = new Partitions(context.db)
  }

  async promote(now: number, limit: number): Promise<number> {
    const ready = (await this.#context.db.run<ReadyRow>(promote, [now, limit, this.#context.writer(Writer.other)])).map(readyOf)
    await this.#context.announce({
      ready,
      changes: ready.map(({ tenant, seq }) => ({ tenant, seq, state: JobState.pending, cause: 'other' })),
    })
    const flows = await this.#promoteFlows(now, limit)
    return Math.max(ready.length + flows, await this.#turn(dueGates(now, limit), now))
  }

  async #promoteFlows(now: number, limit: number): Promise<number> {
    const due = await this.#context.db.run<[number, number]>(dueFlows, [now, limit])
    for (const [tenant, seq] of due) {
      await withFlow(this.#context, async (flow) => {
        await flow.lock([{ tenant, seq }])
        const [held] = await flow.change<[number]>(holdDue, [tenant, seq, now])
        if (!held) return
        const { through, dueAt } = await flow.run(arrive(tenant, seq, held[0], now))
        const state = through ? JobState.pending : JobState.blocked
        const done = await flow.change<ReadyRow>(promoteFlow, [tenant, seq, now, this.#context.writer(Writer.other), state])
        if (state === JobState.pending) flow.ready.push(...done.map(readyOf))
        flow.changes.push({ tenant, seq, state, cause: 'other', dueAt })
      })
    }
    return due.length
  }

  /** Lets those through whose time has come; returns how many gates were turned. */
  async #turn(gates: ReturnType<typeof dueGates>, now: number): Promise<number> {
    const due = await runAlone(this.#context, gates)
    for (const { tenant, gate } of due) {
      await withFlow(this.#context, async (flow) => {
        const start = [...(await flow.run(turnGate(tenant, gate, now)))]
        await flow.apply({ tenant, namespace: '' }, { ...noAftermath(), start }, now)
      })
    }
    return due.length
  }

  async nextDueAt(): Promise<number | undefined> {
    const [row] = await this.#context.db.run<[number | null]>(nextDue, [])
    const at = row?.[0]
    return at == null ? undefined : at + this.#context.nodes.turnMs
  }

  async sweep(retention: Retention, now: number, limit: number): Promise<number> {
    const { db } = this.#context
    let left = limit
    left -= await this.#sweepEnded(now - retention.failedMs, now - retention.cancelledMs, left)
    if (left > 0) left -= (await db.run<[number]>(moveHorizon, [now - retention.completedMs, left]))[0]![0]
    if (left > 0) left -= (await db.run(forgetRequests, [now - retention.requestsMs, left])).length
    if (left > 0) left -= await this.#turn(staleGates(now, left), now)
    if (left > 0) left -= await runAlone(this.#context, sweepTriggers(now, left))
    if (left > 0) left -= await runAlone(this.#context, sweepStates(now, left))
    if (left > 0) left -= await runAlone(this.#context, sweepPipelines(retention, now, left))
    if (left > 0) left -= await runAlone(this.#context, sweepProofs(now - retention.completedMs, left))
    // When all that is old has been seen to.
    if (left > 0) await this.#partitions.maintain(now, retention.completedMs)
    return limit - left
  }

  async #sweepEnded(failedBefore: number, cancelledBefore: number, limit: number): Promise<number> {
    // After a clock that was set back there may be some that were cancelled since.
    const from = cancelledBefore < this.#keptUntil ? 0 : this.#keptUntil
    const writer = this.#context.writer(Writer.other)
    const gone = await this.#context.db.run(deleteEnded, [failedBefore, cancelledBefore, limit, writer, from])
    this.#keptUntil = gone.length < limit ? cancelledBefore : from
    return gone.length
  }

  /** Makes room for the jobs to come. */
  prepare(now: number, completedMs: number): Promise<void> {
    return this.#partitions.prepare(now, completedMs)
  }
}
