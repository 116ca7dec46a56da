import type { Clock } from '../clock.ts'
import { AbortError } from '../errors/errors.ts'

/** Waits. Rejects with `AbortError` when `signal` ends it. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new AbortError(signal.reason))
    const onAbort = (): void => {
      cancel()
      reject(new AbortError(signal?.reason))
    }
    const cancel = clock.timer(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
