import { flowKindOf } from '../flow/flows.ts'
import type { ClaimedJob, ClaimRequest, Demand } from '../ports.ts'
import type { Context } from './context.ts'
import type { PlannedJob } from './enqueue-plan.ts'
import { precedes } from './heads.ts'
import type { LaneEntry } from './lanes.ts'

/** A claim that waits for its jobs. */
export interface WaitingClaim {
  readonly request: ClaimRequest
  resolve(claims: readonly (readonly ClaimedJob[])[]): void
  reject(error: unknown): void
}

/** One caller's demand, and the jobs it got. */
export interface Taker {
  readonly demand: Demand
  readonly jobs: ClaimedJob[]
}

/** A claim whose jobs are those that are just being added. */
export interface Rider extends WaitingClaim {
  readonly takers: readonly Taker[]
}

/**
 * Gives new jobs straight to those who wait for them: they are added as running, in one transaction instead of two. Only
 * where no other job waits that would come first.
 */
export class Handoff {
  readonly #context: Context
  #caught: WaitingClaim[] | undefined

  constructor(context: Context) {
    this.#context = context
  }

  /** A claim is made: true when it is one of those that {@link offer} asks for. */
  catches(claim: WaitingClaim): boolean {
    this.#caught?.push(claim)
    return this.#caught !== undefined
  }

  /** Says that these jobs are coming; returns the claims that are made for them at once. */
  offer(jobs: readonly PlannedJob[]): readonly Rider[] {
    const lanes = new Set(jobs.filter((job) => this.#isFirst(job)).map(({ lane }) => lane))
    const caught: WaitingClaim[] = []
    this.#caught = caught
    for (const { queue, function: functionName } of lanes) {
      this.#context.listener.ready({ tenant: queue.tenant, namespace: queue.namespace, queue: queue.name, function: functionName })
    }
    this.#caught = undefined
    return caught.map((claim) => ({ ...claim, takers: claim.request.demands().map((demand) => ({ demand, jobs: [] })) }))
  }

  /** Gives jobs to riders: in order, to each in turn. What is left will wait. */
  assign(riders: readonly Rider[], jobs: readonly PlannedJob[]): void {
    let open = riders.length > 0 ? jobs.filter((job) => this.#isFirst(job)).sort((a, b) => (precedes(placeOf(a), placeOf(b)) ? -1 : 1)) : []
    for (const { request, takers } of riders) {
      for (const taker of takers) {
        taker.jobs.length = 0
        for (const job of open.filter((job) => this.#suits(job, request, taker.demand)).slice(0, taker.demand.max)) {
          take(job, taker, this.#context.sequence.next())
        }
        open = open.filter((job) => !job.taken)
      }
    }
    for (const { lane, ...job } of jobs) {
      if (!job.scheduled && !job.taken) this.#context.heads.pending({ tenant: lane.queue.tenant, lane: lane.number, ...placeOf(job) })
    }
  }

  /** No job of its lane waits, and it waits for no other. */
  #isFirst({ job, scheduled, lane }: PlannedJob): boolean {
    return !scheduled && flowKindOf(job) === undefined && !lane.queue.paused && this.#context.heads.isDry(lane.queue.tenant, lane.number)
  }

  /** The demand is for this job, and no job of its other functions waits, which might come first. */
  #suits({ lane }: PlannedJob, { scope, queue }: ClaimRequest, { functions }: Demand): boolean {
    const own = lane.queue
    if (own.tenant !== scope.tenant || own.namespace !== scope.namespace || own.name !== queue || !functions.includes(lane.function))
      return false
    return functions.every((name) => this.#isEmpty(own.lanes.get(name)))
  }

  #isEmpty(lane: LaneEntry | undefined): boolean {
    return lane === undefined || this.#context.heads.isDry(lane.queue.tenant, lane.number)
  }
}

function placeOf({ job, seq }: Pick<PlannedJob, 'job' | 'seq'>) {
  return { rank: -job.priority, seq }
}

function take(planned: PlannedJob, taker: Taker, token: number): void {
  const { job, seq, lane, maxAttempts, now } = planned
  const { leaseMs, workerId } = taker.demand
  const deadline = job.timeoutMs > 0 ? now + job.timeoutMs : undefined
  planned.taken = { token, workerId, leaseMs, leaseUntil: Math.min(now + leaseMs, deadline ?? Infinity), deadline }
  taker.jobs.push({
    seq,
    queue: lane.queue.name,
    function: lane.function,
    payload: job.payload,
    contentType: job.contentType,
    headers: job.headers,
    labels: job.labels,
    priority: job.priority,
    attempt: 1,
    maxAttempts,
    createdAt: now,
    token,
    leaseExpiresAt: now + leaseMs,
    deadline,
  })
}
