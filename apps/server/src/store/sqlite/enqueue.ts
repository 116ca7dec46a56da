import { createHash } from 'node:crypto'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import { addExpiry } from '../flow/expiries.ts'
import { addFlow, arrive, flowKindOf } from '../flow/flows.ts'
import { findTriggered, noteTriggered, startOf, triggerOf } from '../flow/triggers.ts'
import {
  type EnqueueOutcome,
  type EnqueueRequest,
  type EnqueueResult,
  JobState,
  type NewJob,
  type Scope,
  type Seq,
  type TenantId,
} from '../ports.ts'
import { BlobKind } from './blobs.ts'
import type { Context } from './context.ts'
import { countOf, type LaneEntry, type QueueEntry } from './lanes.ts'
import { recall, remember } from './remembered.ts'

/** How long a caller should wait before it tries a full queue again. */
const fullRetryMs = 250

/** Adds jobs. */
export class Enqueue {
  readonly #context: Context
  readonly #insert: StatementSync
  readonly #markFlow: StatementSync
  readonly #replace: StatementSync
  readonly #insertLabel: StatementSync
  readonly #findKey: StatementSync
  readonly #insertKey: StatementSync
  readonly #findRequest: StatementSync
  readonly #insertRequest: StatementSync

  constructor(context: Context) {
    this.#context = context
    const db: DatabaseSync = context.db
    this.#insert = db.prepare(`INSERT INTO jobs (tenant, seq, lane, state, priority, attempts, max_attempts, due_at, timeout_ms, created_at,
      updated_at, revision, batch, idempotency_key, retry, content_type, headers, labels, payload)
      VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)`)
    this.#markFlow = db.prepare('UPDATE jobs SET flow = ? WHERE tenant = ? AND seq = ?')
    this.#replace = db.prepare(`UPDATE jobs SET payload = ?1, content_type = ?2, headers = ?3, updated_at = ?4, revision = revision + 1,
      due_at = CASE WHEN state = ${JobState.scheduled} THEN ?5 END
      WHERE tenant = ?6 AND seq = ?7 AND state <= ${JobState.blocked} AND attempts = 0 RETURNING state`)
    this.#insertLabel = db.prepare('INSERT INTO labels (tenant, key, value, seq) VALUES (?, ?, ?, ?)')
    this.#findKey = db.prepare('SELECT seq, hash FROM idempotency WHERE tenant = ? AND queue = ? AND key = ?')
    this.#insertKey = db.prepare('INSERT INTO idempotency (tenant, queue, key, seq, hash) VALUES (?, ?, ?, ?, ?)')
    this.#findRequest = db.prepare('SELECT outcome FROM requests WHERE tenant = ? AND id = ?')
    this.#insertRequest = db.prepare('INSERT INTO requests (tenant, id, outcome, created_at) VALUES (?, ?, ?, ?)')
  }

  run(request: EnqueueRequest): Promise<EnqueueResult> {
    return this.#context.writer.mutate(() => this.enqueue(request))
  }

  /** Inside a mutation: one more job of something that runs, however full its queue is. */
  add(scope: Scope, job: NewJob, now: number, touched: Set<LaneEntry>): void {
    this.#insertJob({ scope, now }, job, this.#context.lanes.ensureLane(scope, job.queue, job.function, now), undefined, touched)
  }

  /** Inside a mutation. */
  enqueue(request: EnqueueRequest): EnqueueResult {
    const { scope, requestId, now } = request
    if (requestId !== '') {
      const row = this.#findRequest.get(scope.tenant, requestKey(scope, requestId))
      if (row) return recall(String(row.outcome))
    }
    const batch = request.batch ? this.#context.sequence.next() : undefined
    const touched = new Set<LaneEntry>()
    const outcomes = request.jobs.map((job) => this.#one(request, job, batch, touched))
    if (requestId !== '' && !outcomes.some((outcome) => 'error' in outcome)) {
      this.#insertRequest.run(scope.tenant, requestKey(scope, requestId), remember(outcomes, batch), now)
    }
    for (const lane of touched) this.#context.ready(lane)
    return { outcomes, batch }
  }

  #one({ scope, partial, now }: EnqueueRequest, job: NewJob, batch: number | undefined, touched: Set<LaneEntry>): EnqueueOutcome {
    const { lanes } = this.#context
    try {
      const lane = lanes.ensureLane(scope, job.queue, job.function, now)
      const { queue } = lane
      const hash = job.idempotencyKey === '' ? undefined : hashOf(job)
      const first = hash && this.#first(queue, job, hash)
      if (first !== undefined) return { seq: first, created: false }
      const triggered = triggerOf(job) && this.#triggered(scope, job, now)
      if (triggered?.first !== undefined) return { seq: triggered.first, created: false }
      this.#checkDepth(queue)
      const seq = this.#insertJob({ scope, now }, triggered?.job ?? job, lane, batch, touched)
      if (triggered) this.#context.flow.run(noteTriggered(scope, job, { first: seq, firstAt: now }, now))
      if (hash) this.#insertKey.run(scope.tenant, queue.number, job.idempotencyKey, seq, hash)
      return { seq, created: true }
    } catch (error) {
      if (partial && error instanceof MillraceError && error.reason !== 'UNAVAILABLE') return { error }
      throw error
    }
  }

  #insertJob(
    { scope, now }: Pick<EnqueueRequest, 'scope' | 'now'>,
    job: NewJob,
    lane: LaneEntry,
    batch: Seq | undefined,
    touched: Set<LaneEntry>,
  ): Seq {
    const { lanes, sequence, blobs, flow, options } = this.#context
    const { queue } = lane
    const seq = sequence.next()
    const scheduled = job.runAt !== undefined && job.runAt > now
    const kind = flowKindOf(job)
    const pipeline = job.stage?.pipeline ?? batch
    if (kind !== undefined) flow.run(addFlow(scope, seq, job, pipeline))
    const free = kind === undefined || (job.stage ? !job.stage.blocked : scheduled || this.#arrive(scope.tenant, seq, now))
    const state = scheduled ? JobState.scheduled : free ? JobState.pending : JobState.blocked
    const maxAttempts = job.maxAttempts ?? (job.retry ?? queue.retry ?? options.defaultRetry).maxAttempts
    const payload = blobs.store(scope.tenant, seq, BlobKind.payload, job.payload)
    this.#insert.run(
      scope.tenant,
      seq,
      lane.number,
      state,
      job.priority,
      maxAttempts,
      scheduled ? job.runAt! : null,
      job.timeoutMs,
      now,
      now,
      pipeline ?? null,
      job.idempotencyKey || null,
      job.retry ? JSON.stringify(job.retry) : null,
      job.contentType || null,
      textOfRecord(job.headers),
      textOfRecord(job.labels),
      payload,
    )
    if (job.startBefore !== undefined) flow.run(addExpiry(scope.tenant, seq, job.startBefore))
    if (kind !== undefined) this.#markFlow.run(kind, scope.tenant, seq)
    for (const key in job.labels) this.#insertLabel.run(scope.tenant, key, job.labels[key]!, seq)
    lanes.count(lane, countOf(state), 1)
    lanes.count(lane, 'total', 1)
    touched.add(lane)
    return seq
  }

  /** The job that stands for a new one already, brought up to date, or the new one with its time. */
  #triggered(scope: Scope, job: NewJob, now: number): { readonly first?: Seq; readonly job: NewJob } {
    const { flow, blobs } = this.#context
    const { first, firstAt } = flow.run(findTriggered(scope, triggerOf(job)!, now))
    if (job.deduplicate) return { first, job }
    const runAt = startOf(job, firstAt)
    if (first !== undefined) {
      const payload = blobs.store(scope.tenant, first, BlobKind.payload, job.payload)
      const type = job.contentType || null
      const row = this.#replace.get(payload, type, textOfRecord(job.headers), now, runAt, scope.tenant, first)
      if (row) {
        flow.run(noteTriggered(scope, job, { first, firstAt }, now))
        const state = Number(row.state) as JobState
        this.#context.changed(scope.tenant, first, state, 'other', state === JobState.scheduled ? runAt : undefined)
        return { first, job }
      }
    }
    return { job: { ...job, runAt: startOf(job, now) } }
  }

  /** True when a new job with a flow may begin. */
  #arrive(tenant: TenantId, seq: Seq, now: number): boolean {
    const { through, dueAt } = this.#context.flow.run(arrive(tenant, seq, 0, now))
    if (dueAt !== undefined) this.#context.changed(tenant, seq, JobState.blocked, 'other', dueAt)
    return through
  }

  /** The job that used the key first. */
  #first(queue: QueueEntry, job: NewJob, hash: Uint8Array): number | undefined {
    const row = this.#findKey.get(queue.tenant, queue.number, job.idempotencyKey)
    if (!row) return undefined
    if (Buffer.compare(row.hash as Uint8Array, hash) === 0) return Number(row.seq)
    throw new MillraceError(
      'ALREADY_EXISTS',
      `The idempotency key '${job.idempotencyKey}' was used in queue '${queue.name}' with another function or payload. Use a new key for new work.`,
    )
  }

  #checkDepth(queue: QueueEntry): void {
    const limit = queue.maxDepth || this.#context.options.defaultMaxDepth
    if (queue.waiting < limit) return
    throw new MillraceError(
      'QUOTA_EXCEEDED',
      `Queue '${queue.name}' is full: ${queue.waiting} jobs wait, the limit is ${limit}. Try again when workers have caught up, or raise its max_depth.`,
      { retryAfterMs: fullRetryMs, quota: { type: 'queue_depth', current: queue.waiting, limit } },
    )
  }
}

/** NULL for an empty record. */
function textOfRecord(record: Readonly<Record<string, string>>): string | null {
  for (const _ in record) return JSON.stringify(record)
  return null
}

function requestKey(scope: Scope, requestId: string): string {
  return `${scope.namespace} ${requestId}`
}

function hashOf({ function: name, contentType, payload, stateful }: NewJob): Uint8Array {
  const state = stateful ? `${stateful.key}\n` : ''
  return createHash('sha256').update(`${name}\n${contentType}\n${state}`).update(payload).digest()
}
