// Measures the text files of a folder: `node src/main.ts [folder] [--keep] [--json]`.
// Starts a server and a worker, submits one durable task a file, shows their progress live, and prints what they found.
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Millrace } from '@millrace/client'
import { nextSteps, table } from './output.ts'
import { startServer, startWorker } from './processes.ts'
import { Progress } from './progress.ts'
import type { MeasureInput, Measurement, Summary } from './tasks.ts'

const { values: options, positionals } = parseArgs({
  options: { keep: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const folder = resolve(positionals[0] ?? join(import.meta.dirname, '../../..'))
const exclude = ['**/node_modules', '**/dist', '**/gen', 'packages/protocol/proto']
const paths = globSync('**/*.{md,proto,ts}', { cwd: folder, exclude })
if (paths.length === 0) throw new Error(`There is no .md, .proto or .ts file in ${folder}.`)

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())

await using data = await mkdtempDisposable(join(tmpdir(), 'millrace-files-'))
await using server = await startServer(data.path)
await using _worker = startWorker(server)
await using mr = new Millrace({ endpoint: server.endpoint, apiKey: server.key })
try {
  const started = performance.now()
  const summary = await run(interrupted.signal)
  const durationMs = performance.now() - started
  console.log(options.json ? JSON.stringify({ ...summary, durationMs }) : table(summary, durationMs))
  if (options.keep) {
    console.error(nextSteps(server, folder, paths[0]!))
    await once(interrupted.signal, 'abort')
  }
} catch (error) {
  if (!interrupted.signal.aborted) throw error
  process.exitCode = 130
}

async function run(signal: AbortSignal): Promise<Summary> {
  const progress = new Progress({ title: 'Measuring', total: paths.length })
  const measurements = await Promise.all(
    paths.map(async (path) => {
      const measurement = await call<Measurement>('measure', { folder, path } satisfies MeasureInput, signal)
      progress.step()
      return measurement
    }),
  )
  return call('summarize', measurements, signal)
}

/** Submits a task and waits for its result. */
async function call<T>(name: string, payload: unknown, signal: AbortSignal): Promise<T> {
  const task = await mr.tasks.submit({ function: name, payload }, { signal })
  const { status, result, error } = await task.wait({ signal })
  if (status !== 'completed') throw new Error(`${name} ${JSON.stringify(payload)}: ${status}: ${error?.message}`)
  return result as T
}
