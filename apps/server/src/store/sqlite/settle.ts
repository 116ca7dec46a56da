import type { StatementSync } from 'node:sqlite'
import { FlowKind, ratedKinds } from '../flow/flows.ts'
import {
  attestedMark,
  type ChangeCause,
  type JobError,
  JobState,
  type NewLogEntry,
  type RetryPolicy,
  type Scope,
  type Seq,
  type SettleItem,
  type SettleOutcome,
  type TenantId,
} from '../ports.ts'
import { done, notProven, notStateful, repeats, staleLease, unknownJob } from '../settle-rules.ts'
import { BlobKind } from './blobs.ts'
import type { Context } from './context.ts'
import type { Aftermaths } from './flow.ts'
import type { LaneEntry } from './lanes.ts'

/** What ending an attempt needs to know of a job. */
type Held = readonly [
  lane: number,
  state: JobState,
  token: number | null,
  attempts: number,
  maxAttempts: number,
  leaseMs: number,
  deadline: number | null,
  retry: string | null,
  flow: number | null,
]

/** Lines kept of one job's log; the oldest go first. */
const mostLogLines = 1000

/** Ends attempts, well or badly, and keeps leases alive. */
export class Settle {
  readonly #context: Context
  readonly #aftermaths: Aftermaths
  readonly #select: StatementSync
  readonly #complete: StatementSync
  readonly #again: StatementSync
  readonly #fail: StatementSync
  readonly #renew: StatementSync
  readonly #release: StatementSync
  readonly #progress: StatementSync
  readonly #lastLine: StatementSync
  readonly #insertLine: StatementSync
  readonly #trimLines: StatementSync
  readonly #due: StatementSync

  constructor(context: Context, aftermaths: Aftermaths) {
    this.#context = context
    this.#aftermaths = aftermaths
    const { db } = context
    this.#select = db.prepare(
      'SELECT lane, state, token, attempts, max_attempts, lease_ms, deadline, retry, flow FROM jobs WHERE tenant = ? AND seq = ?',
    )
    this.#select.setReturnArrays(true)
    const change = 'updated_at = ?1, revision = revision + 1'
    this.#complete = db.prepare(`UPDATE jobs SET ${change}, state = ${JobState.completed}, finished_at = ?1, due_at = NULL, deadline = NULL,
      progress = 100, error = NULL, result = ?4, result_type = ?5 WHERE tenant = ?2 AND seq = ?3`)
    this.#again = db.prepare(`UPDATE jobs SET ${change}, state = ?4, due_at = ?5, token = ?6, error = ?7, deadline = NULL
      WHERE tenant = ?2 AND seq = ?3`)
    this.#fail = db.prepare(`UPDATE jobs SET ${change}, state = ${JobState.failed}, finished_at = ?1, due_at = NULL, token = ?4, error = ?5,
      deadline = NULL WHERE tenant = ?2 AND seq = ?3`)
    this.#renew = db.prepare('UPDATE jobs SET due_at = ?4, updated_at = ?1 WHERE tenant = ?2 AND seq = ?3')
    this.#release =
      db.prepare(`UPDATE jobs SET ${change}, state = ${JobState.pending}, attempts = attempts - 1, due_at = NULL, deadline = NULL
      WHERE tenant = ?2 AND seq = ?3`)
    this.#progress = db.prepare(`UPDATE jobs SET ${change}, progress = ?4, message = ?5 WHERE tenant = ?2 AND seq = ?3`)
    this.#lastLine = db.prepare('SELECT max(line) AS line FROM logs WHERE tenant = ? AND seq = ?')
    this.#insertLine = db.prepare('INSERT INTO logs (tenant, seq, line, timestamp, level, message, fields) VALUES (?, ?, ?, ?, ?, ?, ?)')
    this.#trimLines = db.prepare('DELETE FROM logs WHERE tenant = ? AND seq = ? AND line <= ?')
    this.#due = db.prepare(`SELECT tenant, seq FROM jobs WHERE due_at <= ? AND state = ${JobState.running} ORDER BY due_at LIMIT ?`)
  }

  run(scope: Scope, items: readonly SettleItem[], now: number): Promise<readonly SettleOutcome[]> {
    return this.#context.writer.mutate(() => {
      const touched = new Set<LaneEntry>()
      const outcomes = items.map((item) => this.#one(scope, item, now, touched))
      for (const lane of touched) this.#context.ready(lane)
      return outcomes
    })
  }

  /** Ends attempts whose lease or time is over. */
  expire(now: number, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      const rows = this.#due.all(now, limit)
      const touched = new Set<LaneEntry>()
      for (const row of rows) this.#expireOne(Number(row.tenant), Number(row.seq), now, touched)
      // Not before the holders are known to hang: a claim in this transaction might give them the same jobs again.
      this.#context.writer.afterwards(() => {
        for (const lane of touched) this.#context.ready(lane)
      })
      return rows.length
    })
  }

  #one(scope: Scope, { seq, token, action }: SettleItem, now: number, touched: Set<LaneEntry>): SettleOutcome {
    const { tenant } = scope
    const held = this.#select.get(tenant, seq) as unknown as Held | undefined
    const lane = held && this.#context.lanes.lane(held[0])
    if (!held || !lane || !this.#context.inScope(scope, lane)) return unknownJob
    if (held[2] !== token) return staleLease
    if (held[1] !== JobState.running) return repeats(action.type, held[1]) ? done : staleLease
    switch (action.type) {
      case 'complete': {
        if (action.state !== undefined && held[8] !== FlowKind.stateful) return notStateful
        if (!action.proven && lane.function.endsWith(attestedMark)) return notProven
        const result = this.#context.blobs.store(tenant, seq, BlobKind.result, action.result)
        this.#complete.run(now, tenant, seq, result, action.contentType || null)
        this.#count(lane, 'completed')
        this.#context.changed(tenant, seq, JobState.completed, 'settled')
        if (held[8] !== null) {
          const content = { data: action.result, contentType: action.contentType }
          this.#aftermaths.ended(
            scope,
            seq,
            { state: JobState.completed, now, inside: true, result: content, change: action.state },
            touched,
          )
        }
        return done
      }
      case 'fail': {
        const delay = action.delayMs === undefined ? undefined : now + action.delayMs
        this.#endBadly(tenant, seq, held, lane, {
          now,
          error: action.error,
          noRetry: action.noRetry,
          runAt: delay,
          token,
          cause: 'settled',
          touched,
        })
        touched.add(lane)
        return done
      }
      case 'release':
        this.#release.run(now, tenant, seq)
        this.#count(lane, 'pending')
        this.#context.changed(tenant, seq, JobState.pending, 'settled')
        touched.add(lane)
        return done
      case 'renew': {
        const leaseExpiresAt = now + (action.leaseMs || held[5])
        this.#renew.run(now, tenant, seq, held[6] === null ? leaseExpiresAt : Math.min(leaseExpiresAt, held[6]))
        return { leaseExpiresAt }
      }
      case 'progress':
        this.#progress.run(now, tenant, seq, action.percent, action.message || null)
        this.#context.changed(tenant, seq, JobState.running, 'other')
        return done
      case 'log':
        this.#log(tenant, seq, action.entries)
        this.#context.changed(tenant, seq, JobState.running, 'other')
        return done
    }
  }

  #expireOne(tenant: TenantId, seq: Seq, now: number, touched: Set<LaneEntry>): void {
    const held = this.#select.get(tenant, seq) as unknown as Held
    const lane = this.#context.lanes.lane(held[0])
    touched.add(lane)
    if (held[6] !== null && held[6] <= now) {
      const error = { message: 'The attempt took longer than the timeout of the job.', code: 'timeout', stack: '' }
      this.#endBadly(tenant, seq, held, lane, { now, error, noRetry: false, runAt: undefined, token: null, cause: 'timeout', touched })
    } else {
      // The worker is gone or hangs, which is no fault of the job's: it goes to the next one without a wait.
      const error = { message: 'The worker did not renew its lease in time.', code: 'lease_expired', stack: '' }
      this.#endBadly(tenant, seq, held, lane, { now, error, noRetry: false, runAt: now, token: null, cause: 'lease-expired', touched })
    }
  }

  /** The attempt failed: plans the next one, or ends the job. A `token` of null makes the lease stale for its holder. */
  #endBadly(
    tenant: TenantId,
    seq: Seq,
    held: Held,
    lane: LaneEntry,
    end: {
      now: number
      error: JobError
      noRetry: boolean
      runAt: number | undefined
      token: number | null
      cause: ChangeCause
      touched: Set<LaneEntry>
    },
  ): void {
    const { now, token, cause } = end
    const error = JSON.stringify(end.error)
    const [, , , attempts, maxAttempts, , , retry] = held
    const { options, lanes } = this.#context
    const policy = retry === null ? (lane.queue.retry ?? options.defaultRetry) : (JSON.parse(retry) as RetryPolicy)
    const planned = end.noRetry ? undefined : options.planRetry({ attempt: attempts, maxAttempts, policy, now })
    if (planned === undefined) {
      this.#fail.run(now, tenant, seq, token, error)
      this.#count(lane, 'failed')
      lanes.count(lane, 'dead', 1)
      this.#context.changed(tenant, seq, JobState.failed, cause)
      if (held[8] !== null) this.#aftermaths.ended(lane.queue, seq, { state: JobState.failed, now, inside: true, error }, end.touched)
      return
    }
    const runAt = end.runAt ?? planned
    // One whose starts are limited comes to the limit again.
    const later = runAt > now || ratedKinds.includes(held[8] ?? 0)
    const state = later ? JobState.scheduled : JobState.pending
    this.#again.run(now, tenant, seq, state, later ? runAt : null, token, error)
    this.#count(lane, later ? 'scheduled' : 'pending')
    this.#context.changed(tenant, seq, state, cause, later ? runAt : undefined)
  }

  #count(lane: LaneEntry, into: 'completed' | 'failed' | 'pending' | 'scheduled'): void {
    this.#context.lanes.move(lane, 'running', into)
  }

  #log(tenant: TenantId, seq: Seq, entries: readonly NewLogEntry[]): void {
    let line = Number(this.#lastLine.get(tenant, seq)?.line ?? 0)
    for (const entry of entries) {
      this.#insertLine.run(tenant, seq, ++line, entry.timestamp, entry.level, entry.message, entry.fields)
    }
    if (line > mostLogLines) this.#trimLines.run(tenant, seq, line - mostLogLines)
  }
}
