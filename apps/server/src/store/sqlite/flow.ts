import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import type { Aftermath } from '../flow/aftermath.ts'
import { type End, endFlow } from '../flow/flows.ts'
import type { Program } from '../flow/program.ts'
import { JobState, type Scope, type Seq, type TenantId } from '../ports.ts'
import type { Context } from './context.ts'
import type { Enqueue } from './enqueue.ts'
import { countOf, type LaneEntry } from './lanes.ts'

/** Carries out the programs of `store/flow` inside mutations and reads. */
export class Flow {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  run<T>(program: Program<T>): T {
    let step = program.next([])
    while (!step.done) step = program.next(this.#prepared(step.value.sql).all(...step.value.values))
    return step.value
  }

  #prepared(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known) return known
    const statement = this.#db.prepare(sql.replaceAll('millrace.', '').replaceAll(/\$(\d+)/g, '?$1'))
    this.#statements.set(sql, statement)
    return statement
  }
}

/** Sees to what becomes of jobs when others end or begin. */
export class Aftermaths {
  readonly #context: Context
  readonly #enqueue: Enqueue
  readonly #select: StatementSync
  readonly #start: StatementSync
  readonly #cancel: StatementSync
  readonly #restart: StatementSync

  constructor(context: Context, enqueue: Enqueue) {
    this.#context = context
    this.#enqueue = enqueue
    const { db } = context
    this.#select = db.prepare('SELECT lane, state FROM jobs WHERE tenant = ? AND seq = ?')
    this.#start = db.prepare(`UPDATE jobs SET state = ${JobState.pending}, updated_at = ?, revision = revision + 1
      WHERE tenant = ? AND seq = ? RETURNING lane`)
    this.#cancel = db.prepare(`UPDATE jobs SET state = ${JobState.cancelled}, updated_at = ?1, finished_at = ?1, revision = revision + 1,
      token = NULL, due_at = NULL, deadline = NULL, message = ?4 WHERE tenant = ?2 AND seq = ?3`)
    this.#restart = db.prepare(`UPDATE jobs SET state = ?4, updated_at = ?1, finished_at = NULL, revision = revision + 1,
      token = NULL, due_at = NULL, attempts = 0, progress = NULL, message = NULL WHERE tenant = ?2 AND seq = ?3`)
  }

  /** Inside a mutation: a job has ended. @param touched - gets the lanes of those that may begin now. */
  ended(scope: Scope, seq: Seq, end: End, touched: Set<LaneEntry>): void {
    this.apply(scope, this.#context.flow.run(endFlow(scope, seq, end)), end.now, touched)
  }

  /** Inside a mutation: all that must become of jobs. */
  apply(scope: Scope, { start, waiting, cancel, restart, add, pipelines }: Aftermath, now: number, touched: Set<LaneEntry>): void {
    const { lanes } = this.#context
    // First: what waits again may begin at once.
    for (const { seq, blocked } of restart) {
      const found = this.#find(scope.tenant, seq)
      if (!found) throw forgotten()
      this.restart(scope.tenant, seq, found.lane, found.state, blocked ? JobState.blocked : JobState.pending, now)
      if (!blocked) touched.add(found.lane)
    }
    for (const seq of start) {
      const lane = lanes.lane(Number(this.#start.get(now, scope.tenant, seq)!.lane))
      this.#moved(lane, seq, JobState.blocked, JobState.pending, touched)
    }
    for (const { seq, dueAt } of waiting) this.#context.changed(scope.tenant, seq, JobState.blocked, 'other', dueAt)
    for (const seq of cancel) {
      const found = this.#find(scope.tenant, seq)
      if (!found || found.state >= JobState.completed) continue
      this.cancel(scope.tenant, seq, found.lane, found.state, '', now)
    }
    for (const job of add) this.#enqueue.add(scope, job, now, touched)
    for (const { seq, state, deadline } of pipelines) this.#context.changed(scope.tenant, seq, state, 'other', deadline)
  }

  /** Inside a mutation: a job that has not ended ends. */
  cancel(tenant: TenantId, seq: Seq, lane: LaneEntry, from: JobState, reason: string, now: number): void {
    this.#cancel.run(now, tenant, seq, reason || null)
    this.#context.lanes.move(lane, countOf(from), 'cancelled')
    this.#context.changed(tenant, seq, JobState.cancelled, 'cancelled')
  }

  /** Inside a mutation: a failed or cancelled job waits again. */
  restart(tenant: TenantId, seq: Seq, lane: LaneEntry, from: JobState, into: JobState, now: number): void {
    this.#restart.run(now, tenant, seq, into)
    this.#context.lanes.move(lane, from === JobState.failed ? 'failed' : 'cancelled', countOf(into))
    if (from === JobState.failed) this.#context.lanes.count(lane, 'dead', -1)
    this.#context.changed(tenant, seq, into, 'other')
  }

  #moved(lane: LaneEntry, seq: Seq, from: JobState, into: JobState, touched: Set<LaneEntry>): void {
    this.#context.lanes.move(lane, countOf(from), countOf(into))
    this.#context.changed(lane.queue.tenant, seq, into, 'other')
    touched.add(lane)
  }

  #find(tenant: TenantId, seq: Seq): { lane: LaneEntry; state: JobState } | undefined {
    const row = this.#select.get(tenant, seq)
    return row && { lane: this.#context.lanes.lane(Number(row.lane)), state: Number(row.state) as JobState }
  }
}

function forgotten(): MillraceError {
  return new MillraceError('FAILED_PRECONDITION', 'A task of the pipeline is forgotten already: start the pipeline anew.')
}
