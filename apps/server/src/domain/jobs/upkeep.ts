import type { Clock } from '../../clock.ts'
import type { JobStore, Retention } from '../../store/ports.ts'
import { Alarm } from '../alarm.ts'

/** Rows changed in one transaction: a long one would hold up everybody's commit. */
const chunk = 500
/** How often ended jobs past their retention are looked for: each minute, and more often where one is shorter. */
const sweepEveryMs = { least: 1000, most: 60_000 }

/** What happens by itself: scheduled jobs become ready, leases and attempts run out, ended jobs are forgotten. */
export class Upkeep {
  readonly #jobs: JobStore
  readonly #clock: Clock
  readonly #sweepEveryMs: number
  readonly #due: Alarm
  readonly #sweeping: Alarm

  /** @param options - `swept`: called after ended jobs were forgotten. */
  constructor(options: { jobs: JobStore; clock: Clock; retention: Retention; onError: (error: unknown) => void; swept: () => void }) {
    const { jobs, clock, retention, onError, swept } = options
    this.#jobs = jobs
    this.#clock = clock
    const shortest = Math.min(...Object.values(retention))
    this.#sweepEveryMs = Math.min(Math.max(shortest, sweepEveryMs.least), sweepEveryMs.most)
    this.#due = new Alarm({
      clock,
      onError,
      run: async (closing) => {
        while (!closing.aborted && (await this.#runDue()) === chunk);
        return closing.aborted ? undefined : jobs.nextDueAt()
      },
    })
    this.#sweeping = new Alarm({
      clock,
      onError,
      run: async (closing) => {
        for (let count = chunk; !closing.aborted && count === chunk; ) {
          count = await jobs.sweep(retention, clock.now(), chunk)
          if (count > 0) swept()
        }
        return clock.now() + this.#sweepEveryMs
      },
    })
  }

  /** Begins: what came due while the server was down is due now. */
  start(): void {
    this.dueAt(this.#clock.now())
    this.#sweeping.dueAt(this.#clock.now() + this.#sweepEveryMs)
  }

  /** Something is due at this time. */
  dueAt(time: number): void {
    this.#due.dueAt(time)
  }

  /** Begins nothing more; resolves when what is under way has ended. */
  async close(): Promise<void> {
    await Promise.all([this.#due.close(), this.#sweeping.close()])
  }

  async #runDue(): Promise<number> {
    const now = this.#clock.now()
    const counts = await Promise.all([this.#jobs.promoteDue(now, chunk), this.#jobs.expireDue(now, chunk)])
    return Math.max(...counts)
  }
}
