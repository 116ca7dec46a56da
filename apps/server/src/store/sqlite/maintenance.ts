import type { StatementSync } from 'node:sqlite'
import { arrive } from '../flow/flows.ts'
import { sweepPipelines } from '../flow/pipeline-read.ts'
import { sweepProofs } from '../flow/proofs.ts'
import { sweepStates } from '../flow/states.ts'
import { JobState, type Retention } from '../ports.ts'
import type { JobRemoval } from './change.ts'
import type { Context } from './context.ts'
import { countOf, type LaneEntry } from './lanes.ts'

/** What time does to jobs: scheduled ones become ready, ended ones are forgotten. (Leases end in `Settle.expire`.) */
export class Maintenance {
  readonly #context: Context
  readonly #remove: JobRemoval
  readonly #due: StatementSync
  readonly #promote: StatementSync
  readonly #next: StatementSync
  readonly #ended: StatementSync
  readonly #forgetRequests: StatementSync

  constructor(context: Context, remove: JobRemoval) {
    this.#context = context
    this.#remove = remove
    const { db } = context
    this.#due = db.prepare(
      `SELECT tenant, seq, lane, attempts, flow FROM jobs WHERE due_at <= ? AND state = ${JobState.scheduled} ORDER BY due_at LIMIT ?`,
    )
    this.#promote = db.prepare(`UPDATE jobs SET state = ?4, due_at = NULL, updated_at = ?1, revision = revision + 1
      WHERE tenant = ?2 AND seq = ?3`)
    this.#next = db.prepare('SELECT min(due_at) AS due FROM jobs WHERE due_at IS NOT NULL')
    this.#ended = db.prepare('SELECT tenant, seq FROM jobs WHERE state = ? AND finished_at < ? ORDER BY finished_at LIMIT ?')
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
        const blocked = row.flow !== null && row.attempts === 0 && !this.#context.flow.run(arrive(tenant, seq))
        const state = blocked ? JobState.blocked : JobState.pending
        this.#promote.run(now, tenant, seq, state)
        this.#context.lanes.move(lane, 'scheduled', countOf(state))
        this.#context.changed(tenant, seq, state, 'other')
        touched.add(lane)
      }
      for (const lane of touched) this.#context.ready(lane)
      return rows.length
    })
  }

  nextDueAt(): number | undefined {
    const due = this.#next.get()?.due
    return typeof due === 'number' ? due : undefined
  }

  sweep(retention: Retention, now: number, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      let left = limit
      const kept = [
        [JobState.completed, retention.completedMs],
        [JobState.failed, retention.failedMs],
        [JobState.cancelled, retention.cancelledMs],
      ] as const
      for (const [state, ms] of kept) {
        const rows = left > 0 ? this.#ended.all(state, now - ms, left) : []
        for (const row of rows) this.#remove.run(Number(row.tenant), Number(row.seq))
        left -= rows.length
      }
      if (left > 0) left -= Number(this.#forgetRequests.run(now - retention.requestsMs, left).changes)
      if (left > 0) left -= this.#context.flow.run(sweepStates(now, left))
      if (left > 0) left -= this.#context.flow.run(sweepPipelines(retention, now, left))
      if (left > 0) left -= this.#context.flow.run(sweepProofs(now - retention.completedMs, left))
      return limit - left
    })
  }
}
