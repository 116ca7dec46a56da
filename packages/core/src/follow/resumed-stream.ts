import { Outage } from '../calls/outage.ts'
import type { ClientContext } from '../context.ts'
import { AbortError, unavailable } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import type { RequestOf, ResponseOf, ServerStreamMethod } from '../transport.ts'

/** What is read, and how. */
export interface ResumedStreamOptions<P extends ServerStreamMethod, T> {
  readonly method: P
  /** The request that goes on where the items taken so far end. */
  request(): RequestOf<P>
  /** The items of a message. */
  take(message: ResponseOf<P>): readonly T[]
  /** Ends the iteration with an `AbortError`. */
  readonly signal: AbortSignal | undefined
}

/**
 * Items of a server's stream, which is opened again where it was after a break. A message is asked for when the items of the
 * last one are taken, so a slow reader holds one message, and what the transport lets the server send ahead.
 */
export class ResumedStream<P extends ServerStreamMethod, T> implements AsyncIterableIterator<T, undefined> {
  readonly #context: ClientContext
  readonly #options: ResumedStreamOptions<P, T>
  readonly #stop = new AbortController()
  readonly #outage: Outage
  #messages: AsyncIterator<ResponseOf<P>> | undefined
  #items: readonly T[] = []
  #next = 0
  /** Of the credentials the stream was opened with. */
  #version = 0

  constructor(context: ClientContext, options: ResumedStreamOptions<P, T>) {
    this.#context = context
    this.#options = options
    this.#outage = new Outage(context.clock, context.options.credentials)
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    const { signal } = this.#options
    if (signal?.aborted) throw new AbortError(signal.reason)
    while (this.#next >= this.#items.length) {
      if (this.#stop.signal.aborted) {
        if (signal?.aborted) throw new AbortError(signal.reason)
        return { value: undefined, done: true }
      }
      try {
        await this.#receive()
      } catch (thrown) {
        this.#messages = undefined
        if (signal?.aborted) throw new AbortError(signal.reason)
        if (!this.#stop.signal.aborted) await this.#waitAfter(thrown)
      }
    }
    return { value: this.#items[this.#next++]!, done: false }
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#stop.abort()
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#items = []
    this.#next = 0
    return { value: undefined, done: true }
  }

  readonly #onAbort = (): void => this.#stop.abort()

  async #receive(): Promise<void> {
    const { method, request, take } = this.#options
    const { transport, options } = this.#context
    if (!this.#messages) {
      this.#version = options.credentials.version
      this.#messages = transport.serverStream(method, request(), { signal: this.#stop.signal })[Symbol.asyncIterator]()
    }
    const message = await this.#messages.next()
    if (message.done) throw unavailable(`The server ended the stream of ${method}.`)
    this.#outage.over()
    this.#items = take(message.value)
    this.#next = 0
  }

  /** Waits before the stream is opened again; throws what will not mend by itself. */
  async #waitAfter(thrown: unknown): Promise<void> {
    const { closed, options } = this.#context
    if (closed) throw closed
    const error = errorFrom(thrown)
    if (!this.#outage.mends(error, this.#version) || this.#outage.lastsMs > options.timeoutMs) throw error
    await this.#context.caller.sleep(this.#outage.next(error, this.#version), this.#stop.signal).catch(() => undefined)
  }
}
