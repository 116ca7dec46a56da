import type { Journal } from './journal.ts'

/** How a process of the crash test is told what to do: as JSON in its first argument. */
export interface ProcessSettings {
  /** One server, or several with commas between them. */
  readonly endpoint: string
  readonly key: string
  readonly namespace: string
  /** Its name in the journals. */
  readonly name: string
  /** Folder of the journals. */
  readonly folder: string
  readonly leaseMs: number
}

/** How a worker process takes jobs: each way a user may. */
export type WorkerMode =
  /** `mr.worker` for the queue and for tasks. */
  | 'worker'
  /** `queue.deliveries`. */
  | 'deliveries'
  /** `queue.receive` in a loop. */
  | 'receive'
  /** `ProcessJobs` for tasks, without the SDK. */
  | 'raw'

/** What a worker process is told. */
export interface WorkerSettings extends ProcessSettings {
  readonly mode: WorkerMode
  /** Jobs it works on at a time. */
  readonly concurrency: number
}

/** What a producer process is told. */
export interface ProducerSettings extends ProcessSettings {
  readonly seed: number
  /** Submissions a second, about. */
  readonly rate: number
}

/** The queue of the test's plain jobs; its tasks use the default queue. */
export const queueName = 'crash'
/** The function of the test's stateful tasks, and the states they work on. */
export const statefulName = 'crash-state'
export const stateKeys: readonly string[] = ['a', 'b', 'c', 'd']
/** The function of the test's tasks. */
export const functionName = 'crash'

/** Client options that ride out a restart of the server, however often it is killed, and notice soon when it is silent. */
export const stubborn = {
  timeout: '3m',
  keepalive: { interval: '1s', timeout: '1s' },
  retry: { maxRetries: 1000, initialDelay: 50, maxDelay: 500, multiplier: 2, jitter: 0.2 },
  circuitBreaker: false,
} as const

/** The settings of this process. */
export function readSettings<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T
}

/** Ends this process well when its parent says `stop`, and at once when the parent is gone. */
export function obeyParent(stop: () => Promise<void>, journal: Journal): void {
  process.once('disconnect', () => process.exit(1))
  process.once('message', async () => {
    await stop()
    journal.close()
    process.exit(0)
  })
}
