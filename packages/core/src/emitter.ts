/** Typed events. A listener that throws does not disturb the others: its error is reported like that of an event handler. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(payload: never) => void>>()

  /** Calls `fn` at each event of this name. */
  on<E extends keyof Events>(event: E, fn: (payload: Events[E]) => void): void {
    const listeners = this.#listeners.get(event)
    if (listeners) listeners.add(fn)
    else this.#listeners.set(event, new Set([fn]))
  }

  /** Stops calling `fn`. */
  off<E extends keyof Events>(event: E, fn: (payload: Events[E]) => void): void {
    this.#listeners.get(event)?.delete(fn)
  }

  /** True when somebody listens. */
  has(event: keyof Events): boolean {
    return (this.#listeners.get(event)?.size ?? 0) > 0
  }

  /** Calls the listeners, in the order they came. */
  emit<E extends keyof Events>(event: E, payload: Events[E]): void {
    for (const fn of this.#listeners.get(event) ?? []) {
      try {
        fn(payload as never)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  /** Forgets every listener. */
  clear(): void {
    this.#listeners.clear()
  }
}
