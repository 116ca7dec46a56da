import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import { JobState, type QueueSettings, type RetryPolicy, type Scope, type TenantId } from '../ports.ts'
import { mostOf } from '../quotas.ts'
import type { Writer } from './writer.ts'

/** Jobs of a lane by state. `completed`, `failed`, `cancelled` and `total` count from the lane's first use on; `dead` counts kept failed jobs. */
export const countNames = ['scheduled', 'pending', 'blocked', 'running', 'completed', 'failed', 'cancelled', 'dead', 'total'] as const
export type CountName = (typeof countNames)[number]

/** The count of a job that has not ended. */
export function countOf(state: JobState): 'scheduled' | 'pending' | 'blocked' | 'running' {
  if (state === JobState.scheduled) return 'scheduled'
  if (state === JobState.pending) return 'pending'
  return state === JobState.blocked ? 'blocked' : 'running'
}

/** A queue in memory. */
export interface QueueEntry extends Scope {
  readonly number: number
  readonly name: string
  readonly createdAt: number
  readonly lanes: Map<string, LaneEntry>
  retry: RetryPolicy | undefined
  maxDepth: number
  paused: boolean
  /** Pending, scheduled and blocked jobs of all its lanes. */
  waiting: number
}

/** Jobs of one queue and function, in memory. */
export interface LaneEntry {
  readonly number: number
  readonly queue: QueueEntry
  readonly function: string
  readonly counts: Record<CountName, number>
}

/** Most queues, and most functions in a queue: they stay in memory. */
const most = mostOf.queues

/** The queues and lanes with their counts: kept in memory, written with the transaction that changed them. */
export class Lanes {
  readonly #writer: () => Writer
  readonly #queues = new Map<string, QueueEntry>()
  readonly #lanes = new Map<number, LaneEntry>()
  readonly #perTenant = new Map<TenantId, number>()
  readonly #dirty = new Set<LaneEntry>()
  readonly #insertQueue: StatementSync
  readonly #insertLane: StatementSync
  readonly #updateLane: StatementSync
  readonly #updateQueue: StatementSync
  #lastNumber = 0

  constructor(db: DatabaseSync, writer: () => Writer) {
    this.#writer = writer
    this.#insertQueue = db.prepare('INSERT INTO queues (tenant, queue, namespace, name, created_at) VALUES (?, ?, ?, ?, ?)')
    this.#insertLane = db.prepare('INSERT INTO lanes (tenant, lane, queue, function) VALUES (?, ?, ?, ?)')
    this.#updateLane = db.prepare(`UPDATE lanes SET ${countNames.map((name) => `${name} = ?`).join(', ')} WHERE tenant = ? AND lane = ?`)
    this.#updateQueue = db.prepare('UPDATE queues SET retry = ?, max_depth = ?, paused = ? WHERE tenant = ? AND queue = ?')
    this.#load(db)
  }

  /** The queue, when it was used before. */
  queue(scope: Scope, name: string): QueueEntry | undefined {
    return this.#queues.get(keyOf(scope, name))
  }

  /** The lane of a number found in a job's row. */
  lane(number: number): LaneEntry {
    return this.#lanes.get(number)!
  }

  /** Every queue of every tenant. */
  everyQueue(): Iterable<QueueEntry> {
    return this.#queues.values()
  }

  /** Every queue of a tenant, or of one namespace of it. */
  *queuesOf(tenant: TenantId, namespace?: string): Iterable<QueueEntry> {
    for (const queue of this.#queues.values()) {
      if (queue.tenant === tenant && (namespace === undefined || queue.namespace === namespace)) yield queue
    }
  }

  /** Inside a mutation: the queue, made when it is new. */
  ensureQueue(scope: Scope, name: string, now: number): QueueEntry {
    const key = keyOf(scope, name)
    const known = this.#queues.get(key)
    if (known) return known
    const count = this.#perTenant.get(scope.tenant) ?? 0
    if (count >= most) throw tooMany('queues', count)
    const { tenant, namespace } = scope
    const number = ++this.#lastNumber
    this.#insertQueue.run(tenant, number, namespace, name, now)
    const queue = newQueue(scope, number, name, now)
    this.#queues.set(key, queue)
    this.#perTenant.set(tenant, count + 1)
    this.#writer().onRevert(() => {
      this.#queues.delete(key)
      this.#perTenant.set(tenant, count)
    })
    return queue
  }

  /** Inside a mutation: the lane, made when it is new. */
  ensureLane(scope: Scope, queueName: string, functionName: string, now: number): LaneEntry {
    const queue = this.ensureQueue(scope, queueName, now)
    const known = queue.lanes.get(functionName)
    if (known) return known
    if (queue.lanes.size >= most) throw tooMany('functions in a queue', queue.lanes.size)
    const number = ++this.#lastNumber
    this.#insertLane.run(scope.tenant, number, queue.number, functionName)
    const lane = newLane(queue, number, functionName)
    this.#add(lane)
    this.#writer().onRevert(() => {
      queue.lanes.delete(functionName)
      this.#lanes.delete(number)
    })
    return lane
  }

  /** Inside a mutation: changes a count. */
  count(lane: LaneEntry, name: CountName, by: number): void {
    if (by === 0) return
    this.#apply(lane, name, by)
    this.#dirty.add(lane)
    this.#writer().onRevert(() => this.#apply(lane, name, -by))
  }

  /** Inside a mutation: a job goes from one state to another. */
  move(lane: LaneEntry, from: CountName, to: CountName): void {
    this.#apply(lane, from, -1)
    this.#apply(lane, to, 1)
    this.#dirty.add(lane)
    this.#writer().onRevert(() => {
      this.#apply(lane, from, 1)
      this.#apply(lane, to, -1)
    })
  }

  /** Inside a mutation: changes a queue's settings. */
  update(queue: QueueEntry, change: { retry?: RetryPolicy; maxDepth?: number; paused?: boolean }): void {
    const before = { retry: queue.retry, maxDepth: queue.maxDepth, paused: queue.paused }
    if (change.retry !== undefined) queue.retry = change.retry
    if (change.maxDepth !== undefined) queue.maxDepth = change.maxDepth
    if (change.paused !== undefined) queue.paused = change.paused
    const retry = queue.retry ? JSON.stringify(queue.retry) : null
    this.#updateQueue.run(retry, queue.maxDepth, queue.paused ? 1 : 0, queue.tenant, queue.number)
    this.#writer().onRevert(() => Object.assign(queue, before))
  }

  /** Before a commit: writes the counts that changed. */
  write(): void {
    for (const lane of this.#dirty) {
      const c = lane.counts
      this.#updateLane.run(
        c.scheduled,
        c.pending,
        c.blocked,
        c.running,
        c.completed,
        c.failed,
        c.cancelled,
        c.dead,
        c.total,
        lane.queue.tenant,
        lane.number,
      )
    }
    this.#dirty.clear()
  }

  #apply(lane: LaneEntry, name: CountName, by: number): void {
    lane.counts[name] += by
    if (name === 'pending' || name === 'scheduled' || name === 'blocked') lane.queue.waiting += by
  }

  #add(lane: LaneEntry): void {
    lane.queue.lanes.set(lane.function, lane)
    this.#lanes.set(lane.number, lane)
  }

  #load(db: DatabaseSync): void {
    const byNumber = new Map<number, QueueEntry>()
    for (const row of db.prepare('SELECT * FROM queues').iterate()) {
      const scope = { tenant: Number(row.tenant), namespace: String(row.namespace) }
      const queue = newQueue(scope, Number(row.queue), String(row.name), Number(row.created_at))
      queue.retry = row.retry === null ? undefined : (JSON.parse(String(row.retry)) as RetryPolicy)
      queue.maxDepth = Number(row.max_depth)
      queue.paused = row.paused === 1
      this.#queues.set(keyOf(scope, queue.name), queue)
      this.#perTenant.set(scope.tenant, (this.#perTenant.get(scope.tenant) ?? 0) + 1)
      byNumber.set(queue.number, queue)
      this.#lastNumber = Math.max(this.#lastNumber, queue.number)
    }
    for (const row of db.prepare('SELECT * FROM lanes').iterate()) {
      const lane = newLane(byNumber.get(Number(row.queue))!, Number(row.lane), String(row.function))
      for (const name of countNames) this.#apply(lane, name, Number(row[name]))
      this.#add(lane)
      this.#lastNumber = Math.max(this.#lastNumber, lane.number)
    }
  }
}

/** A queue's settings with the defaults filled in. */
export function settingsOf(name: string, queue: QueueEntry | undefined, defaultRetry: RetryPolicy): QueueSettings {
  return {
    name,
    retry: queue?.retry ?? defaultRetry,
    maxDepth: queue?.maxDepth ?? 0,
    paused: queue?.paused ?? false,
    createdAt: queue?.createdAt,
  }
}

function newQueue({ tenant, namespace }: Scope, number: number, name: string, createdAt: number): QueueEntry {
  return { tenant, namespace, number, name, createdAt, lanes: new Map(), retry: undefined, maxDepth: 0, paused: false, waiting: 0 }
}

function newLane(queue: QueueEntry, number: number, functionName: string): LaneEntry {
  const counts = { scheduled: 0, pending: 0, blocked: 0, running: 0, completed: 0, failed: 0, cancelled: 0, dead: 0, total: 0 }
  return { number, queue, function: functionName, counts }
}

function keyOf({ tenant, namespace }: Scope, name: string): string {
  return `${tenant} ${namespace} ${name}`
}

function tooMany(what: string, current: number): MillraceError {
  return new MillraceError('QUOTA_EXCEEDED', `There are ${current} ${what}, which is the most there may be. Use fewer names.`, {
    quota: { type: what, current, limit: most },
  })
}
