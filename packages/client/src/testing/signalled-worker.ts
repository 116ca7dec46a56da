// A process with a worker whose handlers end a while after the process is told to stop. Its server is the parent's.
import { Millrace } from '../millrace.ts'

const mr = new Millrace({ endpoint: process.argv[2], logger: { debug() {}, info() {}, warn() {}, error() {} } })
const worker = mr.worker({
  queue: 'emails',
  handler: async (_job, ctx) => {
    if (process.argv[3] === 'for ever') await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
    else await new Promise((resolve) => process.once('SIGTERM', () => setTimeout(resolve, 50)))
    return 'done'
  },
})
await worker.start()
