import type { StatementSync } from 'node:sqlite'
import { expired, takeExpired } from '../flow/expiries.ts'
import { isInside } from '../flow/flows.ts'
import { JobState } from '../ports.ts'
import type { Context } from './context.ts'
import type { Aftermaths } from './flow.ts'
import type { LaneEntry } from './lanes.ts'

/** Ends jobs that were not taken in time. */
export class Expiry {
  readonly #context: Context
  readonly #aftermaths: Aftermaths
  readonly #select: StatementSync

  constructor(context: Context, aftermaths: Aftermaths) {
    this.#context = context
    this.#aftermaths = aftermaths
    this.#select = context.db.prepare(`SELECT lane, state, flow FROM jobs
      WHERE tenant = ? AND seq = ? AND state <= ${JobState.blocked} AND attempts = 0`)
  }

  /** Returns how many were looked at, at most `limit`. */
  run(now: number, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      const due = this.#context.flow.run(takeExpired(now, limit))
      const touched = new Set<LaneEntry>()
      for (const { tenant, seq } of due) {
        const row = this.#select.get(tenant, seq)
        if (!row) continue
        const lane = this.#context.lanes.lane(Number(row.lane))
        const state = Number(row.state) as JobState
        this.#aftermaths.cancel(tenant, seq, lane, state, expired, now)
        if (row.flow === null) continue
        this.#aftermaths.ended(lane.queue, seq, { state: JobState.cancelled, now, inside: isInside(state, 0) }, touched)
      }
      for (const lane of touched) this.#context.ready(lane)
      return due.length
    })
  }
}
