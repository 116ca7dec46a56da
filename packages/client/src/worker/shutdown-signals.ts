import type { StopOptions } from './types.ts'

const signals = ['SIGTERM', 'SIGINT'] as const

/**
 * Drains at the first signal and gives up waiting at the second. When nobody else listens for the signal, the process
 * ends by it once all workers have stopped, as it would have without them.
 *
 * @param stop - stops the worker.
 * @returns what forgets the signals.
 */
export function drainOnSignals(stop: (options: StopOptions) => Promise<void>): () => void {
  let received = false
  const onSignal = (signal: NodeJS.Signals): void => {
    const again = received
    received = true
    void stop(again ? { drain: 0 } : {}).then(() => {
      if (!again && process.listenerCount(signal) === 0) process.kill(process.pid, signal)
    })
  }
  for (const signal of signals) process.on(signal, onSignal)
  return () => {
    for (const signal of signals) process.off(signal, onSignal)
  }
}
