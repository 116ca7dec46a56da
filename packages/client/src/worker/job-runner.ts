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

/** Runs handlers, a bounded number at a time; further jobs wait in order. */
export class JobRunner {
  readonly #options: JobRunnerOptions
  #waiting: HeldJob[] = []
  #running = 0
  #filling = false
  #onIdle: (() => void)[] = []

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
    tell()
    this.#running--
    this.#fill()
    if (this.#running === 0) for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
