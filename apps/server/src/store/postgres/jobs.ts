import { triggerOf } from '../flow/triggers.ts'
import type {
  ClaimedJob,
  ClaimRequest,
  EnqueueRequest,
  EnqueueResult,
  JobFilter,
  JobRecord,
  JobStore,
  LogEntry,
  Page,
  Retention,
  Scope,
  Seq,
  SettleItem,
  SettleOutcome,
} from '../ports.ts'
import { Change } from './change.ts'
import { Claim } from './claim.ts'
import type { Context } from './context.ts'
import { expireAttempts } from './ending.ts'
import { Enqueue } from './enqueue.ts'
import { expireJobs } from './expiry.ts'
import { Maintenance } from './maintenance.ts'
import { PostgresPipelines } from './pipelines.ts'
import { Read } from './read.ts'
import { Settle } from './settle.ts'
import { enqueueTriggered } from './triggers.ts'

/** The job store on Postgres: each part of a job's life is one file beside this one. */
export class PostgresJobs implements JobStore {
  /** What is made of jobs. */
  readonly pipelines: PostgresPipelines
  readonly #context: Context
  readonly #enqueue: Enqueue
  readonly #claim: Claim
  readonly #settle: Settle
  readonly #read: Read
  readonly #change: Change
  readonly #maintenance: Maintenance

  constructor(context: Context) {
    this.#context = context
    this.pipelines = new PostgresPipelines(context)
    this.#enqueue = new Enqueue(context)
    this.#claim = new Claim(context)
    this.#settle = new Settle(context)
    this.#read = new Read(context.db)
    this.#change = new Change(context, this.#read)
    this.#maintenance = new Maintenance(context)
  }

  enqueue(request: EnqueueRequest): Promise<EnqueueResult> {
    return request.jobs.some(triggerOf) ? enqueueTriggered(this.#context, request) : this.#enqueue.run(request)
  }

  claim(request: ClaimRequest): Promise<readonly (readonly ClaimedJob[])[]> {
    return this.#claim.run(request)
  }

  settle(scope: Scope, items: readonly SettleItem[], now: number): Promise<readonly SettleOutcome[]> {
    return this.#settle.run(scope, items, now)
  }

  get(scope: Scope, seq: Seq): Promise<JobRecord | undefined> {
    return this.#read.get(scope, seq, true)
  }

  getMany(scope: Scope, seqs: readonly Seq[]): Promise<readonly JobRecord[]> {
    return this.#read.getMany(scope, seqs)
  }

  list(scope: Scope, filter: JobFilter, page: { limit: number; before?: Seq }): Promise<Page<JobRecord>> {
    return this.#read.list(scope, filter, page)
  }

  cancel(scope: Scope, seq: Seq, reason: string, now: number): Promise<JobRecord> {
    return this.#change.cancel(scope, seq, reason, now)
  }

  retry(scope: Scope, seq: Seq, now: number): Promise<JobRecord> {
    return this.#change.retry(scope, seq, now)
  }

  listDead(scope: Scope, queue: string, page: { limit: number; after?: Seq }): Promise<Page<JobRecord>> {
    return this.#read.listDead(scope, queue, page)
  }

  replayDead(scope: Scope, queue: string, limit: number, now: number): Promise<number> {
    return this.#change.replayDead(scope, queue, limit, now)
  }

  purgeDead(scope: Scope, queue: string, limit: number): Promise<number> {
    return this.#change.purgeDead(scope, queue, limit)
  }

  logs(scope: Scope, seq: Seq, page: { limit: number; after: number }): Promise<readonly LogEntry[]> {
    return this.#read.logs(scope, seq, page)
  }

  promoteDue(now: number, limit: number): Promise<number> {
    return this.#maintenance.promote(now, limit)
  }

  expireDue(now: number, limit: number): Promise<number> {
    return this.#expire(now, limit)
  }

  nextDueAt(): Promise<number | undefined> {
    return this.#maintenance.nextDueAt()
  }

  sweep(retention: Retention, now: number, limit: number): Promise<number> {
    return this.#maintenance.sweep(retention, now, limit)
  }

  /** Makes room for the jobs to come. */
  prepare(now: number, completedMs: number): Promise<void> {
    return this.#maintenance.prepare(now, completedMs)
  }

  /** Resolves when no change is under way; none is taken any more. */
  async close(): Promise<void> {
    await Promise.all([this.#enqueue.close(), this.#settle.close(), this.#claim.close()])
  }

  async #expire(now: number, limit: number): Promise<number> {
    const ended = await expireAttempts(this.#context, now, limit)
    return Math.max(ended, await this.pipelines.expire(now, limit), await expireJobs(this.#context, now, limit))
  }
}
