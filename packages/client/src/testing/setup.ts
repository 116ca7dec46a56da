import type { MillraceOptions } from '@millrace/core'
import { onTestFinished } from 'vitest'
import { GrpcTransport } from '../grpc/grpc-transport.ts'
import { compileGrpcOptions } from '../options.ts'
import type { QueueWorkerOptions, TaskWorkerOptions } from '../worker/types.ts'
import { Worker } from '../worker/worker.ts'
import { compileWorkerOptions } from '../worker/worker-options.ts'
import { JobServer } from './job-server.ts'
import { ManualClock } from './manual-clock.ts'

const silent = () => undefined

/** Takes log lines and drops them. */
export const silentLogger = { debug: silent, info: silent, warn: silent, error: silent }

/** A worker with a moved clock, and the server whose jobs are the test's. Both go when the test ends. */
export async function setUpWorker<T extends object, P>(
  options: TaskWorkerOptions<T> | QueueWorkerOptions<P>,
  clientOptions: MillraceOptions = {},
) {
  const server = await new JobServer().start()
  const client = compileGrpcOptions({ endpoint: server.endpoint, logger: silentLogger, ...clientOptions }, {})
  const transport = new GrpcTransport(client)
  const clock = new ManualClock()
  let stopped = 0
  const context = {
    transport,
    client,
    clock,
    resultOf: async () => ({ result: new Uint8Array(), contentType: '' }),
    onStopped: () => void stopped++,
  }
  const worker = new Worker(context, compileWorkerOptions({ signals: false, workerId: 'worker-1', ...options }))
  onTestFinished(async () => {
    await transport.close()
    await server.kill()
  })
  return { server, clock, worker, stopped: () => stopped }
}

/** A promise and what settles it. */
export function gate<T = void>() {
  let open!: (value: T) => void
  let fail!: (error: unknown) => void
  const passed = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { passed, open, fail }
}

/** The next event of this name. */
export function event(worker: Worker, name: Parameters<Worker['on']>[0]): Promise<unknown> {
  return new Promise((resolve) => worker.on(name, resolve))
}

/** A started worker for a queue, and its first session. */
export async function started(
  handler: QueueWorkerOptions<{ id: string }>['handler'],
  options: Partial<QueueWorkerOptions<{ id: string }>> = {},
) {
  const setup = await setUpWorker<object, { id: string }>({
    queue: 'emails',
    handler: (job, ctx) => (job.id.startsWith('sync_') ? undefined : handler(job, ctx)),
    ...options,
  })
  await setup.worker.start()
  const session = await setup.server.sessions.next()
  await session.subscriptions.next()
  return { ...setup, session }
}

/** What a settlement under an old lease is refused with. */
export const conflict = {
  reason: 'CONFLICT',
  message: 'The lease is not current.',
  fields: [],
  retryAfterMs: 0,
  quota: undefined,
  resource: '',
  id: '',
}

/** JSON as bytes. */
export function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}
