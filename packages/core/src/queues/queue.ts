import { type ClientContext, compileCall } from '../context.ts'
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
    const { timeoutMs, signal } = compileCall(this.#context.options, call)
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
    const bounds = compileCall(this.#context.options, call)
    const { results } = await this.#context.caller.unary('QueueService/EnqueueJobs', request, { ...bounds, safe: true, waitForRoom: true })
    return results.map(({ jobId, seq, created, error }) => {
      if (error) throw errorFromItem(error)
      return { jobId, seq, created }
    })
  }

  /** Takes jobs under a lease; with `wait`, waits for the first one. */
  async receive(options: ReceiveOptions = {}): Promise<ReceivedJob<T>[]> {
    const { timeoutMs, signal } = compileCall(this.#context.options, options)
    const waitMs = options.wait === undefined ? 0 : toMs('wait', options.wait)
    const request = {
      queue: this.name,
      maxJobs: toInt('max', options.max ?? 1),
      leaseMs: options.lease === undefined ? 0 : toMs('lease', options.lease),
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
      leaseMs: options.lease === undefined ? 0 : toMs('lease', options.lease),
      maxInFlight: toInt('concurrency', options.concurrency ?? 1),
      workerId: toText('workerId', options.workerId),
    }
    return new Deliveries<T>(this.#context, request, options.signal)
  }

  /** Reads one job. @throws JobNotFoundError */
  async get(jobId: string, call?: CallOptions): Promise<JobInfo<T>> {
    const request = { queue: this.name, jobId: toText('jobId', jobId) }
    return fromJobInfo<T>((await this.#context.caller.unary('QueueService/GetJob', request, this.#read(call))).job)
  }

  /** Cancels a job; a running handler's signal fires. @throws ConflictError when it has ended, JobNotFoundError. */
  async cancel(jobId: string, options: CallOptions & { readonly reason?: string } = {}): Promise<JobInfo<T>> {
    const request = { queue: this.name, jobId: toText('jobId', jobId), reason: toText('reason', options.reason) }
    return fromJobInfo<T>((await this.#context.caller.unary('QueueService/CancelJob', request, this.#write(options))).job)
  }

  /** Counts its jobs. */
  async stats(call?: CallOptions): Promise<QueueStats> {
    const { queue: _name, ...stats } = await this.#context.caller.unary(
      'QueueService/GetQueueStats',
      { queue: this.name },
      this.#read(call),
    )
    return stats
  }

  /** Reads its settings. */
  async info(call?: CallOptions): Promise<QueueInfo> {
    return fromQueue((await this.#context.caller.unary('QueueService/GetQueue', { queue: this.name }, this.#read(call))).queue)
  }

  /** Changes its settings. */
  async update(options: UpdateQueueOptions): Promise<QueueInfo> {
    const request = {
      queue: this.name,
      retryPolicy: options.retryPolicy && toRetryPolicy('retryPolicy', options.retryPolicy),
      maxDepth: options.maxDepth === undefined ? undefined : toInt('maxDepth', options.maxDepth),
    }
    return fromQueue((await this.#context.caller.unary('QueueService/UpdateQueue', request, this.#write(options))).queue)
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
    await this.#context.caller.unary('QueueService/PauseQueue', { queue: this.name }, this.#read(call))
  }

  /** Hands out jobs again. */
  async resume(call?: CallOptions): Promise<void> {
    await this.#context.caller.unary('QueueService/ResumeQueue', { queue: this.name }, this.#read(call))
  }

  #read(call: CallOptions | undefined) {
    return { ...compileCall(this.#context.options, call), safe: true }
  }

  #write(call: CallOptions | undefined) {
    return { ...compileCall(this.#context.options, call), safe: false }
  }
}
