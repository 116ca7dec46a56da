import type { Clock } from '../clock.ts'

/** A clock that moves only when it is told to. */
export class ManualClock implements Clock {
  #now = Date.parse('2030-01-01T00:00:00Z')
  #timers: { readonly at: number; readonly fn: () => void }[] = []

  now(): number {
    return this.#now
  }

  timer(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + Math.max(ms, 0), fn }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.length
  }

  /** Moves the time; what is due runs in order, and what follows from it runs before the next. */
  async advance(ms: number): Promise<void> {
    await turn()
    const end = this.#now + ms
    for (;;) {
      const next = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#now = Math.max(this.#now, next.at)
      this.#timers = this.#timers.filter((timer) => timer !== next)
      next.fn()
      await turn()
    }
    this.#now = end
    await turn()
  }
}

/** Lets everything run that can run without time passing. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0))
}
