import type { StatementSync } from 'node:sqlite'
import type { JobTotals, QueueSettings, QueueStats, QueueStore, RetryPolicy, Scope, TenantId } from '../ports.ts'
import type { Context } from './context.ts'
import { type CountName, settingsOf } from './lanes.ts'

/** Queues: their settings and counts, all from memory. */
export class SqliteQueues implements QueueStore {
  readonly #context: Context
  readonly #oldest: StatementSync

  constructor(context: Context) {
    this.#context = context
    // One look at the index for each priority in use, never one for each job.
    const ready = 'FROM jobs WHERE tenant = ?1 AND lane = ?2 AND state = 2'
    this.#oldest = context.db.prepare(`WITH RECURSIVE used (priority) AS (
        SELECT max(priority) ${ready}
        UNION ALL SELECT (SELECT max(priority) ${ready} AND priority < used.priority) FROM used WHERE used.priority IS NOT NULL
      )
      SELECT created_at FROM jobs WHERE tenant = ?1 AND seq =
        (SELECT min((SELECT min(seq) ${ready} AND priority = used.priority)) FROM used WHERE priority IS NOT NULL)`)
  }

  async settings(scope: Scope, name: string): Promise<QueueSettings> {
    return settingsOf(name, this.#context.lanes.queue(scope, name), this.#context.options.defaultRetry)
  }

  update(
    scope: Scope,
    name: string,
    change: { retry?: RetryPolicy; maxDepth?: number; paused?: boolean },
    now: number,
  ): Promise<QueueSettings> {
    return this.#context.writer.mutate(() => {
      const queue = this.#context.lanes.ensureQueue(scope, name, now)
      this.#context.lanes.update(queue, change)
      for (const lane of queue.lanes.values()) this.#context.ready(lane)
      return settingsOf(name, queue, this.#context.options.defaultRetry)
    })
  }

  async list(scope: Scope, page: { limit: number; after: string }): Promise<readonly QueueSettings[]> {
    return [...this.#context.lanes.queuesOf(scope.tenant, scope.namespace)]
      .filter((queue) => queue.name > page.after)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .slice(0, page.limit)
      .map((queue) => settingsOf(queue.name, queue, this.#context.options.defaultRetry))
  }

  stats(scope: Scope, name: string): Promise<QueueStats> {
    return this.#context.read(() => this.#stats(scope, name))
  }

  async depth(tenant: TenantId): Promise<number> {
    let depth = 0
    for (const queue of this.#context.lanes.queuesOf(tenant)) depth += queue.waiting
    return depth
  }

  async totals(): Promise<JobTotals> {
    const totals = { pending: 0, scheduled: 0, blocked: 0, running: 0, dead: 0 }
    for (const { lanes } of this.#context.lanes.everyQueue()) {
      for (const { counts } of lanes.values()) for (const name of Object.keys(totals) as (keyof JobTotals)[]) totals[name] += counts[name]
    }
    return totals
  }

  #stats(scope: Scope, name: string): QueueStats {
    const lanes = [...(this.#context.lanes.queue(scope, name)?.lanes.values() ?? [])]
    const sum = (count: CountName) => lanes.reduce((total, lane) => total + lane.counts[count], 0)
    let oldestPendingAt: number | undefined
    for (const lane of lanes) {
      if (lane.counts.pending === 0) continue
      const row = this.#oldest.get(scope.tenant, lane.number)
      if (typeof row?.created_at === 'number') oldestPendingAt = Math.min(oldestPendingAt ?? Infinity, row.created_at)
    }
    return {
      pending: sum('pending'),
      scheduled: sum('scheduled'),
      blocked: sum('blocked'),
      processing: sum('running'),
      completed: sum('completed'),
      failed: sum('failed'),
      cancelled: sum('cancelled'),
      dead: sum('dead'),
      total: sum('total'),
      oldestPendingAt,
    }
  }
}
