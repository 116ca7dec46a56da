// A worker process of the crash test of pipelines and schedules. See `ProcessSettings` for its argument.
import { setTimeout as sleep } from 'node:timers/promises'
import { type JobContext, Millrace, NonRetryableError } from '@millrace/client'
import { openJournal } from './journal.ts'
import { obeyParent, type ProcessSettings, readSettings, stubborn } from './settings.ts'

const { endpoint, key, namespace, name, folder, leaseMs } = readSettings<ProcessSettings>()
const journal = openJournal(folder, name)
const mr = new Millrace({ endpoint, apiKey: key, namespace, ...stubborn })

/** Journals what an attempt does before it does it, and takes a moment in which somebody may be killed. */
function step<P, R>(work: (payload: P, ctx: JobContext) => R) {
  return async (payload: P, ctx: JobContext): Promise<R> => {
    journal.write({ type: 'effect', n: ctx.id, id: ctx.id, attempt: ctx.attempt, token: '', worker: name })
    await sleep(20)
    return work(payload, ctx)
  }
}

const worker = mr.worker({
  concurrency: 16,
  lease: leaseMs,
  tasks: {
    list: step((n: number) => Array.from({ length: n }, (_, i) => i)),
    double: step((n: number) => n * 2),
    sum: step((_: unknown, ctx) => (ctx.inputs.doubled as number[]).reduce((a, b) => a + b, ctx.inputs.flaky as number)),
    flaky: step((n: number, ctx) => {
      if (ctx.attempt === 1) throw new Error('the first attempt fails')
      return n
    }),
    fail: step(() => {
      throw new NonRetryableError('it always fails')
    }),
    tick: step(() => 'tick'),
  },
})
worker.on('completed', ({ id, attempt }) =>
  journal.write({ type: 'acknowledged', action: 'complete', id, attempt, token: '', worker: name }),
)
// Refused settlements and broken connections come this way; the test sees their consequences.
worker.on('error', () => {})
await worker.start()
obeyParent(async () => {
  await worker.stop({ drain: '20s' })
  await mr.close()
}, journal)
process.send?.('ready')
