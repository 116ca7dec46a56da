import type * as wire from '@millrace/protocol'
import { Outage } from '../calls/outage.ts'
import { sleep } from '../calls/sleep.ts'
import type { ClientContext } from '../context.ts'
import { AbortError, unavailable } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import { itemOverhead } from '../wire.ts'
import { createSettler } from './coalescers.ts'
import { ReceivedJob } from './received-job.ts'

/**
 * How long to read on for jobs that are on their way when the iteration is left, in milliseconds. No more than the request
 * allows can be: when all have come, there is nothing to wait for.
 */
const lastJobsMs = 400
/** How long the end of the stream has to reach the server, in milliseconds. */
const hearsOfEndMs = 50
/** How long to wait before for answers to settlements, in milliseconds. */
const lastAnswersMs = 2000

/**
 * Jobs as they become ready, over one `StreamJobs` call that is opened again after a break. What is delivered and not
 * settled is bounded by the request, so nothing here needs a bound of its own.
 */
export class Deliveries<T> implements AsyncIterableIterator<ReceivedJob<T>, undefined> {
  readonly #context: ClientContext
  readonly #request: wire.StreamJobsRequest
  readonly #signal: AbortSignal | undefined
  /** The iteration is over. */
  readonly #stop = new AbortController()
  /** So is the stream. */
  readonly #end = new AbortController()
  readonly #outage: Outage
  #messages: AsyncIterator<wire.StreamJobsResponse> | undefined
  #pending: Promise<IteratorResult<wire.StreamJobsResponse>> | undefined
  #wake: (() => void) | undefined
  /** Delivered over this stream, and not settled. */
  #unsettled = new Set<string>()
  #jobs: readonly wire.Job[] = []
  #next = 0
  /** Settlements under way. */
  readonly #unanswered = new Set<Promise<unknown>>()
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
      if (this.#signal?.aborted) throw new AbortError(this.#signal.reason)
      if (this.#stop.signal.aborted) return { value: undefined, done: true }
      try {
        await this.#receive()
      } catch (thrown) {
        this.#messages = undefined
        this.#unsettled.clear()
        if (this.#signal?.aborted) throw new AbortError(this.#signal.reason)
        if (!this.#stop.signal.aborted) await this.#waitAfter(thrown)
      }
    }
    const job = this.#jobs[this.#next++]!
    return { value: new ReceivedJob<T>(this.#context, job, (answer) => this.#settling(job, answer)), done: false }
  }

  async return(): Promise<IteratorResult<ReceivedJob<T>, undefined>> {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    await this.#leave()
    return { value: undefined, done: true }
  }

  readonly #onAbort = (): void => {
    void this.#leave()
  }

  /** Ends the stream, when the jobs that were on their way have come, and gives back those that nobody asked for. */
  async #leave(): Promise<void> {
    if (this.#stop.signal.aborted) return
    this.#stop.abort()
    this.#wake?.()
    const { clock } = this.#context
    const late = this.#jobs.slice(this.#next)
    this.#jobs = []
    this.#next = 0
    // The answers first: each makes room for a job.
    await Promise.race([Promise.allSettled(this.#unanswered), sleep(clock, lastAnswersMs, this.#end.signal).catch(() => undefined)])
    const timeUp = sleep(clock, lastJobsMs, this.#end.signal).catch(() => undefined)
    // They are given back at the end: the server would send others in their places.
    while (this.#messages && this.#unsettled.size < (this.#request.maxInFlight || 1)) {
      const message = await Promise.race([this.#pull(this.#messages), timeUp]).catch(() => undefined)
      if (!message || message.done) break
      for (const job of message.value.jobs) this.#unsettled.add(job.leaseToken)
      late.push(...message.value.jobs)
    }
    this.#end.abort()
    if (late.length === 0) return
    // The server hears of the end first: it would send others in the places of those that come back.
    await sleep(clock, hearsOfEndMs)
    this.#giveBack(late)
  }

  async #receive(): Promise<void> {
    const { transport, options } = this.#context
    if (!this.#messages) {
      this.#version = options.credentials.version
      const stream = transport.serverStream('QueueService/StreamJobs', this.#request, { signal: this.#end.signal })
      this.#messages = stream[Symbol.asyncIterator]()
    }
    const message = await this.#awaitMessage(this.#messages)
    if (!message) return
    if (message.done) throw unavailable('The server ended the stream of jobs.')
    this.#outage.over()
    this.#jobs = message.value.jobs
    this.#next = 0
    for (const job of this.#jobs) this.#unsettled.add(job.leaseToken)
  }

  #settling(job: wire.Job, answer: Promise<unknown>): void {
    this.#unsettled.delete(job.leaseToken)
    this.#unanswered.add(answer)
    const answered = (): void => void this.#unanswered.delete(answer)
    answer.then(answered, answered)
  }

  /** The next message; undefined when the iteration is left first. */
  #awaitMessage(messages: AsyncIterator<wire.StreamJobsResponse>): Promise<IteratorResult<wire.StreamJobsResponse> | undefined> {
    return new Promise((resolve, reject) => {
      this.#wake = () => resolve(undefined)
      this.#pull(messages).then(resolve, reject)
    })
  }

  /** The next message. One that was not waited for to its end is the next one again. */
  #pull(messages: AsyncIterator<wire.StreamJobsResponse>): Promise<IteratorResult<wire.StreamJobsResponse>> {
    this.#pending ??= messages.next().finally(() => {
      this.#pending = undefined
    })
    return this.#pending
  }

  /** Waits before the stream is opened again; throws what will not mend by itself. */
  async #waitAfter(thrown: unknown): Promise<void> {
    const { closed, options } = this.#context
    if (closed) throw closed
    const error = errorFrom(thrown)
    if (!this.#outage.mends(error, this.#version) || this.#outage.lastsMs > options.timeoutMs) throw error
    await this.#context.caller.sleep(this.#outage.next(error, this.#version), this.#stop.signal).catch(() => undefined)
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
