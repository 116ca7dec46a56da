import { Millrace } from '@millrace/client'
import type { Payload, SystemClient } from './client.ts'

/** Where a Millrace server listens, and the key to it. */
export interface MillraceAddress {
  readonly endpoint: string
  readonly apiKey: string
}

/** Millrace through its client, as its README shows it: no options but where the server is. */
export function millraceClient(address: MillraceAddress): SystemClient {
  const mr = new Millrace(address)
  return {
    enqueue: (queue, payload) => mr.queue<Payload>(queue).enqueue(payload),
    enqueueBatch: (queue, payloads) => mr.queue<Payload>(queue).enqueueBatch(payloads.map((payload) => ({ payload }))),
    async counts(queue) {
      const { pending, completed, total } = await mr.queue(queue).stats()
      return { waiting: pending, completed, total }
    },
    async work(queue, { concurrency, handle, completed }) {
      const worker = mr.worker<Payload>({ queue, handler: async (job) => handle(job.payload), concurrency })
      worker.on('completed', completed)
      await worker.start()
      return { stop: () => worker.stop() }
    },
    async echo(queue, concurrency) {
      const worker = mr.worker({ queue, tasks: { echo: async (payload) => payload }, concurrency })
      await worker.start()
      return {
        async call(payload) {
          const task = await mr.tasks.submit({ queue, function: 'echo', payload })
          const { status, result } = await task.wait()
          if (status !== 'completed') throw new Error(`task ${task.taskId} ended ${status}`)
          return result as Payload
        },
        stop: () => worker.stop(),
      }
    },
    async receive(queue, max) {
      const jobs = await mr.queue<Payload>(queue).receive({ max, lease: '10m' })
      return {
        count: jobs.length,
        async complete() {
          await Promise.all(jobs.map((job) => job.complete()))
        },
      }
    },
    close: () => mr.close(),
  }
}
