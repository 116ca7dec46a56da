/** Clocks that differ by less count as one: leases and delays are longer by far, and what is measured is never exact. */
const toleratedMs = 100

/**
 * The time that all servers on a database go by. A lease given by one is ended by another: were their clocks to differ, jobs
 * would be taken from workers that are well, or kept from others for long. So a server whose clock is wrong, by Postgres's,
 * goes by Postgres's.
 */
export class SharedTime {
  readonly #own: () => number
  #offset = 0

  /** @param own - the server's clock, in milliseconds since 1970. */
  constructor(own: () => number) {
    this.#own = own
  }

  /** Milliseconds since 1970. */
  readonly now = (): number => this.#own() + this.#offset

  /**
   * Postgres was asked for its time.
   *
   * @param theirs - what it said.
   * @param asked - the machine's clock before, `answered` - and after.
   */
  observe(theirs: number, asked: number, answered: number): void {
    const offset = theirs - (asked + answered) / 2
    const uncertain = Math.max(answered - asked, 0) / 2
    if (Math.abs(offset) <= toleratedMs) this.#offset = 0
    else if (Math.abs(offset - this.#offset) > toleratedMs + uncertain) this.#offset = Math.round(offset)
  }
}
