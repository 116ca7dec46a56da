// A worker is a process of its own: it finds the server through MILLRACE_ENDPOINT and MILLRACE_API_KEY, and runs what it is sent.
import { Millrace } from '@millrace/client'
import { measure, summarize } from './tasks.ts'

const mr = new Millrace()
const worker = mr.worker({ tasks: { measure, summarize }, concurrency: 16 })
worker.on('error', (error) => console.error(error))
await worker.start()
