import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { type Clock, invalid, systemClock, toInt, toMs, toText } from '@millrace/core/adapter'
import { Batches } from './batches.ts'
import type { HeldJob } from './held-job.ts'
import type {
  BatchJob,
  BatchWorkerOptions,
  JobContext,
  QueueWorkerOptions,
  TaskWorkerOptions,
  WorkerBaseOptions,
  WorkerJob,
} from './types.ts'

/** A worker's options after defaults, checked, durations in milliseconds. */
export interface CompiledWorkerOptions {
  readonly queue: string
  /** Empty for plain queue jobs. */
  readonly functions: readonly string[]
  readonly concurrency: number
  readonly leaseMs: number
  readonly workerId: string
  readonly signals: boolean
  readonly attestation: WorkerBaseOptions['attestation']
  /** Runs the handler of a job. May throw. */
  handle(job: HeldJob): unknown
}

/** Fills in defaults and checks. @throws ValidationError naming the option that is wrong. */
export function compileWorkerOptions<T extends object, P>(
  options: TaskWorkerOptions<T> | QueueWorkerOptions<P> | BatchWorkerOptions<P>,
  clock: Clock = systemClock,
): CompiledWorkerOptions {
  const batched = 'batch' in options && options.batch !== undefined
  const size = batched ? toInt('batch.size', options.batch.size) : 1
  if (size < 1 || size > 1000) throw invalid('batch.size', `${size} is not a whole number from 1 to 1000.`)
  const concurrency = toInt('concurrency', options.concurrency ?? (batched ? 1 : 10)) * size
  if (concurrency < 1 || concurrency > 5000) throw invalid('concurrency', `${concurrency} jobs at a time are not 1 to 5000.`)
  const leaseMs = toMs('lease', options.lease ?? '30s')
  if (leaseMs < 1000 || leaseMs > 43_200_000) throw invalid('lease', `${options.lease} is not between 1 second and 12 hours.`)
  const common = {
    concurrency,
    leaseMs,
    workerId: options.workerId ?? `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`,
    signals: options.signals ?? true,
    attestation: options.attestation,
  }
  if ('tasks' in options) return { ...common, ...forTasks(options) }
  if (batched) return { ...common, ...forBatches(options, size, clock) }
  return { ...common, ...forQueue(options as QueueWorkerOptions<P>) }
}

function forTasks<T extends object>(options: TaskWorkerOptions<T>): Pick<CompiledWorkerOptions, 'queue' | 'functions' | 'handle'> {
  if ('handler' in options) throw invalid('handler', "is given together with 'tasks'. Give one of them.")
  const handlers = new Map(Object.entries(options.tasks as Record<string, (payload: unknown, ctx: JobContext) => unknown>))
  if (handlers.size === 0) throw invalid('tasks', 'has no functions.')
  for (const [name, handler] of handlers) if (typeof handler !== 'function') throw invalid(`tasks.${name}`, 'is not a function.')
  return {
    queue: toText('queue', options.queue),
    functions: [...handlers.keys()],
    handle(job) {
      const handler = handlers.get(job.wire.function)
      if (!handler) throw new Error(`This worker has no function '${job.wire.function}'.`)
      if (job.needsInputs) return job.fetchInputs().then(() => handler(job.payload(), job.context))
      return handler(job.payload(), job.context)
    },
  }
}

function forQueue<P>(options: QueueWorkerOptions<P>): Pick<CompiledWorkerOptions, 'queue' | 'functions' | 'handle'> {
  const { queue, handler } = options
  if (typeof handler !== 'function') throw invalid('handler', "is not a function. Give 'tasks', or 'queue' and 'handler'.")
  if (!queue) throw invalid('queue', "is missing. Give 'tasks', or 'queue' and 'handler'.")
  return {
    queue: toText('queue', queue),
    functions: [],
    handle: (job) => handler(toWorkerJob<P>(job), job.context),
  }
}

function forBatches<P>(
  options: BatchWorkerOptions<P>,
  size: number,
  clock: Clock,
): Pick<CompiledWorkerOptions, 'queue' | 'functions' | 'handle'> {
  const { queue, handler, batch } = options
  if (typeof handler !== 'function') throw invalid('handler', 'is not a function.')
  if (!queue) throw invalid('queue', 'is missing: batches are of the jobs of a queue.')
  const waitMs = toMs('batch.wait', batch.wait ?? 50)
  const batches = new Batches<BatchJob<P>>({ clock, size, waitMs, handle: handler })
  return {
    queue: toText('queue', queue),
    functions: [],
    // Read before it joins the others: a payload that cannot be read is its own job's failure.
    handle: (job) => batches.add({ ...toWorkerJob<P>(job), ctx: job.context }),
  }
}

function toWorkerJob<P>(job: HeldJob): WorkerJob<P> {
  const { jobId, queue, headers, priority, attempt, maxAttempts, createdAt } = job.wire
  const payload = job.payload() as P
  return { id: jobId, queue, payload, headers, priority, attempt, maxAttempts, createdAt: createdAt ?? new Date(0) }
}
