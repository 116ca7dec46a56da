import { PgBoss } from 'pg-boss'
import type { Payload, SystemClient } from './client.ts'
import { type DatabaseAddress, query } from './database.ts'

/**
 * pg-boss without its workers' pauses of half a second and more between jobs: loops make the calls that they make. Latency
 * is measured with its own worker, woken by NOTIFY.
 *
 * @param batches - a few loops take and complete many jobs at once, in one statement; else there is a loop for each job
 *   of the concurrency, which takes and completes one at a time.
 */
export async function pgBossClient({ url }: DatabaseAddress, batches: boolean): Promise<SystemClient> {
  const boss = new PgBoss({ connectionString: url, useListenNotify: true, schedule: false })
  boss.on('error', (error) => console.error(error))
  await boss.start()
  const made = new Map<string, Promise<void>>()
  const queueNamed = (name: string, notify = false) => {
    let queue = made.get(name)
    if (queue === undefined) {
      queue = boss.createQueue(name, { notify })
      made.set(name, queue)
    }
    return queue
  }
  return {
    async enqueue(queue, payload) {
      await queueNamed(queue)
      await boss.send(queue, payload)
    },
    async enqueueBatch(queue, payloads) {
      await queueNamed(queue)
      await boss.insert(
        queue,
        payloads.map((data) => ({ data })),
      )
    },
    async counts(queue) {
      const rows = await query<{ state: string; count: number }>(
        url,
        `SELECT state::text, count(*)::int FROM pgboss.job WHERE name = '${queue}' GROUP BY state`,
      )
      const of = (state: string) => rows.find((row) => row.state === state)?.count ?? 0
      return { waiting: of('created'), completed: of('completed'), total: rows.reduce((sum, { count }) => sum + count, 0) }
    },
    async work(queue, { concurrency, handle, completed }) {
      let stopped = false
      const loops = batches ? 2 : concurrency
      const loop = async () => {
        while (!stopped) {
          const jobs = await boss.fetch<Payload>(queue, { batchSize: concurrency / loops })
          if (jobs.length === 0) continue
          await Promise.all(jobs.map(async ({ data }) => handle(data)))
          await boss.complete(
            queue,
            jobs.map(({ id }) => id),
          )
          for (const _ of jobs) completed()
        }
      }
      const running = Array.from({ length: loops }, loop)
      return {
        stop: async () => {
          stopped = true
          await Promise.all(running)
        },
      }
    },
    async echo(queue, concurrency) {
      await queueNamed(queue, true)
      const calls = new Map<number, (payload: Payload) => void>()
      const work = await boss.work<Payload>(queue, { localConcurrency: concurrency }, async (jobs) => {
        for (const { data } of jobs) calls.get(data.i)!(data)
      })
      return {
        async call(payload) {
          const { promise, resolve } = Promise.withResolvers<Payload>()
          calls.set(payload.i, resolve)
          await boss.send(queue, payload)
          return promise
        },
        stop: () => boss.offWork(queue, { id: work, wait: true }),
      }
    },
    close: () => boss.stop({ graceful: false }),
  }
}
