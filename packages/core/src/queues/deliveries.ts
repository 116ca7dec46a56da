import type * as wire from '@millrace/protocol'
import { backoffDelay, reconnectBackoff } from '../calls/backoff.ts'
import { sleep } from '../calls/sleep.ts'
import type { ClientContext } from '../context.ts'
import { AbortError } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
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
  #messages: AsyncIterator<wire.StreamJobsResponse> | undefined
  #jobs: readonly wire.Job[] = []
  #next = 0
  #failures = 0
  #brokenSince: number | undefined

  constructor(context: ClientContext, request: wire.StreamJobsRequest, signal: AbortSignal | undefined) {
    this.#context = context
    this.#request = request
    this.#signal = signal
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
    this.#jobs = []
    this.#next = 0
    return { value: undefined, done: true }
  }

  readonly #onAbort = (): void => this.#stop.abort()

  async #receive(): Promise<void> {
    this.#messages ??= this.#context.transport
      .serverStream('QueueService/StreamJobs', this.#request, { signal: this.#stop.signal })
      [Symbol.asyncIterator]()
    const message = await this.#messages.next()
    this.#failures = 0
    this.#brokenSince = undefined
    if (message.done) this.#messages = undefined
    this.#jobs = message.done ? [] : message.value.jobs
    this.#next = 0
    if (message.done) await sleep(this.#context.clock, reconnectBackoff.initialMs, this.#stop.signal)
  }

  /** Waits before the stream is opened again; throws what will not mend by itself. */
  async #waitAfter(thrown: unknown): Promise<void> {
    const { clock, options } = this.#context
    const error = errorFrom(thrown)
    this.#brokenSince ??= clock.now()
    if (error.statusCode < 500 || clock.now() - this.#brokenSince > options.timeoutMs) throw error
    await sleep(clock, backoffDelay(reconnectBackoff, ++this.#failures), this.#stop.signal).catch(() => undefined)
  }
}
