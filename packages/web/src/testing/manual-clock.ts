import type { Clock } from '@millrace/core/adapter'

/** A clock that moves only when it is told to. */
export class ManualClock implements Clock {
  #now = 1_900_000_000_000
  #timers: { readonly at: number; readonly fn: () => void }[] = []

  now(): number {
    return this.#now
  }

  timer(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + ms, fn }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.length
  }

  /** Moves the time; what is due runs at its time. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.at)
      this.#timers = this.#timers.filter((timer) => timer !== next)
      next.fn()
    }
    this.#now = end
  }

  /** The machine sleeps: timers run late, when it wakes. */
  sleep(ms: number): void {
    this.#now += ms
    this.advance(0)
  }

  #next(end: number): { readonly at: number; readonly fn: () => void } | undefined {
    return this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
  }
}
