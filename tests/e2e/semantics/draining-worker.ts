// A worker process as a user would write it. Started by shutdown.test.ts.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Duration, Millrace } from '@millrace/client'

const { workMs, drain } = JSON.parse(process.argv[2] ?? '{}') as { workMs: number; drain?: Duration }
const mr = new Millrace()
const worker = mr.worker<number>({
  queue: 'drain',
  concurrency: 2,
  signals: drain === undefined, // as it comes, a worker drains by itself
  handler: async (job, ctx) => {
    console.log(`started ${job.payload}`)
    ctx.signal.addEventListener('abort', () => console.log('aborted'))
    await sleep(workMs, undefined, { signal: ctx.signal })
  },
})
if (drain !== undefined) {
  process.once('SIGTERM', async () => {
    await worker.stop({ drain })
    await mr.close()
  })
}
worker.on('connected', () => console.log('connected'))
await worker.start()
