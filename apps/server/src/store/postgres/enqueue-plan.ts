import { createHash } from 'node:crypto'
import { MillraceError } from '../../errors.ts'
import type { EnqueueOutcome, EnqueueRequest, EnqueueResult, NewJob, RetryPolicy, Seq } from '../ports.ts'
import { storable } from './arrays.ts'
import { keyOf, type LaneEntry, type Lanes, type QueueEntry } from './lanes.ts'
import { recall, remember } from './remembered.ts'

/** A job to insert. */
export interface PlannedJob {
  readonly job: NewJob
  readonly seq: Seq
  readonly lane: LaneEntry
  readonly scheduled: boolean
  readonly maxAttempts: number
  readonly batch: Seq | undefined
  readonly now: number
  /** It stands in line behind others. */
  blocked?: boolean
  /** The lease under which it begins; absent when it waits. */
  taken?: {
    readonly token: number
    readonly workerId: string
    readonly leaseMs: number
    readonly leaseUntil: number
    readonly deadline: number | undefined
  }
}

/** The first use of an idempotency key. */
export interface FirstUse {
  readonly seq: Seq
  /** SHA-256 in hex. */
  readonly hash: string
}

/** An answer to remember. */
export interface PlannedRequest {
  readonly request: EnqueueRequest
  readonly outcome: string
}

/** What the database knows that a batch of requests depends on. */
export interface Known {
  /** By {@link keyOf}. */
  readonly queues: ReadonlyMap<string, QueueEntry>
  /** By {@link idempotencyId}. */
  readonly keys: ReadonlyMap<string, FirstUse>
  /** Their answers by tenant and {@link storedRequestId}. */
  readonly requests: ReadonlyMap<string, string>
}

/** How long a caller should wait before it tries a full queue again. */
const fullRetryMs = 250

/** A key within its queue, which may not be stored yet. */
export function idempotencyId(queue: QueueEntry, key: string): string {
  return `${keyOf(queue, queue.name)} ${storable(key)}`
}

/** A request's id as it is stored. */
export function storedRequestId({ scope, requestId }: EnqueueRequest): string {
  return storable(`${scope.namespace} ${requestId}`)
}

/**
 * What a batch of requests comes to, given what the database knows: each in turn, as if it were alone. Nothing is written;
 * if the database knows more by then, its unique keys refuse the batch and it is planned again.
 */
export class EnqueuePlan {
  readonly jobs: PlannedJob[] = []
  readonly keys = new Map<string, FirstUse & { readonly queue: QueueEntry; readonly key: string }>()
  readonly requests = new Map<string, PlannedRequest>()
  readonly #known: Known
  readonly #lanes: Lanes
  readonly #next: () => Seq
  readonly #rules: { readonly defaultRetry: RetryPolicy; readonly defaultMaxDepth: number }
  readonly #newLanes = new Map<string, LaneEntry>()
  readonly #added = new Map<QueueEntry, number>()

  constructor(known: Known, lanes: Lanes, next: () => Seq, rules: { defaultRetry: RetryPolicy; defaultMaxDepth: number }) {
    this.#known = known
    this.#lanes = lanes
    this.#next = next
    this.#rules = rules
  }

  /** Takes a request into the plan, or throws what is wrong with it. */
  add(request: EnqueueRequest): EnqueueResult {
    const id = `${request.scope.tenant} ${storedRequestId(request)}`
    const before = this.requests.get(id)?.outcome ?? this.#known.requests.get(id)
    if (request.requestId !== '' && before !== undefined) return recall(before)
    const mark = this.jobs.length
    try {
      const batch = request.batch ? this.#next() : undefined
      const outcomes = request.jobs.map((job) => this.#one(request, job, batch))
      if (request.requestId !== '' && !outcomes.some((outcome) => 'error' in outcome)) {
        this.requests.set(id, { request, outcome: remember(outcomes, batch) })
      }
      return { outcomes, batch }
    } catch (error) {
      this.#takeBack(mark)
      throw error
    }
  }

  #one({ scope, partial, now }: EnqueueRequest, job: NewJob, batch: Seq | undefined): EnqueueOutcome {
    try {
      const queue = this.#known.queues.get(keyOf(scope, job.queue))!
      const hash = job.idempotencyKey === '' ? undefined : hashOf(job)
      const first = hash === undefined ? undefined : this.#first(queue, job, hash)
      if (first !== undefined) return { seq: first, created: false }
      this.#checkDepth(queue)
      const lane = this.#lane(queue, job.function)

      const seq = this.#next()
      const scheduled = job.runAt !== undefined && job.runAt > now
      const maxAttempts = job.maxAttempts ?? (job.retry ?? queue.retry ?? this.#rules.defaultRetry).maxAttempts
      this.jobs.push({ job, seq, lane, scheduled, maxAttempts, batch: job.stage?.pipeline ?? batch, now })
      this.#added.set(queue, (this.#added.get(queue) ?? 0) + 1)
      if (hash !== undefined) this.keys.set(idempotencyId(queue, job.idempotencyKey), { seq, hash, queue, key: job.idempotencyKey })
      return { seq, created: true }
    } catch (error) {
      if (partial && error instanceof MillraceError && error.reason !== 'UNAVAILABLE') return { error }
      throw error
    }
  }

  /** The job that used the key first. */
  #first(queue: QueueEntry, job: NewJob, hash: string): Seq | undefined {
    const id = idempotencyId(queue, job.idempotencyKey)
    const first = this.keys.get(id) ?? this.#known.keys.get(id)
    if (!first || first.hash === hash) return first?.seq
    throw new MillraceError(
      'ALREADY_EXISTS',
      `The idempotency key '${job.idempotencyKey}' was used in queue '${queue.name}' with another function or payload. Use a new key for new work.`,
    )
  }

  #lane(queue: QueueEntry, functionName: string): LaneEntry {
    const known = this.#lanes.lane(queue, functionName)
    if (known.number > 0) return known
    const id = `${keyOf(queue, queue.name)} ${functionName}`
    const planned = this.#newLanes.get(id)
    if (planned) return planned
    this.#newLanes.set(id, known)
    return known
  }

  #checkDepth(queue: QueueEntry): void {
    const { defaultMaxDepth } = this.#rules
    const limit = defaultMaxDepth === Infinity ? Infinity : queue.maxDepth || defaultMaxDepth
    const current = queue.waiting + (this.#added.get(queue) ?? 0)
    if (current < limit) return
    throw new MillraceError(
      'QUOTA_EXCEEDED',
      `Queue '${queue.name}' is full: ${current} jobs wait, the limit is ${limit}. Try again when workers have caught up, or raise its max_depth.`,
      { retryAfterMs: fullRetryMs, quota: { type: 'queue_depth', current, limit } },
    )
  }

  #takeBack(mark: number): void {
    for (const { job, lane } of this.jobs.splice(mark)) {
      this.#added.set(lane.queue, this.#added.get(lane.queue)! - 1)
      if (job.idempotencyKey !== '') this.keys.delete(idempotencyId(lane.queue, job.idempotencyKey))
    }
  }
}

function hashOf({ function: name, contentType, payload, stateful }: NewJob): string {
  const state = stateful ? `${stateful.key}\n` : ''
  return createHash('sha256').update(`${name}\n${contentType}\n${state}`).update(payload).digest('hex')
}
