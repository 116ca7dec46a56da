import { Queue, QueueEvents, Worker } from 'bullmq'
import type { SystemClient } from './client.ts'

/** Where a Redis listens. */
export interface RedisAddress {
  readonly host: string
  readonly port: number
}

/**
 * BullMQ on ioredis. Commands go out without waiting for one another, which is ioredis's default; its
 * `enableAutoPipelining` was measured and made single adds and processing slower, so it stays off. Finished jobs are
 * kept, as BullMQ does by default and Millrace too.
 */
export function bullmqClient(address: RedisAddress): SystemClient {
  const connection = { ...address, maxRetriesPerRequest: null }
  const queues = new Map<string, Queue>()
  const queueNamed = (name: string) => {
    let queue = queues.get(name)
    if (queue === undefined) {
      queue = new Queue(name, { connection })
      queues.set(name, queue)
    }
    return queue
  }
  return {
    enqueue: (queue, payload) => queueNamed(queue).add('job', payload),
    enqueueBatch: (queue, payloads) => queueNamed(queue).addBulk(payloads.map((data) => ({ name: 'job', data }))),
    async counts(queue) {
      const { waiting = 0, active = 0, completed = 0, failed = 0, delayed = 0 } = await queueNamed(queue).getJobCounts()
      return { waiting, completed, total: waiting + active + completed + failed + delayed }
    },
    async work(queue, { concurrency, handle, completed }) {
      const worker = new Worker(queue, async (job) => handle(job.data), { connection, concurrency, autorun: false })
      worker.on('completed', completed)
      await worker.waitUntilReady()
      const run = worker.run()
      return {
        stop: async () => {
          await worker.close()
          await run
        },
      }
    },
    async echo(name, concurrency) {
      const worker = new Worker(name, async (job) => job.data, { connection, concurrency })
      const events = new QueueEvents(name, { connection })
      const queue = queueNamed(name)
      // A wait listens on both; many waits at once are no leak, and the warning about them would be measured too.
      events.setMaxListeners(0)
      queue.setMaxListeners(0)
      await Promise.all([worker.waitUntilReady(), events.waitUntilReady(), queue.waitUntilReady()])
      return {
        call: async (payload) => (await queue.add('job', payload)).waitUntilFinished(events),
        stop: async () => {
          await Promise.all([worker.close(), events.close()])
        },
      }
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()))
    },
  }
}
