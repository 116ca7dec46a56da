import type { StatementSync } from 'node:sqlite'
import { noAftermath } from '../flow/aftermath.ts'
import { arrive, FlowKind, ratedKinds } from '../flow/flows.ts'
import { mayBeRetried, sweepPipelines } from '../flow/pipeline-read.ts'
import { sweepProofs } from '../flow/proofs.ts'
import { dueGates, staleGates, turnGate } from '../flow/rates.ts'
import { sweepStates } from '../flow/states.ts'
import { sweepTriggers } from '../flow/triggers.ts'
import { JobState, type Retention } from '../ports.ts'
import type { JobRemoval } from './change.ts'
import type { Context } from './context.ts'
import type { Aftermaths } from './flow.ts'
import { countOf, type LaneEntry } from './lanes.ts'

/** What time does to jobs: scheduled ones become ready, ended ones are forgotten. (Leases end in `Settle.expire`.) */
export class Maintenance {
  readonly #context: Context
  readonly #aftermaths: Aftermaths
  readonly #remove: JobRemoval
  readonly #due: StatementSync
  readonly #promote: StatementSync
  readonly #next: StatementSync
  readonly #ended: StatementSync
  readonly #cancelled: StatementSync
  readonly #forgetRequests: StatementSync
  /** Jobs cancelled before this were looked at: those that are left are kept for their pipelines. */
  #keptUntil = 0

  constructor(context: Context, aftermaths: Aftermaths, remove: JobRemoval) {
    this.#context = context
    this.#aftermaths = aftermaths
    this.#remove = remove
    const { db } = context
    this.#due = db.prepare(
      `SELECT tenant, seq, lane, attempts, flow FROM jobs WHERE due_at <= ? AND state = ${JobState.scheduled} ORDER BY due_at LIMIT ?`,
    )
    this.#promote = db.prepare(`UPDATE jobs SET state = ?4, due_at = NULL, updated_at = ?1, revision = revision + 1
      WHERE tenant = ?2 AND seq = ?3`)
    this.#next = db.prepare('SELECT min(due_at) AS due FROM jobs WHERE due_at IS NOT NULL')
    this.#ended = db.prepare('SELECT tenant, seq FROM jobs WHERE state = ? AND finished_at < ? ORDER BY finished_at LIMIT ?')
    this.#cancelled = db.prepare(`SELECT tenant, seq, finished_at FROM jobs j
      WHERE state = ${JobState.cancelled} AND finished_at >= ? AND finished_at < ?
        AND NOT (flow IS ${FlowKind.stage} AND EXISTS (SELECT 1 FROM pipelines p WHERE p.tenant = j.tenant AND p.seq = j.batch AND ${mayBeRetried}))
      ORDER BY finished_at LIMIT ?`)
    this.#forgetRequests = db.prepare(`DELETE FROM requests WHERE (tenant, id) IN
      (SELECT tenant, id FROM requests WHERE created_at < ? ORDER BY created_at LIMIT ?)`)
  }

  promote(now: number, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      const rows = this.#due.all(now, limit)
      const touched = new Set<LaneEntry>()
      for (const row of rows) {
        const lane = this.#context.lanes.lane(Number(row.lane))
        const [tenant, seq] = [Number(row.tenant), Number(row.seq)]
        // Between attempts it has kept its place.
        const waits = ratedKinds.includes(Number(row.flow)) || (row.flow !== null && row.attempts === 0)
        const { through, dueAt } = waits ? this.#context.flow.run(arrive(tenant, seq, Number(row.attempts), now)) : { through: true }
        const state = through ? JobState.pending : JobState.blocked
        this.#promote.run(now, tenant, seq, state)
        this.#context.lanes.move(lane, 'scheduled', countOf(state))
        this.#context.changed(tenant, seq, state, 'other', dueAt)
        touched.add(lane)
      }
      const turned = this.#turn(dueGates(now, limit), now, touched)
      for (const lane of touched) this.#context.ready(lane)
      return Math.max(rows.length, turned)
    })
  }

  nextDueAt(): number | undefined {
    const due = this.#next.get()?.due
    return typeof due === 'number' ? due : undefined
  }

  /** Inside a mutation: lets those through whose time has come; returns how many gates were turned. */
  #turn(gates: ReturnType<typeof dueGates>, now: number, touched: Set<LaneEntry>): number {
    const { flow } = this.#context
    const due = flow.run(gates)
    for (const { tenant, gate } of due) {
      const start = [...flow.run(turnGate(tenant, gate, now))]
      this.#aftermaths.apply({ tenant, namespace: '' }, { ...noAftermath(), start }, now, touched)
    }
    return due.length
  }

  /** Inside a mutation: forgets cancelled jobs but for stages whose pipeline may be run again. What is kept is looked at once. */
  #sweepCancelled(before: number, limit: number): number {
    // After a clock that was set back there may be some that were cancelled since.
    if (before < this.#keptUntil) this.#keptUntil = 0
    const rows = this.#cancelled.all(this.#keptUntil, before, limit)
    for (const row of rows) this.#remove.run(Number(row.tenant), Number(row.seq))
    this.#keptUntil = rows.length < limit ? before : Number(rows.at(-1)!.finished_at)
    return rows.length
  }

  sweep(retention: Retention, now: number, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      let left = limit
      const kept = [
        [JobState.completed, retention.completedMs],
        [JobState.failed, retention.failedMs],
        [JobState.cancelled, Math.max(retention.cancelledMs, retention.failedMs)],
      ] as const
      for (const [state, ms] of kept) {
        const rows = left > 0 ? this.#ended.all(state, now - ms, left) : []
        for (const row of rows) this.#remove.run(Number(row.tenant), Number(row.seq))
        left -= rows.length
      }
      if (left > 0) left -= this.#sweepCancelled(now - retention.cancelledMs, left)
      if (left > 0) left -= Number(this.#forgetRequests.run(now - retention.requestsMs, left).changes)
      const touched = new Set<LaneEntry>()
      if (left > 0) left -= this.#turn(staleGates(now, left), now, touched)
      for (const lane of touched) this.#context.ready(lane)
      if (left > 0) left -= this.#context.flow.run(sweepTriggers(now, left))
      if (left > 0) left -= this.#context.flow.run(sweepStates(now, left))
      if (left > 0) left -= this.#context.flow.run(sweepPipelines(retention, now, left))
      if (left > 0) left -= this.#context.flow.run(sweepProofs(now - retention.completedMs, left))
      return limit - left
    })
  }
}
