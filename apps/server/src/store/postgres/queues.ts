import type { JobTotals, QueueSettings, QueueStats, QueueStore, RetryPolicy, Scope, TenantId } from '../ports.ts'
import type { Context } from './context.ts'
import type { Statement } from './database.ts'
import { start } from './heads.ts'
import { keyOf, settingsOf } from './lanes.ts'

const update: Statement = {
  name: 'queue_update',
  repeatable: true,
  text: `UPDATE millrace.queues SET retry = coalesce($3, retry), max_depth = coalesce($4::bigint, max_depth), paused = coalesce($5::boolean, paused)
    WHERE tenant = $1 AND queue = $2`,
}

const readyLanes: Statement = {
  name: 'queue_ready_lanes',
  repeatable: true,
  text: `SELECT l.tenant, l.lane FROM millrace.lanes l JOIN millrace.lane_counts c ON c.tenant = l.tenant AND c.lane = l.lane
    WHERE l.tenant = $1 AND l.queue = $2 GROUP BY l.tenant, l.lane HAVING sum(c.pending) > 0`,
}

const list: Statement = {
  name: 'queue_list',
  repeatable: true,
  text: `SELECT name, retry, max_depth, paused, created_at FROM millrace.queues
    WHERE tenant = $1 AND namespace = $2 AND name > $3 ORDER BY name LIMIT $4`,
}

/** The oldest is looked for with one look at the index for each priority in use, never one for each job. */
const stats: Statement = {
  name: 'queue_stats',
  repeatable: true,
  text: `
    SELECT coalesce(sum(c.pending), 0)::bigint, coalesce(sum(c.scheduled), 0)::bigint, coalesce(sum(c.blocked), 0)::bigint, coalesce(sum(c.running), 0)::bigint,
      coalesce(sum(c.completed), 0)::bigint, coalesce(sum(c.failed), 0)::bigint, coalesce(sum(c.cancelled), 0)::bigint,
      coalesce(sum(c.dead), 0)::bigint, coalesce(sum(c.total), 0)::bigint,
      (SELECT min(o.created_at) FROM millrace.lanes l CROSS JOIN LATERAL (
        WITH RECURSIVE used (rank) AS (
          (SELECT j.rank FROM millrace.jobs j WHERE j.tenant = l.tenant AND j.lane = l.lane AND j.rank IS NOT NULL ORDER BY j.rank LIMIT 1)
          UNION ALL
          SELECT (SELECT j.rank FROM millrace.jobs j WHERE j.tenant = l.tenant AND j.lane = l.lane AND j.rank > used.rank ORDER BY j.rank LIMIT 1)
          FROM used WHERE used.rank IS NOT NULL
        )
        SELECT h.created_at FROM used CROSS JOIN LATERAL (
          SELECT j.created_at FROM millrace.jobs j
          WHERE j.tenant = l.tenant AND j.lane = l.lane AND j.rank = used.rank AND j.state = 2 ORDER BY j.seq LIMIT 1
        ) AS h
      ) AS o WHERE l.tenant = $1 AND l.queue = $2)
    FROM millrace.lanes l JOIN millrace.lane_counts c ON c.tenant = l.tenant AND c.lane = l.lane
    WHERE l.tenant = $1 AND l.queue = $2`,
}

const depth: Statement = {
  name: 'tenant_depth',
  repeatable: true,
  text: 'SELECT coalesce(sum(pending + scheduled + blocked), 0)::bigint FROM millrace.lane_counts WHERE tenant = $1',
}

const totals: Statement = {
  name: 'job_totals',
  repeatable: true,
  text: `SELECT coalesce(sum(pending), 0)::bigint, coalesce(sum(scheduled), 0)::bigint, coalesce(sum(blocked), 0)::bigint,
    coalesce(sum(running), 0)::bigint, coalesce(sum(dead), 0)::bigint FROM millrace.lane_counts`,
}

/** Queues: their settings and counts. */
export class PostgresQueues implements QueueStore {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async settings(scope: Scope, name: string): Promise<QueueSettings> {
    const queue = (await this.#context.lanes.load([[scope, name]])).get(keyOf(scope, name))
    return settingsOf(name, queue, this.#context.options.defaultRetry)
  }

  async update(
    scope: Scope,
    name: string,
    change: { retry?: RetryPolicy; maxDepth?: number; paused?: boolean },
    now: number,
  ): Promise<QueueSettings> {
    const { lanes, db } = this.#context
    const queue = (await lanes.load([[scope, name]])).get(keyOf(scope, name))!
    await lanes.storeQueues([queue], now)
    const retry = change.retry ? JSON.stringify(change.retry) : null
    await db.run(update, [scope.tenant, queue.number, retry, change.maxDepth ?? null, change.paused ?? null])
    this.#context.settingsChanged(scope, name)
    const settings = await this.settings(scope, name)
    const ready = await db.run<[number, number]>(readyLanes, [scope.tenant, queue.number])
    await this.#context.announce({ ready: ready.map(([tenant, lane]) => ({ tenant, lane, ...start })) })
    return settings
  }

  async list(scope: Scope, page: { limit: number; after: string }): Promise<readonly QueueSettings[]> {
    const rows = await this.#context.db.run<[string, string | null, number, boolean, number]>(list, [
      scope.tenant,
      scope.namespace,
      page.after,
      page.limit,
    ])
    return rows.map(([name, retry, maxDepth, paused, createdAt]) => ({
      name,
      retry: retry === null ? this.#context.options.defaultRetry : (JSON.parse(retry) as RetryPolicy),
      maxDepth,
      paused,
      createdAt,
    }))
  }

  async stats(scope: Scope, name: string): Promise<QueueStats> {
    const queue = (await this.#context.lanes.load([[scope, name]])).get(keyOf(scope, name))!
    const [row] = await this.#context.db.run<StatsRow>(stats, [scope.tenant, queue.number])
    const [pending, scheduled, blocked, processing, completed, failed, cancelled, dead, total, oldest] = row!
    return { pending, scheduled, blocked, processing, completed, failed, cancelled, dead, total, oldestPendingAt: oldest ?? undefined }
  }

  async depth(tenant: TenantId): Promise<number> {
    const [row] = await this.#context.db.run<[number]>(depth, [tenant])
    return row![0]
  }

  async totals(): Promise<JobTotals> {
    const [row] = await this.#context.db.run<[number, number, number, number, number]>(totals, [])
    const [pending, scheduled, blocked, running, dead] = row!
    return { pending, scheduled, blocked, running, dead }
  }
}

type StatsRow = readonly [
  pending: number,
  scheduled: number,
  blocked: number,
  processing: number,
  completed: number,
  failed: number,
  cancelled: number,
  dead: number,
  total: number,
  oldest: number | null,
]
