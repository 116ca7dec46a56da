import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import pg from 'pg'
import type { Payload, SystemClient } from './client.ts'
import { type DatabaseAddress, query } from './database.ts'

const quiet = new Logger(() => () => undefined)

/**
 * graphile-worker. It deletes completed jobs.
 *
 * @param batches - with a local queue that takes jobs in batches, and completions in batches, as its page about
 *   performance recommends; else as it comes.
 */
export async function graphileWorkerClient({ url }: DatabaseAddress, batches: boolean): Promise<SystemClient> {
  const pgPool = new pg.Pool({ connectionString: url, max: 12 })
  pgPool.on('error', (error) => console.error(error))
  pgPool.on('connect', (client) => client.on('error', (error) => console.error(error)))
  const utils = await makeWorkerUtils({ pgPool, logger: quiet })
  await utils.migrate()
  const completions = new Map<string, number>()
  const start = async (queue: string, concurrency: number, handle: (payload: Payload) => void) => {
    completions.set(queue, 0)
    const taskList = {
      [queue]: async (payload: unknown) => {
        completions.set(queue, completions.get(queue)! + 1)
        handle(payload as Payload)
      },
    }
    const preset = batches ? { worker: { completeJobBatchDelay: 0, localQueue: { size: 5 * concurrency } } } : {}
    return run({ pgPool, concurrency, taskList, preset, logger: quiet, noHandleSignals: true })
  }
  return {
    enqueue: (queue, payload) => utils.addJob(queue, payload),
    enqueueBatch: (queue, payloads) => utils.addJobs(payloads.map((payload) => ({ identifier: queue, payload }))),
    async counts(queue) {
      const [row] = await query<{ waiting: number; total: number }>(
        url,
        `SELECT count(*) FILTER (WHERE locked_at IS NULL)::int AS waiting, count(*)::int AS total FROM graphile_worker.jobs WHERE task_identifier = '${queue}'`,
      )
      const completed = completions.get(queue) ?? 0
      return { waiting: row!.waiting, completed, total: row!.total + completed }
    },
    async work(queue, { concurrency, handle, completed }) {
      const runner = await start(queue, concurrency, (payload) => {
        handle(payload)
        completed()
      })
      return {
        stop: () => runner.stop(),
        async settled() {
          while ((await pgPool.query('SELECT FROM graphile_worker._private_jobs LIMIT 1')).rows.length > 0);
        },
      }
    },
    async echo(queue, concurrency) {
      const calls = new Map<number, (payload: Payload) => void>()
      const runner = await start(queue, concurrency, (payload) => calls.get(payload.i)!(payload))
      return {
        async call(payload) {
          const { promise, resolve } = Promise.withResolvers<Payload>()
          calls.set(payload.i, resolve)
          await utils.addJob(queue, payload)
          return promise
        },
        stop: () => runner.stop(),
      }
    },
    async close() {
      await utils.release()
      await pgPool.end()
    },
  }
}
