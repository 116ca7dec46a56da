import type { Clock } from '../../clock.ts'
import type { JobStore, Retention } from '../../store/ports.ts'

/** Rows changed in one transaction: a long one would hold up everybody's commit. */
const chunk = 500
/** How often ended jobs past their retention are looked for: each minute, and more often where one is shorter. */
const sweepEveryMs = { least: 1000, most: 60_000 }
/** The wait after the store failed. */
const retryMs = 1000

/** What happens by itself: scheduled jobs become ready, leases and attempts run out, ended jobs are forgotten. */
export class Upkeep {
  readonly #jobs: JobStore
  readonly #clock: Clock
  readonly #retention: Retention
  readonly #onError: (error: unknown) => void
  readonly #swept: () => void
  #armedFor = Infinity
  #disarm: () => void = () => undefined
  #stopSweeping: () => void = () => undefined
  #working = false
  #closed = false

  /** @param options - `swept`: called after ended jobs were forgotten. */
  constructor(options: { jobs: JobStore; clock: Clock; retention: Retention; onError: (error: unknown) => void; swept: () => void }) {
    this.#jobs = options.jobs
    this.#clock = options.clock
    this.#retention = options.retention
    this.#onError = options.onError
    this.#swept = options.swept
  }

  /** Begins: what came due while the server was down is due now. */
  start(): void {
    this.dueAt(this.#clock.now())
    this.#scheduleSweep()
  }

  /** Something is due at this time. */
  dueAt(time: number): void {
    if (this.#closed || time >= this.#armedFor) return
    this.#armedFor = time
    this.#disarm()
    this.#disarm = this.#clock.timer(time - this.#clock.now(), () => void this.#run())
  }

  close(): void {
    this.#closed = true
    this.#disarm()
    this.#stopSweeping()
  }

  async #run(): Promise<void> {
    this.#armedFor = Infinity
    // Two runs at once would do the same work twice; the one under way looks again at its end.
    if (this.#working) return
    this.#working = true
    try {
      while (!this.#closed && (await this.#runDue()) === chunk);
      const next = this.#closed ? undefined : await this.#jobs.nextDueAt()
      if (next !== undefined) this.dueAt(next)
    } catch (error) {
      this.#onError(error)
      this.dueAt(this.#clock.now() + retryMs)
    } finally {
      this.#working = false
    }
  }

  async #runDue(): Promise<number> {
    const now = this.#clock.now()
    const counts = await Promise.all([this.#jobs.promoteDue(now, chunk), this.#jobs.expireDue(now, chunk)])
    return Math.max(...counts)
  }

  #scheduleSweep(): void {
    const shortest = Math.min(...Object.values(this.#retention))
    const wait = Math.min(Math.max(shortest, sweepEveryMs.least), sweepEveryMs.most)
    this.#stopSweeping = this.#clock.timer(wait, () => {
      this.#sweep()
        .catch(this.#onError)
        .finally(() => this.#closed || this.#scheduleSweep())
    })
  }

  async #sweep(): Promise<void> {
    let swept = 0
    do {
      swept = await this.#jobs.sweep(this.#retention, this.#clock.now(), chunk)
      if (swept > 0) this.#swept()
    } while (!this.#closed && swept === chunk)
  }
}
