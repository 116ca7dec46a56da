import type { DatabaseSync, StatementSync } from 'node:sqlite'

const epoch = Date.UTC(2025, 0, 1)
const perMillisecond = 4096

/**
 * Numbers that grow with time and never repeat, also across restarts and clocks set back: milliseconds since 2025 times
 * 4096, or one more than the last one. They stay below 2^53 until 2094. (A hybrid logical clock: Kulkarni et al., 2014.)
 */
export class Sequence {
  readonly #update: StatementSync
  readonly #now: () => number
  #last: number
  #written: number

  constructor(db: DatabaseSync, now: () => number) {
    this.#now = now
    this.#update = db.prepare("UPDATE meta SET value = ? WHERE key = 'seq'")
    const { value } = db.prepare("SELECT value FROM meta WHERE key = 'seq'").get() as { value: number }
    this.#last = this.#written = value
  }

  /** Inside a mutation: the next number. */
  next(): number {
    this.#last = Math.max(this.#last + 1, (this.#now() - epoch) * perMillisecond)
    return this.#last
  }

  /** Before a commit: writes how far the numbers are. A number given in a transaction that failed is skipped. */
  write(): void {
    if (this.#last === this.#written) return
    this.#update.run(this.#last)
    this.#written = this.#last
  }
}
