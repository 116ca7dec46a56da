import type { Clock } from '@millrace/core/adapter'

/** What a collector of batches needs. */
export interface BatchesOptions<J> {
  readonly clock: Clock
  /** Jobs of one batch at most. */
  readonly size: number
  /** How long the first job of a batch waits for more. */
  readonly waitMs: number
  /** Handles a batch: results by position, an Error for a job that failed; or nothing. */
  handle(jobs: readonly J[]): unknown
}

interface Waiting<J> {
  readonly job: J
  resolve(result: unknown): void
  reject(error: unknown): void
}

/** Brings jobs together for a handler that takes many at once; each job has a result of its own. */
export class Batches<J> {
  readonly #options: BatchesOptions<J>
  #waiting: Waiting<J>[] = []
  #cancelTimer: (() => void) | undefined

  constructor(options: BatchesOptions<J>) {
    this.#options = options
  }

  /** Adds a job; settles when its batch was handled. */
  add(job: J): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject })
      const { clock, size, waitMs } = this.#options
      if (this.#waiting.length >= size) void this.#handle()
      else this.#cancelTimer ??= clock.timer(waitMs, () => void this.#handle())
    })
  }

  async #handle(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    const batch = this.#waiting
    this.#waiting = []
    try {
      const results = await this.#options.handle(batch.map(({ job }) => job))
      if (results !== undefined && !(Array.isArray(results) && results.length === batch.length)) {
        throw new TypeError(
          `The handler of ${batch.length} jobs must return nothing, or an array of ${batch.length} results in their order.`,
        )
      }
      batch.forEach(({ resolve, reject }, i) => {
        const result: unknown = results?.[i]
        if (result instanceof Error) reject(result)
        else resolve(result)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
}
