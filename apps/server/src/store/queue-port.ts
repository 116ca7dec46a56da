import type { RetryPolicy, Scope, TenantId } from './ports.ts'

export interface QueueStats {
  readonly pending: number
  readonly scheduled: number
  /** Waiting for other jobs to end. */
  readonly blocked: number
  readonly processing: number
  readonly completed: number
  readonly failed: number
  readonly cancelled: number
  readonly dead: number
  readonly total: number
  /** When the oldest pending job was submitted. */
  readonly oldestPendingAt?: number
}

export interface QueueSettings {
  readonly name: string
  readonly retry: RetryPolicy
  /** 0: the server's default. */
  readonly maxDepth: number
  readonly paused: boolean
  readonly createdAt?: number
}

export interface QueueStore {
  settings(scope: Scope, queue: string): Promise<QueueSettings>
  update(
    scope: Scope,
    queue: string,
    change: { readonly retry?: RetryPolicy; readonly maxDepth?: number; readonly paused?: boolean },
    now: number,
  ): Promise<QueueSettings>
  /** By name, those after `after`. */
  list(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly QueueSettings[]>
  stats(scope: Scope, queue: string): Promise<QueueStats>
  /** Jobs of the tenant that wait: pending, scheduled and blocked. */
  depth(tenant: TenantId): Promise<number>
  /** Jobs there are now by state, of all tenants together: for who runs the server. */
  totals(): Promise<JobTotals>
}

/** Jobs by state; `dead` are failed ones that are kept. */
export type JobTotals = Readonly<Record<'pending' | 'scheduled' | 'blocked' | 'running' | 'dead', number>>
