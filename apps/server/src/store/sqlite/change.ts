import type { StatementSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import { type JobRecord, JobState, type Scope, type Seq, type TenantId } from '../ports.ts'
import type { Context } from './context.ts'
import type { CountName, LaneEntry } from './lanes.ts'
import type { Read } from './read.ts'

/** What people do to jobs, whoever holds them: cancel, try again, replay and purge. */
export class Change {
  readonly #context: Context
  readonly #read: Read
  readonly #select: StatementSync
  readonly #cancel: StatementSync
  readonly #restart: StatementSync
  readonly #dead: StatementSync
  readonly #remove: JobRemoval

  constructor(context: Context, read: Read, remove: JobRemoval) {
    this.#context = context
    this.#read = read
    this.#remove = remove
    const { db } = context
    this.#select = db.prepare('SELECT lane, state FROM jobs WHERE tenant = ? AND seq = ?')
    this.#cancel = db.prepare(`UPDATE jobs SET state = ${JobState.cancelled}, updated_at = ?1, finished_at = ?1, revision = revision + 1,
      token = NULL, due_at = NULL, deadline = NULL, message = ?4 WHERE tenant = ?2 AND seq = ?3`)
    this.#restart = db.prepare(`UPDATE jobs SET state = ${JobState.pending}, updated_at = ?1, finished_at = NULL, revision = revision + 1,
      token = NULL, due_at = NULL, attempts = 0, progress = NULL, message = NULL WHERE tenant = ?2 AND seq = ?3`)
    this.#dead = db.prepare(`SELECT seq FROM jobs WHERE tenant = ? AND lane = ? AND state = ${JobState.failed} ORDER BY seq LIMIT ?`)
  }

  cancel(scope: Scope, seq: Seq, reason: string, now: number): Promise<JobRecord> {
    return this.#context.writer.mutate(() => {
      const { lane, state } = this.#find(scope, seq)
      const from = waitingCount[state]
      if (!from) throw wrongState('cancelled', state)
      this.#cancel.run(now, scope.tenant, seq, reason || null)
      this.#context.lanes.move(lane, from, 'cancelled')
      this.#context.changed(scope.tenant, seq, JobState.cancelled, 'cancelled')
      return this.#read.get(scope, seq, false)!
    })
  }

  retry(scope: Scope, seq: Seq, now: number): Promise<JobRecord> {
    return this.#context.writer.mutate(() => {
      const { lane, state } = this.#find(scope, seq)
      if (state !== JobState.failed && state !== JobState.cancelled) throw wrongState('run again', state)
      this.#restartOne(scope.tenant, seq, lane, state, now)
      this.#context.ready(lane)
      return this.#read.get(scope, seq, false)!
    })
  }

  replayDead(scope: Scope, queue: string, limit: number, now: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      const replayed = this.#eachDead(scope, queue, limit, (lane, seq) => this.#restartOne(scope.tenant, seq, lane, JobState.failed, now))
      for (const lane of this.#context.lanes.queue(scope, queue)?.lanes.values() ?? []) this.#context.ready(lane)
      return replayed
    })
  }

  purgeDead(scope: Scope, queue: string, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => this.#eachDead(scope, queue, limit, (_, seq) => this.#remove.run(scope.tenant, seq)))
  }

  #eachDead(scope: Scope, queue: string, limit: number, act: (lane: LaneEntry, seq: Seq) => void): number {
    let count = 0
    for (const lane of this.#context.lanes.queue(scope, queue)?.lanes.values() ?? []) {
      for (const row of this.#dead.all(scope.tenant, lane.number, limit - count)) {
        act(lane, Number(row.seq))
        count++
      }
    }
    return count
  }

  #restartOne(tenant: TenantId, seq: Seq, lane: LaneEntry, state: JobState, now: number): void {
    this.#restart.run(now, tenant, seq)
    this.#context.lanes.move(lane, state === JobState.failed ? 'failed' : 'cancelled', 'pending')
    if (state === JobState.failed) this.#context.lanes.count(lane, 'dead', -1)
    this.#context.changed(tenant, seq, JobState.pending, 'other')
  }

  #find(scope: Scope, seq: Seq): { lane: LaneEntry; state: JobState } {
    const row = this.#select.get(scope.tenant, seq)
    const lane = row && this.#context.lanes.lane(Number(row.lane))
    if (!row || !lane || !this.#context.inScope(scope, lane)) {
      throw new MillraceError('NOT_FOUND', 'There is no such job in this namespace.', { resource: 'job' })
    }
    return { lane, state: Number(row.state) as JobState }
  }
}

/** Deletes a job with all that belongs to it. */
export class JobRemoval {
  readonly #context: Context
  readonly #select: StatementSync
  readonly #deletes: readonly StatementSync[]
  readonly #deleteLabel: StatementSync
  readonly #deleteKey: StatementSync

  constructor(context: Context) {
    this.#context = context
    const { db } = context
    this.#select = db.prepare('SELECT lane, state, labels, idempotency_key FROM jobs WHERE tenant = ? AND seq = ?')
    this.#deletes = ['jobs', 'blobs', 'logs'].map((table) => db.prepare(`DELETE FROM ${table} WHERE tenant = ? AND seq = ?`))
    this.#deleteLabel = db.prepare('DELETE FROM labels WHERE tenant = ? AND key = ? AND value = ? AND seq = ?')
    this.#deleteKey = db.prepare('DELETE FROM idempotency WHERE tenant = ? AND queue = ? AND key = ?')
  }

  /** Inside a mutation. */
  run(tenant: TenantId, seq: Seq): void {
    const row = this.#select.get(tenant, seq)
    if (!row) return
    const lane = this.#context.lanes.lane(Number(row.lane))
    if (row.state === JobState.failed) this.#context.lanes.count(lane, 'dead', -1)
    const labels = row.labels === null ? {} : (JSON.parse(String(row.labels)) as Record<string, string>)
    for (const key in labels) this.#deleteLabel.run(tenant, key, labels[key]!, seq)
    if (row.idempotency_key !== null) this.#deleteKey.run(tenant, lane.queue.number, String(row.idempotency_key))
    for (const statement of this.#deletes) statement.run(tenant, seq)
  }
}

/** The count a job that has not ended is in. */
const waitingCount: Partial<Record<JobState, CountName>> = {
  [JobState.scheduled]: 'scheduled',
  [JobState.pending]: 'pending',
  [JobState.running]: 'running',
}

const stateNames = Object.fromEntries(Object.entries(JobState).map(([name, state]) => [state, name]))

function wrongState(wanted: string, state: JobState): MillraceError {
  return new MillraceError('FAILED_PRECONDITION', `The job is ${stateNames[state]} and cannot be ${wanted}.`)
}
