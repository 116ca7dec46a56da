import type { Clock } from '../clock.ts'

interface Timer {
  readonly at: number
  readonly fn: () => void
}

/** A clock that stands still until it is moved. Its timers fire in order of time while it moves past them. */
export class ManualClock implements Clock {
  readonly #timers = new Set<Timer>()
  #now: number

  /** @param start - milliseconds since 1970 to begin at. */
  constructor(start: number = Date.UTC(2030, 0, 1)) {
    this.#now = start
  }

  now = (): number => this.#now

  timer(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + Math.max(ms, 0), fn }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Moves the time. Between two timers, what they set off may finish. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await settled()
      const next = [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.fn()
    }
    this.#now = end
    await settled()
  }
}

/** Lets everything that waits for no timer finish: a few turns of the event loop. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}
