import type { StopOptions } from './types.ts'

type Stop = (options: StopOptions) => Promise<void>

const signals = ['SIGTERM', 'SIGINT'] as const
/** What to stop at a signal. One for the process, as signals are: one listener each, however many workers there are. */
const stops = new Set<Stop>()
/** What comes so soon after a signal is the same one: a terminal, npm and `timeout` each pass one Ctrl+C on. */
const sameSignalMs = 300
/** When the first came, in the milliseconds of `performance.now()`. */
let receivedAt: number | undefined

/**
 * Drains at the first signal and gives up waiting at the second. When nobody else listens for the signal, the process
 * ends by it once all workers have stopped, as it would have without them.
 *
 * @param stop - stops the worker.
 * @returns what forgets the worker.
 */
export function drainOnSignals(stop: Stop): () => void {
  if (stops.size === 0) for (const signal of signals) process.on(signal, onSignal)
  stops.add(stop)
  return () => {
    stops.delete(stop)
    if (stops.size > 0) return
    receivedAt = undefined
    for (const signal of signals) process.off(signal, onSignal)
  }
}

function onSignal(signal: NodeJS.Signals): void {
  const now = performance.now()
  const again = receivedAt !== undefined
  receivedAt ??= now
  if (again && now - receivedAt <= sameSignalMs) return
  void Promise.all([...stops].map((stop) => stop(again ? { drain: 0 } : {}))).then(() => {
    if (!again && process.listenerCount(signal) === 0) process.kill(process.pid, signal)
  })
}
