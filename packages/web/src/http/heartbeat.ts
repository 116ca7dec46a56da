import type { Clock, CompiledOptions } from '@millrace/core/adapter'

/** What has waited unseen while the machine or the page slept is read within this time. */
const graceMs = 2000

/**
 * Watches over a stream that must not be silent for long.
 *
 * A machine or a page that sleeps runs no timers: whoever finds out afterwards that there was silence first gives what
 * came meanwhile the time to be read.
 */
export class Heartbeat {
  readonly #clock: Clock
  readonly #mostMs: number
  readonly #onSilence: (silentMs: number) => void
  #heardAt: number
  #cancel: (() => void) | undefined

  /** @param onSilence - called once, when the stream counts as dead. */
  constructor(clock: Clock, keepalive: CompiledOptions['keepalive'], onSilence: (silentMs: number) => void) {
    this.#clock = clock
    this.#mostMs = keepalive ? keepalive.intervalMs + keepalive.timeoutMs : Number.POSITIVE_INFINITY
    this.#onSilence = onSilence
    this.#heardAt = clock.now()
    this.#look(this.#mostMs)
  }

  /** Something came. */
  readonly alive = (): void => {
    this.#heardAt = this.#clock.now()
  }

  /** It is of no interest any more. */
  stop(): void {
    this.#cancel?.()
  }

  #look(afterMs: number): void {
    if (afterMs === Number.POSITIVE_INFINITY) return
    const due = this.#clock.now() + afterMs
    this.#cancel = this.#clock.timer(afterMs, () => {
      const now = this.#clock.now()
      const silentMs = now - this.#heardAt
      if (silentMs < this.#mostMs) this.#look(this.#mostMs - silentMs)
      else if (now - due > graceMs) this.#look(graceMs)
      else this.#onSilence(silentMs)
    })
  }
}
