import type { Job } from '@millrace/protocol'
import type { JobEngine, Lease, SubscribeOptions, Subscription } from '../domain/jobs/types.ts'
import type { ChangeCause, ClaimedJob } from '../store/ports.ts'
import { messageBytes } from './limits.ts'
import { toJob } from './shapes.ts'

/** Bytes of payload that may wait for a peer that does not read; from there on it gets no more jobs. */
const mostWaiting = 1024 * 1024

/** Jobs of one message at most. */
const mostJobs = 1000

/** A lease that ended otherwise than by a settlement. */
export interface Revoked {
  readonly lease: Lease
  readonly cause: ChangeCause
}

/** What a stream demands, and what it is told of. */
export interface DeliveriesOptions extends Omit<SubscribeOptions, 'deliver' | 'revoke'> {
  readonly engine: JobEngine
  /** Called when there is something to take. */
  readonly wake: () => void
  /** Told of leases that ended, of jobs that were taken already. */
  readonly revoke: (jobs: readonly Revoked[]) => void
}

/** The jobs of one stream on their way from the engine to the connection. */
export class Deliveries {
  readonly #options: DeliveriesOptions
  readonly #subscription: Subscription
  #maxInFlight: number
  #waiting: ClaimedJob[] = []
  /** Jobs before this one in `#waiting` were taken. */
  #next = 0
  #bytes = 0
  #held = false

  /** @param options - the demand; it stands from now on. */
  constructor(options: DeliveriesOptions) {
    this.#options = options
    this.#maxInFlight = options.maxInFlight
    this.#subscription = options.engine.subscribe({
      ...options,
      deliver: (jobs) => this.#deliver(jobs),
      revoke: (jobs) => this.#revoke(jobs),
    })
  }

  /** Changes how many unsettled jobs the stream may have. */
  setMaxInFlight(max: number): void {
    this.#maxInFlight = max
    if (!this.#held) this.#subscription.setMaxInFlight(max)
  }

  /** The peer gave a sign of life. */
  alive(): void {
    this.#subscription.alive()
  }

  /** Jobs for one message; none when none wait. */
  take(): Job[] {
    const jobs: Job[] = []
    let bytes = 0
    while (this.#next < this.#waiting.length && jobs.length < mostJobs) {
      const job = this.#waiting[this.#next]!
      if (bytes > 0 && bytes + weight(job) > messageBytes) break
      bytes += weight(job)
      jobs.push(toJob(job))
      this.#next++
    }
    this.#bytes -= bytes
    if (this.#next === this.#waiting.length) {
      this.#waiting = []
      this.#next = 0
    }
    if (this.#held && this.#bytes < mostWaiting / 2) {
      this.#held = false
      this.#subscription.setMaxInFlight(this.#maxInFlight)
    }
    return jobs
  }

  /** Ends the demand and gives back what never left the server. */
  async close(): Promise<void> {
    this.#subscription.close()
    const left = this.#waiting.slice(this.#next)
    this.#waiting = []
    this.#next = 0
    if (left.length === 0) return
    const items = left.map(({ seq, token }) => ({ seq, token, action: { type: 'release' } as const }))
    await this.#options.engine.settle(this.#options.scope, items)
  }

  #deliver(jobs: readonly ClaimedJob[]): void {
    for (const job of jobs) {
      this.#waiting.push(job)
      this.#bytes += weight(job)
    }
    if (!this.#held && this.#bytes > mostWaiting) {
      this.#held = true
      this.#subscription.setMaxInFlight(0)
    }
    this.#options.wake()
  }

  #revoke(jobs: readonly Revoked[]): void {
    const tokens = new Map(jobs.map(({ lease }) => [lease.seq, lease.token]))
    const untaken = new Set<number>()
    const stays: ClaimedJob[] = []
    for (let i = this.#next; i < this.#waiting.length; i++) {
      const job = this.#waiting[i]!
      if (tokens.get(job.seq) === job.token) untaken.add(job.seq)
      else stays.push(job)
    }
    if (untaken.size > 0) {
      this.#waiting = stays
      this.#next = 0
      this.#bytes = stays.reduce((sum, job) => sum + weight(job), 0)
    }
    const taken = jobs.filter(({ lease }) => !untaken.has(lease.seq))
    if (taken.length > 0) this.#options.revoke(taken)
  }
}

/** Bytes a job takes in a message, roughly. */
function weight(job: ClaimedJob): number {
  const inputs = job.stage ? job.stage.inputs.reduce((sum, { result }) => sum + (result?.data.length ?? 0), 0) : 0
  return job.payload.length + (job.state?.data.length ?? 0) + inputs + 128
}
