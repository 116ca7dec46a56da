/**
 * Lets a stream's loop sleep until there is something to send. A wake-up that comes while nobody sleeps is kept, so none
 * is missed; many are one.
 */
export class Wakeup {
  #woken = false
  #resolve: (() => void) | undefined

  /** Wakes the sleeper, or the next one at once. */
  wake(): void {
    this.#woken = true
    this.#resolve?.()
    this.#resolve = undefined
  }

  /** Sleeps until {@link wake}. One at a time. */
  async wait(): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
      })
    }
    this.#woken = false
  }
}

/**
 * Yields messages as the peer reads them: takes the next one only when the last was handed to the connection, sleeps
 * while there is none, and ends when `take` says so or the call ends. What waits meanwhile stays with the owner of
 * `take`, who keeps it bounded.
 *
 * @param take - the next message; undefined when there is none now; `'end'` when there will be none.
 * @param wakeup - woken when `take` may have one.
 * @param signal - the call's; its reason is thrown.
 */
export async function* pump<T extends object>(
  take: () => T | undefined | 'end' | Promise<T | undefined | 'end'>,
  wakeup: Wakeup,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const wake = () => wakeup.wake()
  signal.addEventListener('abort', wake)
  try {
    for (;;) {
      signal.throwIfAborted()
      const taken = take()
      const message = taken instanceof Promise ? await taken : taken
      if (message === 'end') return
      if (message === undefined) await wakeup.wait()
      else yield message
    }
  } finally {
    signal.removeEventListener('abort', wake)
  }
}
