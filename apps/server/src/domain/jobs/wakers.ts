import type { JobChange, Seq } from '../../store/ports.ts'

/** Wakes those who wait for something with a number to change. */
export class Wakers {
  readonly #waiting = new Map<Seq, Set<() => void>>()

  /** Calls `wake` after each change, until the returned function is called. Whoever is woken looks for itself. */
  add(seq: Seq, wake: () => void): () => void {
    const waiting = this.#waiting.get(seq) ?? new Set()
    this.#waiting.set(seq, waiting.add(wake))
    return () => {
      waiting.delete(wake)
      if (waiting.size === 0) this.#waiting.delete(seq)
    }
  }

  changed(changes: readonly JobChange[]): void {
    if (this.#waiting.size === 0) return
    for (const { seq } of changes) for (const wake of this.#waiting.get(seq) ?? []) wake()
  }

  /** Changes may have gone unseen. */
  wakeAll(): void {
    for (const waiting of this.#waiting.values()) for (const wake of waiting) wake()
  }
}
