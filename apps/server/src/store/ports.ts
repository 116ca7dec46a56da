import type { MillraceError } from '../errors.ts'
import type {
  ClaimedStage,
  Concurrency,
  Content,
  Debounce,
  Deduplicate,
  PipelineStore,
  ProofStore,
  RateLimit,
  StagePlace,
  Stateful,
  StateStore,
} from './flow/ports.ts'
import type { KeyStore } from './key-ports.ts'

export type * from './flow/ports.ts'
export type * from './key-ports.ts'
export type * from './queue-port.ts'

import type { KvStorage } from './kv-port.ts'
import type { ObjectStorage } from './object-port.ts'
import type { QueueStore } from './queue-port.ts'
import type { QuotaUse } from './quotas.ts'
import type { ReplayStorage } from './replay-port.ts'
import type { ScheduleStore } from './schedule-port.ts'
import type { SchemaStorage } from './schema-port.ts'
import type { StreamStorage } from './stream-port.ts'
import type { TransactionStorage } from './transaction-port.ts'
import type { WebhookStorage } from './webhook-port.ts'

/** A tenant's number. Every key of every table begins with it. */
export type TenantId = number

/** Where a call acts: the tenant of its key and the namespace it names. */
export interface Scope {
  readonly tenant: TenantId
  readonly namespace: string
}

/** A job's number: grows with the time of submission, unique in the whole store, at most 2^53. */
export type Seq = number

/** Where a job is in its life; the numbers are those of the protocol's `JobState`. */
export const JobState = { scheduled: 1, pending: 2, blocked: 3, running: 4, completed: 5, failed: 6, cancelled: 7 } as const
export type JobState = (typeof JobState)[keyof typeof JobState]

/** How failed attempts are repeated; all fields filled in. */
export interface RetryPolicy {
  readonly maxAttempts: number
  readonly initialBackoffMs: number
  readonly maxBackoffMs: number
  readonly multiplier: number
  readonly strategy: 'fixed' | 'linear' | 'exponential'
  /** 0 to 1: relative spread. */
  readonly jitter: number
}

/** Why an attempt failed. */
export interface JobError {
  readonly message: string
  readonly code: string
  readonly stack: string
}

/** Jobs of one queue and one function ('' for plain queue jobs): what a claim draws from. */
export interface Lane extends Scope {
  readonly queue: string
  readonly function: string
}

/** A job to store. */
export interface NewJob {
  readonly queue: string
  readonly function: string
  readonly payload: Uint8Array
  /** '' means JSON. */
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly priority: number
  /** Overrides the queue's policy for this job. */
  readonly retry?: RetryPolicy
  /** Overrides the attempts alone. */
  readonly maxAttempts?: number
  /** 0 means none. */
  readonly timeoutMs: number
  /** '' means none. */
  readonly idempotencyKey: string
  /** When it may first run; absent or past means now. */
  readonly runAt?: number
  readonly stateful?: Stateful
  /** Not of a stateful job. */
  readonly concurrency?: Concurrency
  /** Not of a stateful job. */
  readonly rateLimit?: RateLimit
  /** It takes turns with the jobs of its queue and function that have other fair keys, before its limits too. Not with a state. */
  readonly fairKey?: string
  readonly debounce?: Debounce
  readonly deduplicate?: Deduplicate
  /** It is cancelled unless it has begun by then. */
  readonly startBefore?: number
  readonly stage?: StagePlace
}

export interface EnqueueRequest {
  readonly scope: Scope
  readonly jobs: readonly NewJob[]
  /** A repeat within {@link Retention.requestsMs} answers as the first did. '' means none. */
  readonly requestId: string
  /** True: a refused job has an error in its place. False: one refused job refuses all. */
  readonly partial: boolean
  /** Give the jobs a common batch number. */
  readonly batch: boolean
  readonly now: number
}

export type EnqueueOutcome = { readonly seq: Seq; readonly created: boolean } | { readonly error: MillraceError }

export interface EnqueueResult {
  readonly outcomes: readonly EnqueueOutcome[]
  readonly batch?: Seq
}

/** What one taker of jobs wants. */
export interface Demand {
  /** Functions to draw from; `['']` for plain queue jobs. */
  readonly functions: readonly string[]
  readonly max: number
  readonly leaseMs: number
  readonly workerId: string
}

export interface ClaimRequest {
  readonly scope: Scope
  readonly queue: string
  /** Who takes, first come first served; asked when the claim is carried out, so that it is as fresh as can be. */
  demands(): readonly Demand[]
  readonly now: number
}

/** A job under a fresh lease. */
export interface ClaimedJob {
  readonly seq: Seq
  readonly queue: string
  readonly function: string
  readonly payload: Uint8Array
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly priority: number
  readonly attempt: number
  readonly maxAttempts: number
  readonly createdAt: number
  /** Fencing token: larger for each later claim of the job. */
  readonly token: number
  readonly leaseExpiresAt: number
  /** When the attempt's timeout ends it; absent when there is none. */
  readonly deadline?: number
  /** Of a stateful job. */
  readonly stateKey?: string
  /** The state as it stands, or the job's initial one; absent when there is none. */
  readonly state?: Content
  /** Of a stage. */
  readonly stage?: ClaimedStage
}

export type SettleAction =
  | {
      readonly type: 'complete'
      readonly result: Uint8Array
      readonly contentType: string
      /** Of a stateful job: the new state; null forgets it; absent leaves it, or keeps the initial one. */
      readonly state?: Content | null
      /** What its worker proved is kept. A job of an attested lane is completed so alone: otherwise FAILED_PRECONDITION. */
      readonly proven?: boolean
    }
  | { readonly type: 'fail'; readonly error: JobError; readonly noRetry: boolean; readonly delayMs?: number }
  | { readonly type: 'renew' /** 0: as long as it was taken for. */; readonly leaseMs: number }
  | { readonly type: 'release' }
  | { readonly type: 'progress'; readonly percent: number; readonly message: string }
  | { readonly type: 'log'; readonly entries: readonly NewLogEntry[] }

/** Ends the function of a lane whose jobs attested workers alone may have and complete. No name may have it. */
export const attestedMark = '!tee'

export interface SettleItem {
  readonly seq: Seq
  readonly token: number
  readonly action: SettleAction
}

/** `error` is CONFLICT for a lease that is not current and NOT_FOUND for an unknown job; `leaseExpiresAt` answers a renewal. */
export interface SettleOutcome {
  readonly error?: MillraceError
  readonly leaseExpiresAt?: number
}

/** Says when a job whose attempt failed runs again; undefined: never. Pure. */
export type RetryPlanner = (failed: { attempt: number; maxAttempts: number; policy: RetryPolicy; now: number }) => number | undefined

export interface NewLogEntry {
  readonly timestamp: number
  /** 1 debug … 4 error, as in the protocol. */
  readonly level: number
  readonly message: string
  /** JSON object or ''. */
  readonly fields: string
}

export interface LogEntry extends NewLogEntry {
  readonly sequence: number
}

/** All that is known of a job. */
export interface JobRecord {
  readonly seq: Seq
  readonly namespace: string
  readonly queue: string
  readonly function: string
  readonly state: JobState
  readonly priority: number
  /** Filled by `get` and `listDead` alone. */
  readonly payload?: Uint8Array
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly attempts: number
  readonly maxAttempts: number
  readonly progress: number
  readonly message: string
  readonly result?: Uint8Array
  readonly resultContentType: string
  readonly error?: JobError
  readonly createdAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  readonly updatedAt: number
  /** While it is scheduled. */
  readonly runAt?: number
  readonly workerId: string
  /** Grows with each change. */
  readonly revision: number
  readonly batch?: Seq
  /** Of a stateful job. */
  readonly stateKey?: string
  /** Of a stage. */
  readonly pipeline?: Seq
}

export interface JobFilter {
  readonly labels?: Readonly<Record<string, string>>
  readonly states?: readonly JobState[]
  /** Any of these. */
  readonly functions?: readonly string[]
  readonly queue?: string
  readonly batch?: Seq
  /** Only jobs with a function. */
  readonly tasksOnly?: boolean
}

/** A page; `next` is absent at the end. A page may be short, even empty, while there is a `next`: work and bytes per page are bounded. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next?: Seq
}

/** How long ended jobs and remembered requests are kept, in milliseconds. */
export interface Retention {
  readonly completedMs: number
  readonly failedMs: number
  readonly cancelledMs: number
  readonly requestsMs: number
}

/** Why a job stopped being in flight. */
export type ChangeCause = 'settled' | 'cancelled' | 'timeout' | 'lease-expired' | 'other'

/** A job changed, durably. */
export interface JobChange {
  readonly tenant: TenantId
  readonly seq: Seq
  readonly state: JobState
  readonly cause: ChangeCause
  /** When a job that became scheduled runs, or one that waits may begin. */
  readonly dueAt?: number
}

/** What a store tells of. Handlers must not throw. */
export interface StoreListener {
  /** A claim made from now on may find jobs in this lane. Called before the change is durable where that is possible, so that a claim made at once can share its commit; after leases ran out, called after `changed` told so. */
  ready(lane: Lane): void
  /** These jobs changed; called after the commit. */
  changed(changes: readonly JobChange[]): void
  /** Changes that other servers made may have gone unseen: look again at what waits, what is due and what is followed. */
  missed?(): void
  /** Something is due then; another server that knew of it may not live to see to it. */
  due?(at: number): void
}

/**
 * Jobs. Every method is one atomic change or one consistent read; a promise that resolves means durable (fsynced).
 * A failed mutation fails its caller alone. A method that cannot write rejects with UNAVAILABLE and has changed nothing.
 */
export interface JobStore {
  enqueue(request: EnqueueRequest): Promise<EnqueueResult>
  /** Leases jobs to each demand in turn. May give less than there is when payloads are large, but never nothing. */
  claim(request: ClaimRequest): Promise<readonly (readonly ClaimedJob[])[]>
  /** Settles each item on its own; outcomes in order. Completing again under the same token succeeds and changes nothing. */
  settle(scope: Scope, items: readonly SettleItem[], now: number): Promise<readonly SettleOutcome[]>

  get(scope: Scope, seq: Seq): Promise<JobRecord | undefined>
  getMany(scope: Scope, seqs: readonly Seq[]): Promise<readonly JobRecord[]>
  /** Newest first, those before `before`. */
  list(scope: Scope, filter: JobFilter, page: { readonly limit: number; readonly before?: Seq }): Promise<Page<JobRecord>>
  /** Rejects with FAILED_PRECONDITION when the job has ended, NOT_FOUND when there is none. */
  cancel(scope: Scope, seq: Seq, reason: string, now: number): Promise<JobRecord>
  /** Makes a failed or cancelled job pending with fresh attempts; FAILED_PRECONDITION in any other state. */
  retry(scope: Scope, seq: Seq, now: number): Promise<JobRecord>

  /** Oldest first, those after `after`. */
  listDead(scope: Scope, queue: string, page: { readonly limit: number; readonly after?: Seq }): Promise<Page<JobRecord>>
  /** Makes up to `limit` failed jobs of a queue pending again; returns how many. */
  replayDead(scope: Scope, queue: string, limit: number, now: number): Promise<number>
  /** Deletes up to `limit` failed jobs of a queue; returns how many. */
  purgeDead(scope: Scope, queue: string, limit: number): Promise<number>

  logs(scope: Scope, seq: Seq, page: { readonly limit: number; readonly after: number }): Promise<readonly LogEntry[]>

  /** Makes scheduled jobs whose time has come pending; returns how many, at most `limit`. */
  promoteDue(now: number, limit: number): Promise<number>
  /** Ends attempts whose lease or deadline is over, and jobs that have not begun in time; returns how many, at most `limit`. */
  expireDue(now: number, limit: number): Promise<number>
  /** When the next scheduled job, lease or deadline is due. */
  nextDueAt(): Promise<number | undefined>
  /** Deletes ended jobs and remembered requests past their retention, and states past their time; returns how many, at most `limit`. */
  sweep(retention: Retention, now: number, limit: number): Promise<number>
}

/** All a server keeps. Made by one adapter, used by the domain alone. */
export interface Store {
  readonly jobs: JobStore
  readonly queues: QueueStore
  readonly states: StateStore
  readonly pipelines: PipelineStore
  readonly proofs: ProofStore
  readonly schedules: ScheduleStore
  readonly keys: KeyStore
  readonly kv: KvStorage
  readonly streams: StreamStorage
  readonly transactions: TransactionStorage
  readonly webhooks: WebhookStorage
  readonly schemas: SchemaStorage
  readonly objects: ObjectStorage
  readonly replays: ReplayStorage
  /** Sets the one listener. */
  listen(listener: StoreListener): void
  /** The servers that share the storage, this one included. */
  nodes(): Promise<readonly { readonly active: boolean }[]>
  /** The time that all who share the storage go by, in milliseconds since 1970: the server's own, unless its clock is wrong. */
  now(): number
  /** What is limited for a tenant as a whole: how much of it there is, and may be. */
  quotas(tenant: TenantId): Promise<readonly QuotaUse[]>
  /** Resolves when a write would succeed now; rejects with the reason otherwise. */
  check(): Promise<void>
  /** Copies everything, as of one moment while it works, to a file that is not there yet. Absent where the storage has tools of its own for that. */
  backup?(file: string): Promise<void>
  /** Finishes what is under way and lets go of the storage. */
  close(): Promise<void>
}

/** What an adapter is told about the domain's rules. */
export interface StoreOptions {
  readonly planRetry: RetryPlanner
  /** For queues without a policy of their own. */
  readonly defaultRetry: RetryPolicy
  /** For queues without a limit of their own. */
  readonly defaultMaxDepth: number
  readonly now: () => number
}
