import type { Clock } from '../clock.ts'

/** The wait after the work failed. */
const retryMs = 1000

/** What an alarm does. */
export interface AlarmOptions {
  readonly clock: Clock
  /**
   * Does what is due; resolves with when to come again: a time, or undefined when nothing waits. Much of it is done in pieces:
   * none is begun when the signal has aborted.
   */
  run(closing: AbortSignal): Promise<number | undefined>
  readonly onError: (error: unknown) => void
}

/** Does work when it becomes due: one timer, set to the next time. */
export class Alarm {
  readonly #options: AlarmOptions
  #armedFor = Infinity
  #disarm: () => void = () => undefined
  #working: Promise<void> | undefined
  /** It rang while work was under way, which may have looked before what it rang for. */
  #missed = false
  readonly #closing = new AbortController()

  constructor(options: AlarmOptions) {
    this.#options = options
  }

  /** Something is due at this time. */
  dueAt(time: number): void {
    if (this.#closing.signal.aborted || time >= this.#armedFor) return
    this.#armedFor = time
    this.#disarm()
    const { clock } = this.#options
    this.#disarm = clock.timer(Math.max(time - clock.now(), 0), () => this.#ring())
  }

  /** Begins nothing more; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#disarm()
    await this.#working
  }

  #ring(): void {
    this.#armedFor = Infinity
    // Two at once would do the same work twice; the one under way comes again.
    if (this.#working !== undefined) this.#missed = true
    else this.#working = this.#work().finally(() => this.#worked())
  }

  async #work(): Promise<void> {
    const { clock, run, onError } = this.#options
    try {
      const next = await run(this.#closing.signal)
      if (next !== undefined) this.dueAt(next)
    } catch (error) {
      onError(error)
      this.dueAt(clock.now() + retryMs)
      this.#missed = false
    }
  }

  #worked(): void {
    this.#working = undefined
    if (this.#missed) this.dueAt(this.#options.clock.now())
    this.#missed = false
  }
}
