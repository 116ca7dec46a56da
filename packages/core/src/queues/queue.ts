import type { ClientContext } from '../context.ts'
import { toMs } from '../durations.ts'
import { invalid } from '../errors/errors.ts'
import { errorFromItem } from '../errors/to-error.ts'
import { createRequestId } from '../ids.ts'
import type { QueueRetryPolicy, RetryPolicy } from '../job-types.ts'
import type { CallOptions } from '../options.ts'
import { itemOverhead, toInt, toRetryPolicy, toText } from '../wire.ts'
import { createEnqueuer } from './coalescers.ts'
import { fromJobInfo, fromQueue, toNewJob } from './convert.ts'
import { DeadLetters } from './dead-letters.ts'
import { Deliveries } from './deliveries.ts'
import { ReceivedJob } from './received-job.ts'
import type {
  DeliveriesOptions,
  EnqueueOptions,
  EnqueueResult,
  JobInfo,
  NewJob,
  QueueInfo,
  QueueStats,
  ReceiveOptions,
  UpdateQueueOptions,
} from './types.ts'

const noOptions: EnqueueOptions = {}

/**
 * A durable queue. It exists from its first use on. Higher priority first, then oldest first.
 *
 * @typeParam T - what its payloads are.
 */
export class Queue<T = unknown> {
  readonly #context: ClientContext
  /** Its name. */
  readonly name: string
  /** Its failed jobs. */
  readonly deadLetters: DeadLetters<T>

  /** @internal Use `mr.queue(name)`. */
  constructor(context: ClientContext, name: string) {
    this.#context = context
    this.name = toText('name', name)
    this.deadLetters = new DeadLetters<T>(context, name)
  }

  /**
   * Enqueues a job. Calls made at the same time travel together. A repeat after a broken connection never makes two jobs.
   * When the queue is full, it waits for room until the call's time is over.
   *
   * @throws ValidationError, ConflictError, QuotaExceededError, and what any call may throw.
   */
  async enqueue(payload: T, options: EnqueueOptions = noOptions, call?: CallOptions): Promise<EnqueueResult> {
    const { timeoutMs, signal } = this.#context.bounds(call)
    const job = toNewJob(payload, options)
    return this.#context.shared(createEnqueuer).add(this.name, job, job.payload.length + itemOverhead, timeoutMs, signal)
  }

  /**
   * Enqueues jobs in one transaction: all or none.
   *
   * @param jobs - at most 10,000.
   * @returns what became of each, in order.
   * @throws as `enqueue`.
   */
  async enqueueBatch(jobs: readonly NewJob<T>[], call?: CallOptions): Promise<EnqueueResult[]> {
    if (!Array.isArray(jobs)) throw invalid('jobs', 'is not an array.')
    if (jobs.length === 0) return []
    const request = {
      queue: this.name,
      jobs: jobs.map((job: NewJob<T>) => toNewJob(job.payload, job)),
      requestId: createRequestId(this.#context.clock.now()),
      allowPartial: false,
    }
    const bounds = this.#context.bounds(call)
    const { results } = await this.#context.caller.unary('QueueService/EnqueueJobs', request, { ...bounds, safe: true, waitForRoom: true })
    return results.map(({ jobId, seq, created, error }) => {
      if (error) throw errorFromItem(error)
      return { jobId, seq, created }
    })
  }

  /** Takes jobs under a lease; with `wait`, waits for the first one. */
  async receive(options: ReceiveOptions = {}): Promise<ReceivedJob<T>[]> {
    const { timeoutMs, signal } = this.#context.bounds(options)
    const waitMs = toMs('wait', options.wait)
    const request = {
      queue: this.name,
      maxJobs: toInt('max', options.max ?? 1),
      leaseMs: toMs('lease', options.lease),
      waitMs,
      workerId: toText('workerId', options.workerId),
    }
    // The wait comes on top of the time that the call itself may take.
    const call = { timeoutMs: timeoutMs + waitMs, signal, safe: false }
    const { jobs } = await this.#context.caller.unary('QueueService/ReceiveJobs', request, call)
    return jobs.map((job) => new ReceivedJob<T>(this.#context, job))
  }

  /** Takes one job under a lease; undefined when there is none. */
  async reserve(options: Omit<ReceiveOptions, 'max'> = {}): Promise<ReceivedJob<T> | undefined> {
    const [job] = await this.receive({ ...options, max: 1 })
    return job
  }

  /** Jobs under leases as they become ready, pushed by the server: at most `concurrency` unsettled ones at a time. */
  deliveries(options: DeliveriesOptions = {}): AsyncIterableIterator<ReceivedJob<T>, undefined> {
    const request = {
      queue: this.name,
      leaseMs: toMs('lease', options.lease),
      maxInFlight: toInt('concurrency', options.concurrency ?? 1),
      workerId: toText('workerId', options.workerId),
    }
    return new Deliveries<T>(this.#context, request, options.signal)
  }

  /** Reads one job. @throws JobNotFoundError */
  async get(jobId: string, call?: CallOptions): Promise<JobInfo<T>> {
    const request = { queue: this.name, jobId: toText('jobId', jobId) }
    return fromJobInfo<T>((await this.#context.safe('QueueService/GetJob', request, call)).job)
  }

  /** Cancels a job; a running handler's signal fires. @throws ConflictError when it has ended, JobNotFoundError. */
  async cancel(jobId: string, options: CallOptions & { readonly reason?: string } = {}): Promise<JobInfo<T>> {
    const request = { queue: this.name, jobId: toText('jobId', jobId), reason: toText('reason', options.reason) }
    return fromJobInfo<T>((await this.#context.unsafe('QueueService/CancelJob', request, options)).job)
  }

  /** Counts its jobs. */
  async stats(call?: CallOptions): Promise<QueueStats> {
    const { queue: _name, ...stats } = await this.#context.safe('QueueService/GetQueueStats', { queue: this.name }, call)
    return stats
  }

  /** Reads its settings. */
  async info(call?: CallOptions): Promise<QueueInfo> {
    return fromQueue((await this.#context.safe('QueueService/GetQueue', { queue: this.name }, call)).queue)
  }

  /** Changes its settings. */
  async update(options: UpdateQueueOptions): Promise<QueueInfo> {
    const request = {
      queue: this.name,
      retryPolicy: toRetryPolicy('retryPolicy', options.retryPolicy),
      maxDepth: options.maxDepth === undefined ? undefined : toInt('maxDepth', options.maxDepth),
    }
    return fromQueue((await this.#context.unsafe('QueueService/UpdateQueue', request, options)).queue)
  }

  /** Sets how its jobs are tried again; what is left out takes its default. */
  async setRetryPolicy(policy: RetryPolicy, call?: CallOptions): Promise<QueueRetryPolicy> {
    return (await this.update({ ...call, retryPolicy: policy })).retryPolicy
  }

  /** How its jobs are tried again. */
  async getRetryPolicy(call?: CallOptions): Promise<QueueRetryPolicy> {
    return (await this.info(call)).retryPolicy
  }

  /** Stops handing out jobs; jobs in flight go on. */
  async pause(call?: CallOptions): Promise<void> {
    await this.#context.safe('QueueService/PauseQueue', { queue: this.name }, call)
  }

  /** Hands out jobs again. */
  async resume(call?: CallOptions): Promise<void> {
    await this.#context.safe('QueueService/ResumeQueue', { queue: this.name }, call)
  }
}
