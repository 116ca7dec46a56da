import type { Clock } from '../clock.ts'

/** The wait after the work failed. */
const retryMs = 1000

/** What an alarm does. */
export interface AlarmOptions {
  readonly clock: Clock
  /** Does what is due; resolves with when to come again: a time, or undefined when nothing waits. */
  run(): Promise<number | undefined>
  readonly onError: (error: unknown) => void
}

/** Does work when it becomes due: one timer, set to the next time. */
export class Alarm {
  readonly #options: AlarmOptions
  #armedFor = Infinity
  #disarm: () => void = () => undefined
  #working = false
  #closed = false

  constructor(options: AlarmOptions) {
    this.#options = options
  }

  /** Something is due at this time. */
  dueAt(time: number): void {
    if (this.#closed || time >= this.#armedFor) return
    this.#armedFor = time
    this.#disarm()
    const { clock } = this.#options
    this.#disarm = clock.timer(Math.max(time - clock.now(), 0), () => void this.#ring())
  }

  close(): void {
    this.#closed = true
    this.#disarm()
  }

  async #ring(): Promise<void> {
    this.#armedFor = Infinity
    // Two at once would do the same work twice; the one under way comes again.
    if (this.#working) return
    this.#working = true
    const { clock, run, onError } = this.#options
    try {
      const next = await run()
      if (next !== undefined) this.dueAt(next)
    } catch (error) {
      onError(error)
      this.dueAt(clock.now() + retryMs)
    } finally {
      this.#working = false
    }
  }
}
