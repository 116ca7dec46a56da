import type { StatementSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import { arrive, FlowKind, isInside, removeFlow } from '../flow/flows.ts'
import { type JobRecord, JobState, type Scope, type Seq, type TenantId } from '../ports.ts'
import type { Context } from './context.ts'
import type { Aftermaths } from './flow.ts'
import type { LaneEntry } from './lanes.ts'
import type { Read } from './read.ts'

/** What people do to jobs, whoever holds them: cancel, try again, replay and purge. */
export class Change {
  readonly #context: Context
  readonly #aftermaths: Aftermaths
  readonly #read: Read
  readonly #select: StatementSync
  readonly #dead: StatementSync
  readonly #remove: JobRemoval

  constructor(context: Context, aftermaths: Aftermaths, read: Read, remove: JobRemoval) {
    this.#context = context
    this.#aftermaths = aftermaths
    this.#read = read
    this.#remove = remove
    const { db } = context
    this.#select = db.prepare('SELECT lane, state, attempts, flow FROM jobs WHERE tenant = ? AND seq = ?')
    this.#dead =
      db.prepare(`SELECT seq, flow FROM jobs WHERE tenant = ? AND lane = ? AND state = ${JobState.failed} AND coalesce(flow, 0) <> ?
      ORDER BY seq LIMIT ?`)
  }

  cancel(scope: Scope, seq: Seq, reason: string, now: number): Promise<JobRecord> {
    return this.#context.writer.mutate(() => {
      const { lane, state, attempts, flow } = this.#find(scope, seq)
      if (state >= JobState.completed) throw wrongState('cancelled', state)
      this.#aftermaths.cancel(scope.tenant, seq, lane, state, reason, now)
      if (flow !== undefined) {
        const touched = new Set<LaneEntry>()
        this.#aftermaths.ended(scope, seq, { state: JobState.cancelled, now, inside: isInside(state, attempts) }, touched)
        for (const next of touched) this.#context.ready(next)
      }
      return this.#read.get(scope, seq, false)!
    })
  }

  retry(scope: Scope, seq: Seq, now: number): Promise<JobRecord> {
    return this.#context.writer.mutate(() => {
      const { lane, state, flow } = this.#find(scope, seq)
      if (state !== JobState.failed && state !== JobState.cancelled) throw wrongState('run again', state)
      if (flow === FlowKind.stage) throw stageRetry()
      this.#restartOne({ tenant: scope.tenant, seq, lane, state, flow }, now)
      this.#context.ready(lane)
      return this.#read.get(scope, seq, false)!
    })
  }

  replayDead(scope: Scope, queue: string, limit: number, now: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      // Stages are tried again with their pipeline.
      const replayed = this.#eachDead(scope, queue, limit, FlowKind.stage, (lane, seq, flow) =>
        this.#restartOne({ tenant: scope.tenant, seq, lane, state: JobState.failed, flow }, now),
      )
      for (const lane of this.#context.lanes.queue(scope, queue)?.lanes.values() ?? []) this.#context.ready(lane)
      return replayed
    })
  }

  purgeDead(scope: Scope, queue: string, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => this.#eachDead(scope, queue, limit, -1, (_, seq) => this.#remove.run(scope.tenant, seq)))
  }

  #eachDead(
    scope: Scope,
    queue: string,
    limit: number,
    except: number,
    act: (lane: LaneEntry, seq: Seq, flow: number | undefined) => void,
  ): number {
    let count = 0
    for (const lane of this.#context.lanes.queue(scope, queue)?.lanes.values() ?? []) {
      for (const row of this.#dead.all(scope.tenant, lane.number, except, limit - count)) {
        act(lane, Number(row.seq), row.flow === null ? undefined : Number(row.flow))
        count++
      }
    }
    return count
  }

  #restartOne({ tenant, seq, lane, state, flow }: Found & { tenant: TenantId; seq: Seq }, now: number): void {
    const { through, dueAt } = flow === undefined ? { through: true } : this.#context.flow.run(arrive(tenant, seq, 0, now))
    this.#aftermaths.restart(tenant, seq, lane, state, through ? JobState.pending : JobState.blocked, now)
    if (dueAt !== undefined) this.#context.changed(tenant, seq, JobState.blocked, 'other', dueAt)
  }

  #find(scope: Scope, seq: Seq): Found & { attempts: number } {
    const row = this.#select.get(scope.tenant, seq)
    const lane = row && this.#context.lanes.lane(Number(row.lane))
    if (!row || !lane || !this.#context.inScope(scope, lane)) {
      throw new MillraceError('NOT_FOUND', 'There is no such job in this namespace.', { resource: 'job' })
    }
    return {
      lane,
      state: Number(row.state) as JobState,
      attempts: Number(row.attempts),
      flow: row.flow === null ? undefined : Number(row.flow),
    }
  }
}

/** A job to change. */
interface Found {
  readonly lane: LaneEntry
  readonly state: JobState
  /** What kind it is, when it has to do with others. */
  readonly flow: number | undefined
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
    this.#select = db.prepare('SELECT lane, state, labels, idempotency_key, flow FROM jobs WHERE tenant = ? AND seq = ?')
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
    if (row.flow !== null) this.#context.flow.run(removeFlow(tenant, seq))
    for (const statement of this.#deletes) statement.run(tenant, seq)
  }
}

const stateNames = Object.fromEntries(Object.entries(JobState).map(([name, state]) => [state, name]))

function stageRetry(): MillraceError {
  return new MillraceError('FAILED_PRECONDITION', 'The task is a stage of a pipeline: run the pipeline again.')
}

function wrongState(wanted: string, state: JobState): MillraceError {
  return new MillraceError('FAILED_PRECONDITION', `The job is ${stateNames[state]} and cannot be ${wanted}.`)
}
