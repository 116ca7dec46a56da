import type { HeldJob } from './held-job.ts'
import type { RevokedReason } from './job-errors.ts'

/** The jobs under a worker's lease, by id, until they are settled. */
export class HeldJobs {
  readonly #jobs = new Map<string, HeldJob>()
  /** Those that came over an earlier connection: the present one does not count them. */
  #carried = new Set<HeldJob>()

  get size(): number {
    return this.#jobs.size
  }

  /** How many came over an earlier connection. */
  get carried(): number {
    return this.#carried.size
  }

  /** A job came. When it is held already, its earlier lease has ended, though nobody could say so. */
  add(job: HeldJob): void {
    const earlier = this.#jobs.get(job.wire.jobId)
    if (earlier) this.lose(earlier, 'lease_lost')
    this.#jobs.set(job.wire.jobId, job)
  }

  /** True while the job is this worker's. */
  has(job: HeldJob): boolean {
    return this.#jobs.get(job.wire.jobId) === job
  }

  /** The job under this lease. */
  find(jobId: string, leaseToken: string): HeldJob | undefined {
    const job = this.#jobs.get(jobId)
    return job?.wire.leaseToken === leaseToken ? job : undefined
  }

  /** The job is settled. */
  remove(job: HeldJob): void {
    if (this.has(job)) this.#jobs.delete(job.wire.jobId)
    this.#carried.delete(job)
  }

  /** The job is this worker's no longer. */
  lose(job: HeldJob, why: RevokedReason): void {
    this.remove(job)
    job.revoke(why)
  }

  /** A new connection begins. */
  carryOver(): void {
    this.#carried = new Set(this.#jobs.values())
  }

  [Symbol.iterator](): Iterator<HeldJob> {
    return this.#jobs.values()
  }

  /**
   * Ends what is over, and finds the leases to renew: those a third of whose time is over.
   *
   * @param renew - called for each.
   */
  checkLeases(now: number, leaseMs: number, renew: (job: HeldJob) => void): void {
    for (const job of this.#jobs.values()) {
      if (job.deadline !== undefined && now >= job.deadline) this.lose(job, 'timeout')
      else if (now >= job.expiresAt) this.lose(job, 'lease_lost')
      else if (now - job.renewedAt >= leaseMs / 3) renew(job)
    }
  }
}
