import type {
  ChangeCause,
  ClaimedJob,
  EnqueueResult,
  JobFilter,
  JobRecord,
  LogEntry,
  NewJob,
  Page,
  QueueSettings,
  QueueStats,
  RetryPolicy,
  Scope,
  Seq,
  SettleItem,
  SettleOutcome,
} from '../../store/ports.ts'
import type { LiveView, ViewWatcher } from './live-views.ts'

/** A delivered job, as far as its holder must be told of it again. */
export type Lease = Pick<ClaimedJob, 'seq' | 'function' | 'token'>

/** What a worker takes. */
export interface SubscribeOptions {
  readonly scope: Scope
  readonly queue: string
  /** `['']` for plain queue jobs. */
  readonly functions: readonly string[]
  readonly workerId: string
  readonly leaseMs: number
  readonly maxInFlight: number
  /** Takes jobs; called again only after the change is durable. Must not throw. */
  deliver(jobs: readonly ClaimedJob[]): void
  /** Tells that leases ended other than by a settlement. Must not throw. */
  revoke(jobs: readonly { readonly lease: Lease; readonly cause: ChangeCause }[]): void
}

/** A standing demand for jobs. */
export interface Subscription {
  /** Jobs it holds now. */
  readonly inFlight: number
  setMaxInFlight(max: number): void
  /** The holder gave a sign of life. One whose lease ran out gets no jobs until it does, or for the length of a lease. */
  alive(): void
  /** Ends the demand. Jobs delivered keep their leases; jobs claimed but not yet delivered are released. */
  close(): void
}

/** A worker on this server. */
export interface WorkerInfo {
  readonly scope: Scope
  readonly workerId: string
  readonly queue: string
  readonly functions: readonly string[]
  readonly maxInFlight: number
  readonly inFlight: number
  readonly connectedAt: number
}

/** Follows jobs; one per watching stream. */
export interface Follower {
  /** Follows a job from its present state on, and its log when asked to; resolves false when there is none. */
  add(
    seq: Seq,
    options?: { readonly terminalOnly?: boolean; readonly afterRevision?: number; readonly withLog?: boolean },
  ): Promise<boolean>
  remove(seq: Seq): void
  close(): void
}

/** The one job engine behind tasks, queues and workers. Inputs are checked already; errors are `MillraceError`. */
export interface JobEngine {
  enqueue(
    scope: Scope,
    request: { readonly jobs: readonly NewJob[]; readonly requestId: string; readonly partial: boolean; readonly batch: boolean },
  ): Promise<EnqueueResult>
  /** Jobs were added otherwise: sees to those that wait for their time, and to who watches their queues. */
  added(scope: Scope, jobs: readonly NewJob[]): void
  /** Takes jobs, waiting up to `waitMs` for the first. Resolves with none when the wait or `signal` ends first. */
  receive(options: {
    readonly scope: Scope
    readonly queue: string
    readonly max: number
    readonly leaseMs: number
    readonly waitMs: number
    readonly workerId: string
    readonly signal: AbortSignal
  }): Promise<readonly ClaimedJob[]>
  subscribe(options: SubscribeOptions): Subscription
  settle(scope: Scope, items: readonly SettleItem[]): Promise<readonly SettleOutcome[]>
  /** `deliver` gets a followed job's record after each change (changes may be merged); a terminal one ends its following. */
  follow(scope: Scope, deliver: (records: readonly JobRecord[]) => void): Follower
  /** Shows something made of jobs now and after each change of it, until what is returned is called. */
  watch<T>(view: LiveView<T>, watcher: ViewWatcher<T>): () => void

  /** Calls `wake` after each change of a pipeline, until the returned function is called. */
  wakeOn(seq: Seq, wake: () => void): () => void

  get(scope: Scope, seq: Seq): Promise<JobRecord>
  getMany(scope: Scope, seqs: readonly Seq[]): Promise<readonly JobRecord[]>
  list(scope: Scope, filter: JobFilter, page: { readonly limit: number; readonly before?: Seq }): Promise<Page<JobRecord>>
  cancel(scope: Scope, seq: Seq, reason: string): Promise<JobRecord>
  retry(scope: Scope, seq: Seq): Promise<JobRecord>
  logs(scope: Scope, seq: Seq, page: { readonly limit: number; readonly after: number }): Promise<readonly LogEntry[]>

  listDead(scope: Scope, queue: string, page: { readonly limit: number; readonly after?: Seq }): Promise<Page<JobRecord>>
  replayDead(scope: Scope, queue: string, which: Seq | 'all'): Promise<number>
  purgeDead(scope: Scope, queue: string): Promise<number>

  queueSettings(scope: Scope, queue: string): Promise<QueueSettings>
  updateQueue(
    scope: Scope,
    queue: string,
    change: { readonly retry?: RetryPolicy; readonly maxDepth?: number; readonly paused?: boolean },
  ): Promise<QueueSettings>
  listQueues(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly QueueSettings[]>
  stats(scope: Scope, queue: string): Promise<QueueStats>
  depth(tenant: number): Promise<number>
  workers(tenant: number): readonly WorkerInfo[]

  /** Ends subscriptions, waits and timers. The store stays open. */
  close(): Promise<void>
}
