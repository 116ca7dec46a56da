import type { Scope } from '../store/ports.ts'

/** Lets many wait for news of things with names. */
export class Topics {
  readonly #waiting = new Map<string, Set<() => void>>()

  /** Calls `wake` at news of a thing; returns how to stop. */
  follow(scope: Scope, name: string, wake: () => void): () => void {
    const key = keyOf(scope, name)
    const others = this.#waiting.get(key) ?? new Set()
    this.#waiting.set(key, others.add(wake))
    return () => {
      others.delete(wake)
      if (others.size === 0 && this.#waiting.get(key) === others) this.#waiting.delete(key)
    }
  }

  /** There is news of a thing. */
  wake(scope: Scope, name: string): void {
    for (const wake of [...(this.#waiting.get(keyOf(scope, name)) ?? [])]) wake()
  }

  /** There may be news of everything. */
  wakeAll(): void {
    for (const waiting of [...this.#waiting.values()]) for (const wake of [...waiting]) wake()
  }
}

function keyOf({ tenant, namespace }: Scope, name: string): string {
  return `${tenant} ${namespace} ${name}`
}
