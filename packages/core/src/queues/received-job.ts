import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { type Duration, toMs } from '../durations.ts'
import type { CallOptions } from '../options.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import type { SchemaVersion } from '../schemas.ts'
import { itemOverhead, toJobError } from '../wire.ts'
import { createSettler } from './coalescers.ts'
import type { FailOptions } from './types.ts'

/** A job under a lease: this caller's until `leaseExpiresAt`. Settle it with `complete` or `fail`; `renew` in time when the work takes longer. */
export class ReceivedJob<T = unknown> {
  readonly #context: ClientContext
  readonly #job: wire.Job
  readonly #onSettling: (answer: Promise<unknown>) => void
  #leaseExpiresAt: Date

  /** @internal Jobs come from `receive`, `reserve` and `deliveries`. `onSettling` is told when the job's end is on its way. */
  constructor(context: ClientContext, job: wire.Job, onSettling: (answer: Promise<unknown>) => void = () => undefined) {
    this.#onSettling = onSettling
    this.#context = context
    this.#job = job
    this.#leaseExpiresAt = job.leaseExpiresAt ?? new Date(0)
  }

  /** `job_…`. */
  get id(): string {
    return this.#job.jobId
  }

  /** The queue it came from. */
  get queue(): string {
    return this.#job.queue
  }

  /** What was enqueued. @throws ValidationError when a foreign client enqueued something that says it is JSON and is not. */
  get payload(): T {
    return decodePayload('payload', this.#job.payload, this.#job.contentType) as T
  }

  /** Headers given at submission. */
  get headers(): Readonly<Record<string, string>> {
    return this.#job.headers
  }

  /** The schema that the payload was checked against; undefined when the queue had none. */
  get schema(): SchemaVersion | undefined {
    return this.#job.schema
  }

  /** -100 to 100. */
  get priority(): number {
    return this.#job.priority
  }

  /** The number of this attempt, from 1. */
  get attempt(): number {
    return this.#job.attempt
  }

  /** Attempts the job has in all. */
  get maxAttempts(): number {
    return this.#job.maxAttempts
  }

  /** When it was enqueued. */
  get createdAt(): Date {
    return this.#job.createdAt ?? new Date(0)
  }

  /** Names this delivery; a later delivery has another, and then this one can change nothing. */
  get leaseToken(): string {
    return this.#job.leaseToken
  }

  /** When the lease ends unless it is renewed. */
  get leaseExpiresAt(): Date {
    return this.#leaseExpiresAt
  }

  /**
   * Ends the job well.
   *
   * @param result - any JSON value or a `Uint8Array`.
   * @throws ConflictError when the lease is not current.
   */
  async complete(result?: unknown, call?: CallOptions): Promise<void> {
    const { payload, contentType } = encodePayload('result', result)
    await this.#end(
      { $case: 'complete', value: { result: payload, contentType, state: undefined, deleteState: false, proof: undefined } },
      payload.length,
      call,
    )
  }

  /**
   * Ends the attempt badly. The job runs again while attempts are left.
   *
   * @param error - what went wrong: an `Error` or text.
   * @throws ConflictError when the lease is not current.
   */
  async fail(error: unknown, options: FailOptions = {}): Promise<void> {
    const delayMs = options.delay === undefined ? undefined : toMs('delay', options.delay)
    const value = { error: toJobError(error), noRetry: options.retry === false, delayMs }
    await this.#end({ $case: 'fail', value }, value.error.message.length + value.error.stack.length, options)
  }

  /**
   * Moves the end of the lease.
   *
   * @param lease - its length from now. Default: the length it was taken with.
   * @throws ConflictError when the lease is not current.
   */
  async renew(lease?: Duration, call?: CallOptions): Promise<Date> {
    const leaseMs = toMs('lease', lease)
    const leaseExpiresAt = await this.#settle({ $case: 'renew', value: { leaseMs } }, 0, call)
    if (leaseExpiresAt) this.#leaseExpiresAt = leaseExpiresAt
    return this.#leaseExpiresAt
  }

  #end(action: wire.Settlement['action'], bytes: number, call: CallOptions | undefined): Promise<unknown> {
    const answer = this.#settle(action, bytes, call)
    this.#onSettling(answer)
    return answer
  }

  #settle(action: wire.Settlement['action'], bytes: number, call: CallOptions | undefined): Promise<Date | undefined> {
    const { timeoutMs, signal } = this.#context.bounds(call)
    const settlement = { jobId: this.#job.jobId, leaseToken: this.#job.leaseToken, action }
    return this.#context.shared(createSettler).add('', settlement, bytes + itemOverhead, timeoutMs, signal)
  }
}
