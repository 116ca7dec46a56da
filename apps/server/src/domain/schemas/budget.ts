/** Steps that checking payloads may take, shared by those of a request: so many, and so many for each of their bytes. */
export class Budget {
  #left = 200_000

  /** Room for one more payload. */
  add(bytes: number): void {
    this.#left += 2 * bytes
  }

  /** False when there are not so many left. */
  take(steps: number): boolean {
    this.#left -= steps
    return this.#left >= 0
  }
}
