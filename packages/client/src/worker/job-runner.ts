import type { Clock } from '@millrace/core/adapter'
import type { HeldJob } from './held-job.ts'

/** What a runner needs. */
export interface JobRunnerOptions {
  readonly clock: Clock
  /** Handlers that run at a time. */
  readonly concurrency: number
  /** Calls the handler. May throw, may return a promise. */
  handle(job: HeldJob): unknown
  /** The handler returned. */
  returned(job: HeldJob, result: unknown): void
  /** The handler threw. */
  threw(job: HeldJob, thrown: unknown): void
}

/** Jobs may wait here for about so long: enough to bridge the way to the server and back. */
const bridgedMs = 25
/** Most jobs to hold beyond those that run. */
const maxPrefetch = 512
/** Jobs that waited here for longer go back, so that others can have them. */
const longestWaitMs = 1000
/** How much one handler's time counts in the mean. */
const meanWeight = 0.05

/** Runs handlers, a bounded number at a time; further jobs wait in order. */
export class JobRunner {
  readonly #options: JobRunnerOptions
  #waiting: HeldJob[] = []
  #running = 0
  #filling = false
  #onIdle: (() => void)[] = []
  /** Mean time of a handler, of late; unknown before the first. */
  #meanMs: number | undefined

  constructor(options: JobRunnerOptions) {
    this.#options = options
  }

  /** Runs jobs as soon as there is room. */
  add(jobs: readonly HeldJob[]): void {
    for (const job of jobs) this.#waiting.push(job)
    this.#fill()
  }

  /** Forgets the jobs that were not begun, and returns them. */
  takeWaiting(): HeldJob[] {
    const waiting = this.#waiting
    this.#waiting = []
    return waiting
  }

  /** Forgets the jobs that have waited for long, and returns them. Handlers are not as short as they were. */
  takeStale(): HeldJob[] {
    const before = this.#options.clock.now() - longestWaitMs
    const fresh = this.#waiting.filter((job) => job.receivedAt > before)
    if (fresh.length === this.#waiting.length) return []
    const stale = this.#waiting.filter((job) => job.receivedAt <= before)
    this.#waiting = fresh
    this.#meanMs = Math.max(this.#meanMs ?? 0, longestWaitMs)
    return stale
  }

  /**
   * How many jobs to hold beyond those that run, so that handlers need not wait for the server: while handlers are short,
   * as many as are done in a moment; none otherwise. A power of two, so that it seldom changes.
   */
  get prefetch(): number {
    if (this.#meanMs === undefined) return 0
    const jobs = (this.#options.concurrency * bridgedMs) / Math.max(this.#meanMs, 0.01)
    return jobs < 1 ? 0 : Math.min(2 ** Math.floor(Math.log2(jobs)), maxPrefetch)
  }

  /** Resolves when no handler runs. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onIdle.push(resolve))
  }

  /** Handlers that end at once come back here while the loop runs; it goes on, so that the stack does not grow. */
  #fill(): void {
    if (this.#filling) return
    this.#filling = true
    while (this.#running < this.#options.concurrency) {
      const next = this.#waiting.shift()
      if (!next) break
      if (!next.revoked) this.#run(next)
    }
    this.#filling = false
  }

  #run(job: HeldJob): void {
    this.#running++
    job.startedAt = this.#options.clock.now()
    let returned: unknown
    try {
      returned = this.#options.handle(job)
    } catch (thrown) {
      this.#finish(job, () => this.#options.threw(job, thrown))
      return
    }
    if (!isThenable(returned)) {
      this.#finish(job, () => this.#options.returned(job, returned))
      return
    }
    returned.then(
      (result) => this.#finish(job, () => this.#options.returned(job, result)),
      (thrown) => this.#finish(job, () => this.#options.threw(job, thrown)),
    )
  }

  #finish(job: HeldJob, tell: () => void): void {
    job.durationMs = this.#options.clock.now() - job.startedAt
    this.#meanMs = this.#meanMs === undefined ? job.durationMs : this.#meanMs + (job.durationMs - this.#meanMs) * meanWeight
    tell()
    this.#running--
    this.#fill()
    if (this.#running === 0) for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
