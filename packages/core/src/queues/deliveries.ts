import type * as wire from '@millrace/protocol'
import { Outage } from '../calls/outage.ts'
import { sleep } from '../calls/sleep.ts'
import type { ClientContext } from '../context.ts'
import { AbortError, UnavailableError } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import { itemOverhead } from '../wire.ts'
import { createSettler } from './coalescers.ts'
import { ReceivedJob } from './received-job.ts'

/**
 * Jobs as they become ready, over one `StreamJobs` call that is opened again after a break. What is delivered and not
 * settled is bounded by the request, so nothing here needs a bound of its own.
 */
export class Deliveries<T> implements AsyncIterableIterator<ReceivedJob<T>, undefined> {
  readonly #context: ClientContext
  readonly #request: wire.StreamJobsRequest
  readonly #signal: AbortSignal | undefined
  readonly #stop = new AbortController()
  readonly #outage: Outage
  #messages: AsyncIterator<wire.StreamJobsResponse> | undefined
  #jobs: readonly wire.Job[] = []
  #next = 0
  #version = 0

  constructor(context: ClientContext, request: wire.StreamJobsRequest, signal: AbortSignal | undefined) {
    this.#context = context
    this.#request = request
    this.#signal = signal
    this.#outage = new Outage(context.clock, context.options.credentials)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<ReceivedJob<T>, undefined>> {
    if (this.#signal?.aborted) throw new AbortError(this.#signal.reason)
    while (this.#next >= this.#jobs.length) {
      if (this.#stop.signal.aborted) return { value: undefined, done: true }
      try {
        await this.#receive()
      } catch (thrown) {
        this.#messages = undefined
        if (this.#signal?.aborted) throw new AbortError(this.#signal.reason)
        if (!this.#stop.signal.aborted) await this.#waitAfter(thrown)
      }
    }
    return { value: new ReceivedJob<T>(this.#context, this.#jobs[this.#next++]!), done: false }
  }

  async return(): Promise<IteratorResult<ReceivedJob<T>, undefined>> {
    this.#stop.abort()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#giveBack(this.#jobs.slice(this.#next))
    this.#jobs = []
    this.#next = 0
    return { value: undefined, done: true }
  }

  readonly #onAbort = (): void => this.#stop.abort()

  async #receive(): Promise<void> {
    const { transport, options } = this.#context
    if (!this.#messages) {
      this.#version = options.credentials.version
      const stream = transport.serverStream('QueueService/StreamJobs', this.#request, { signal: this.#stop.signal })
      this.#messages = stream[Symbol.asyncIterator]()
    }
    const message = await this.#messages.next()
    if (message.done) throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'The server ended the stream of jobs.' })
    this.#outage.over()
    this.#jobs = message.value.jobs
    this.#next = 0
  }

  /** Waits before the stream is opened again; throws what will not mend by itself. */
  async #waitAfter(thrown: unknown): Promise<void> {
    const { clock, closed, options } = this.#context
    if (closed) throw closed
    const error = errorFrom(thrown)
    if (!this.#outage.mends(error, this.#version) || this.#outage.lastsMs > options.timeoutMs) throw error
    await sleep(clock, this.#outage.next(error, this.#version), this.#stop.signal).catch(() => undefined)
  }

  /** Jobs that came and that nobody asked for: others can have them at once. */
  #giveBack(jobs: readonly wire.Job[]): void {
    const { logger, timeoutMs } = this.#context.options
    for (const { jobId, leaseToken } of jobs) {
      const settlement: wire.Settlement = { jobId, leaseToken, action: { $case: 'release', value: {} } }
      this.#context
        .shared(createSettler)
        .add('', settlement, itemOverhead, timeoutMs, undefined)
        .catch((error: Error) => {
          logger.debug(`Job ${jobId} could not be given back; it runs again when its lease ends`, { error: error.message })
        })
    }
  }
}
