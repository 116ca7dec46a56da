import { type JobContext, Millrace, type Worker } from '@millrace/client'
import { sleep } from './kit.ts'

/** What has failed once. */
const failed = new Set<unknown>()

/** What the cases' tasks do. */
const functions = {
  /** Gives back what it gets. */
  echo: async (payload: unknown) => payload,
  /** Throws what it gets as a message. */
  fail: async (payload: unknown): Promise<never> => {
    throw new TypeError(String(payload))
  },
  /** Tells so many steps, as progress and in the log, 100 ms each. */
  steps: async (count: number, ctx: JobContext) => {
    for (let n = 1; n <= count; n++) {
      ctx.progress((n * 90) / count, `step ${n}`)
      ctx.log.info(`step ${n}`, { n })
      await sleep(100)
    }
    return 'done'
  },
  /** Fails the first time that it gets something. */
  'second-time': async (payload: unknown) => {
    if (failed.has(payload)) return
    failed.add(payload)
    throw new Error('no luck yet')
  },
  /** Adds up what the stage `numbers` gave. */
  sum: async (_payload: unknown, ctx: JobContext) => (ctx.inputs.numbers as number[]).reduce((sum, n) => sum + n, 0),
  /** Adds to the state. */
  add: async (payload: number, ctx: JobContext<number | undefined>) => {
    ctx.state = (ctx.state ?? 0) + payload
    return ctx.state
  },
  /** Ends when it has to. */
  hang: (_payload: unknown, ctx: JobContext) => new Promise((resolve) => ctx.signal.addEventListener('abort', resolve)),
}

/** Starts a worker for a namespace. */
export async function startWorker(options: { endpoint: string; key: string; namespace: string }): Promise<AsyncDisposable> {
  const { endpoint, key: apiKey, namespace } = options
  const silent = () => undefined
  const logger = { debug: silent, info: silent, warn: silent, error: silent }
  const mr = new Millrace({ endpoint, apiKey, namespace, logger })
  const worker: Worker = mr.worker({ tasks: functions, concurrency: 20 })
  await worker.start()
  return {
    async [Symbol.asyncDispose]() {
      await worker.stop({ drain: 0 })
      await mr.close()
    },
  }
}
