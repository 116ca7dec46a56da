import type { Clock, CompiledOptions } from '@millrace/core/adapter'

/** What has waited unseen while the machine or the page slept is read within this time. */
const graceMs = 2000

/** A watch over a stream that must not be silent for long. */
export interface Heartbeat {
  /** Something came. */
  alive(): void
  /** It is of no interest any more. */
  stop(): void
}

/**
 * Watches over a stream that must not be silent for long.
 *
 * A machine or a page that sleeps runs no timers: whoever finds out afterwards that there was silence first gives what
 * came meanwhile the time to be read.
 *
 * @param onSilence - called once, when the stream counts as dead.
 */
export function watchHeartbeat(clock: Clock, keepalive: CompiledOptions['keepalive'], onSilence: (silentMs: number) => void): Heartbeat {
  let heardAt = clock.now()
  let cancel: (() => void) | undefined
  if (keepalive) {
    const mostMs = keepalive.intervalMs + keepalive.timeoutMs
    const look = (afterMs: number): void => {
      const due = clock.now() + afterMs
      cancel = clock.timer(afterMs, () => {
        const now = clock.now()
        const silentMs = now - heardAt
        if (silentMs < mostMs) look(mostMs - silentMs)
        else if (now - due > graceMs) look(graceMs)
        else onSilence(silentMs)
      })
    }
    look(mostMs)
  }
  return {
    alive() {
      heardAt = clock.now()
    },
    stop: () => cancel?.(),
  }
}
