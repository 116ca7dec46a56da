/** Lets many pass at a time, or one alone. Who wants to be alone goes before those who come later. */
export class Gate {
  /** Those who pass together. */
  readonly #passing = new Set<Promise<unknown>>()
  /** The end of the last one who wants to be alone. */
  #alone: Promise<unknown> | undefined

  /**
   * Passes together with others.
   *
   * @param givenUp - rejects when nobody waits for this any more.
   */
  async pass<T>(work: () => Promise<T>, givenUp?: Promise<never>): Promise<T> {
    while (this.#alone !== undefined) await first(this.#alone, givenUp)
    const passing = work()
    const ended = passing.catch(() => undefined).finally(() => this.#passing.delete(ended))
    this.#passing.add(ended)
    return passing
  }

  /** Passes alone, when those who pass are through. */
  async passAlone<T>(work: () => Promise<T>, givenUp?: Promise<never>): Promise<T> {
    while (this.#alone !== undefined) await first(this.#alone, givenUp)
    const passing = first(Promise.all(this.#passing), givenUp).then(work)
    const ended = passing
      .catch(() => undefined)
      .finally(() => {
        this.#alone = undefined
      })
    this.#alone = ended
    return passing
  }
}

function first<T>(promise: Promise<T>, givenUp: Promise<never> | undefined): Promise<T> {
  return givenUp !== undefined ? Promise.race([promise, givenUp]) : promise
}
