import { nextExpiry } from '../flow/expiries.ts'
import { nextDeadline } from '../flow/pipelines.ts'
import { nextGateDue } from '../flow/rates.ts'
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
import { Change, JobRemoval } from './change.ts'
import { Claim } from './claim.ts'
import type { Context } from './context.ts'
import { Enqueue } from './enqueue.ts'
import { Expiry } from './expiry.ts'
import { Aftermaths } from './flow.ts'
import { Maintenance } from './maintenance.ts'
import { SqlitePipelines } from './pipelines.ts'
import { Read } from './read.ts'
import { Settle } from './settle.ts'

/** The job store on SQLite: each part of a job's life is one file beside this one. */
export class SqliteJobs implements JobStore {
  /** What is made of jobs. */
  readonly pipelines: SqlitePipelines
  readonly #context: Context
  readonly #enqueue: Enqueue
  readonly #claim: Claim
  readonly #settle: Settle
  readonly #read: Read
  readonly #change: Change
  readonly #maintenance: Maintenance
  readonly #expiry: Expiry

  constructor(context: Context) {
    const removal = new JobRemoval(context)
    this.#context = context
    this.#enqueue = new Enqueue(context)
    const aftermaths = new Aftermaths(context, this.#enqueue)
    this.pipelines = new SqlitePipelines(context, this.#enqueue, aftermaths)
    this.#claim = new Claim(context, aftermaths)
    this.#settle = new Settle(context, aftermaths)
    this.#read = new Read(context)
    this.#change = new Change(context, aftermaths, this.#read, removal)
    this.#maintenance = new Maintenance(context, aftermaths, removal)
    this.#expiry = new Expiry(context, aftermaths)
  }

  enqueue(request: EnqueueRequest): Promise<EnqueueResult> {
    return this.#enqueue.run(request)
  }

  /** Inside a mutation of other work. */
  enqueueInside(request: EnqueueRequest): EnqueueResult {
    return this.#enqueue.enqueue(request)
  }

  claim(request: ClaimRequest): Promise<readonly (readonly ClaimedJob[])[]> {
    return this.#claim.run(request)
  }

  settle(scope: Scope, items: readonly SettleItem[], now: number): Promise<readonly SettleOutcome[]> {
    return this.#settle.run(scope, items, now)
  }

  get(scope: Scope, seq: Seq): Promise<JobRecord | undefined> {
    return this.#context.read(() => this.#read.get(scope, seq, true))
  }

  getMany(scope: Scope, seqs: readonly Seq[]): Promise<readonly JobRecord[]> {
    return this.#context.read(() => seqs.map((seq) => this.#read.get(scope, seq, false)).filter((record) => record !== undefined))
  }

  list(scope: Scope, filter: JobFilter, page: { limit: number; before?: Seq }): Promise<Page<JobRecord>> {
    return this.#context.read(() => this.#read.list(scope, filter, page))
  }

  cancel(scope: Scope, seq: Seq, reason: string, now: number): Promise<JobRecord> {
    return this.#change.cancel(scope, seq, reason, now)
  }

  retry(scope: Scope, seq: Seq, now: number): Promise<JobRecord> {
    return this.#change.retry(scope, seq, now)
  }

  listDead(scope: Scope, queue: string, page: { limit: number; after?: Seq }): Promise<Page<JobRecord>> {
    return this.#context.read(() => this.#read.listDead(scope, queue, page))
  }

  replayDead(scope: Scope, queue: string, limit: number, now: number): Promise<number> {
    return this.#change.replayDead(scope, queue, limit, now)
  }

  purgeDead(scope: Scope, queue: string, limit: number): Promise<number> {
    return this.#change.purgeDead(scope, queue, limit)
  }

  logs(scope: Scope, seq: Seq, page: { limit: number; after: number }): Promise<readonly LogEntry[]> {
    return this.#context.read(() => this.#read.logs(scope, seq, page))
  }

  promoteDue(now: number, limit: number): Promise<number> {
    return this.#maintenance.promote(now, limit)
  }

  expireDue(now: number, limit: number): Promise<number> {
    return this.#expire(now, limit)
  }

  nextDueAt(): Promise<number | undefined> {
    return this.#context.read(() => {
      const due = [
        this.#maintenance.nextDueAt(),
        this.#context.flow.run(nextDeadline()),
        this.#context.flow.run(nextGateDue()),
        this.#context.flow.run(nextExpiry()),
      ].filter((time) => time !== undefined)
      return due.length > 0 ? Math.min(...due) : undefined
    })
  }

  sweep(retention: Retention, now: number, limit: number): Promise<number> {
    return this.#maintenance.sweep(retention, now, limit)
  }

  async #expire(now: number, limit: number): Promise<number> {
    const counts = await Promise.all([this.#settle.expire(now, limit), this.pipelines.expire(now, limit), this.#expiry.run(now, limit)])
    return Math.max(...counts)
  }
}
