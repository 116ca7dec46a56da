import type { MillraceError } from '@millrace/core'
import {
  type Clock,
  type CompiledOptions,
  Emitter,
  encodePayload,
  errorFromItem,
  type Transport,
  toJobError,
  toMs,
} from '@millrace/core/adapter'
import type {
  ProcessJobsResponse_Deliveries as Deliveries,
  ProcessJobsResponse_Revoked as Revoked,
  Settlement,
  SettleResult,
  ProcessJobsRequest_Subscribe as Subscribe,
} from '@millrace/protocol'
import { Connection } from './connection.ts'
import { HeldJob, type JobHolder } from './held-job.ts'
import { NonRetryableError, type RevokedReason } from './job-errors.ts'
import { Outbox, type Outgoing } from './outbox.ts'
import { drainOnSignals } from './shutdown-signals.ts'
import type { StopOptions, WorkerEvents } from './types.ts'
import type { CompiledWorkerOptions } from './worker-options.ts'

/** Reasons of revocations, in the order of the protocol's `RevocationReason`. */
const revokedReasons: readonly RevokedReason[] = ['lease_lost', 'cancelled', 'timeout', 'lease_lost']
/** About how many bytes a settlement takes beside its result. */
const settlementOverhead = 96
/** Larger results would break the connection. */
const maxResultBytes = 16 << 20
/** How long a stopping worker waits for the server's last answers. */
const lastAnswersMs = 5000

/** Takes jobs, runs their handlers, settles them. Made by `mr.worker`. */
export class Worker {
  readonly #clock: Clock
  readonly #client: CompiledOptions
  readonly #options: CompiledWorkerOptions
  readonly #events = new Emitter<WorkerEvents>()
  readonly #connection: Connection
  readonly #outbox: Outbox
  readonly #holder: JobHolder
  /** Jobs under this worker's lease, by id, until they are settled. */
  readonly #held = new Map<string, HeldJob>()
  /** Held jobs that wait for room. */
  #waiting: HeldJob[] = []
  #running = 0
  #filling = false
  readonly #reporting = new Set<HeldJob>()
  #state: 'new' | 'running' | 'draining' | 'stopped' = 'new'
  #stopTicking: (() => void) | undefined
  #forgetSignals: (() => void) | undefined
  #start: { resolve(): void; reject(error: MillraceError): void } | undefined
  #stopping: Promise<void> | undefined
  #onIdle: (() => void) | undefined
  readonly #drainTimers: (() => void)[] = []
  readonly #onStopped: () => void

  /** @internal Use `mr.worker`. */
  constructor(transport: Transport, client: CompiledOptions, options: CompiledWorkerOptions, clock: Clock, onStopped: () => void) {
    this.#onStopped = onStopped
    this.#client = client
    this.#options = options
    this.#clock = clock
    this.#holder = {
      now: () => clock.now(),
      report: (job) => this.#report(job),
      renew: (job) => this.#renewNow(job),
    }
    this.#outbox = new Outbox({
      send: (sequence, settlements) => this.#connection.send({ $case: 'settle', value: { sequence, settlements } }),
      answered: (outgoing, refusal) => this.#onAnswered(outgoing, refusal),
    })
    this.#connection = new Connection(transport, client, clock, {
      subscription: () => this.#subscription(),
      connected: (workerId) => this.#onConnected(workerId),
      disconnected: (error) => this.#onDisconnected(error),
      refused: (error) => this.#onRefused(error),
      deliveries: (message) => this.#onDeliveries(message),
      settled: ({ sequence, rejected }) => this.#outbox.answer(sequence, rejected),
      revoked: (message) => this.#onRevoked(message),
    })
  }

  /** The worker's name. */
  get workerId(): string {
    return this.#options.workerId
  }

  /** Calls `fn` at each event of this name. */
  on<E extends keyof WorkerEvents>(event: E, fn: (payload: WorkerEvents[E]) => void): this {
    this.#events.on(event, fn)
    return this
  }

  /** Stops calling `fn`. */
  off<E extends keyof WorkerEvents>(event: E, fn: (payload: WorkerEvents[E]) => void): this {
    this.#events.off(event, fn)
    return this
  }

  /**
   * Begins to take jobs. Resolves when the server has accepted the worker; keeps trying while the server cannot be
   * reached.
   *
   * @throws AuthenticationError, PermissionDeniedError, ValidationError.
   */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error('This worker was started before. Make another one.')
    this.#state = 'running'
    if (this.#options.signals) this.#forgetSignals = drainOnSignals((drain) => this.stop(drain))
    this.#tick()
    await new Promise<void>((resolve, reject) => {
      this.#start = { resolve, reject }
      this.#connection.open()
    })
  }

  /**
   * Stops taking jobs, gives back those that were not begun, waits for running handlers and for the server's answers.
   * Called again, it gives up waiting when the shorter time is over.
   */
  stop(options: StopOptions = {}): Promise<void> {
    const drainMs = toMs('drain', options.drain ?? '30s')
    if (this.#state === 'new') this.#state = 'stopped'
    if (this.#state === 'stopped') return this.#stopping ?? Promise.resolve()
    this.#drainTimers.push(this.#clock.timer(drainMs, () => this.#giveUp()))
    this.#stopping ??= this.#drain()
    return this.#stopping
  }

  /** The same as `stop`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #drain(): Promise<void> {
    this.#state = 'draining'
    this.#connection.send({ $case: 'subscribe', value: this.#subscription() })
    for (const job of this.#waiting.splice(0)) this.#settle(job, { $case: 'release', value: {} })
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    let cancel: (() => void) | undefined
    const tooLong = new Promise<void>((resolve) => {
      cancel = this.#clock.timer(lastAnswersMs, resolve)
    })
    this.#start?.resolve()
    await Promise.race([this.#outbox.empty(), tooLong])
    cancel?.()
    if (this.#outbox.size > 0) {
      this.#client.logger.warn('The worker stopped before the server had answered everything; those jobs run again when their leases end', {
        settlements: this.#outbox.size,
      })
    }
    this.#end()
    this.#events.emit('disconnected', {})
  }

  #end(): void {
    this.#state = 'stopped'
    this.#connection.close()
    this.#stopTicking?.()
    for (const cancel of this.#drainTimers) cancel()
    this.#forgetSignals?.()
    this.#onStopped()
  }

  /** The time for draining is over: running handlers are told to stop and their jobs are given back. */
  #giveUp(): void {
    if (this.#state !== 'draining') return
    for (const job of [...this.#held.values()]) {
      this.#settle(job, { $case: 'release', value: {} })
      job.revoke('stopping')
    }
    this.#onIdle?.()
  }

  #subscription(): Subscribe {
    const { queue, functions, workerId, leaseMs, concurrency } = this.#options
    const maxInFlight = this.#state === 'running' ? Math.max(concurrency - this.#held.size, 1) : 0
    return { queue, functions: [...functions], workerId, leaseMs, maxInFlight }
  }

  #onConnected(workerId: string): void {
    this.#start?.resolve()
    this.#start = undefined
    this.#events.emit('connected', { workerId })
    this.#outbox.flush()
  }

  #onDisconnected(error: MillraceError): void {
    this.#outbox.requeue()
    this.#events.emit('disconnected', { error })
  }

  #onRefused(error: MillraceError): void {
    if (!this.#start) {
      this.#emitError(error)
      return
    }
    this.#end()
    this.#start.reject(error)
    this.#start = undefined
  }

  #onDeliveries({ jobs }: Deliveries): void {
    for (const wire of jobs) {
      const job = new HeldJob(wire, this.#options.leaseMs, this.#holder)
      // The same job again: its earlier lease has ended, though nobody could say so.
      this.#held.get(wire.jobId)?.revoke('lease_lost')
      this.#held.set(wire.jobId, job)
      if (this.#state === 'running') this.#waiting.push(job)
      else this.#settle(job, { $case: 'release', value: {} })
    }
    this.#fill()
  }

  #onRevoked({ jobs }: Revoked): void {
    for (const { jobId, leaseToken, reason } of jobs) {
      const job = this.#held.get(jobId)
      if (job?.wire.leaseToken === leaseToken) this.#lose(job, revokedReasons[reason] ?? 'lease_lost')
    }
  }

  /** The job is this worker's no longer. */
  #lose(job: HeldJob, why: RevokedReason): void {
    this.#held.delete(job.wire.jobId)
    this.#reporting.delete(job)
    job.revoke(why)
  }

  #run(job: HeldJob): void {
    this.#running++
    job.startedAt = this.#clock.now()
    let returned: unknown
    try {
      returned = this.#options.handle(job)
    } catch (thrown) {
      this.#onFailed(job, thrown)
      return
    }
    if (isThenable(returned)) {
      returned.then(
        (result) => this.#onReturned(job, result),
        (thrown) => this.#onFailed(job, thrown),
      )
    } else this.#onReturned(job, returned)
  }

  #onReturned(job: HeldJob, result: unknown): void {
    job.durationMs = this.#clock.now() - job.startedAt
    try {
      const { payload, contentType } = encodePayload('result', result)
      if (payload.length > maxResultBytes) {
        throw new NonRetryableError(
          `The result has ${payload.length} bytes; ${maxResultBytes} is the most. Store it elsewhere and return where.`,
        )
      }
      this.#settle(job, { $case: 'complete', value: { result: payload, contentType } }, result)
    } catch (thrown) {
      this.#onFailed(job, thrown)
      return
    }
    this.#finished()
  }

  #onFailed(job: HeldJob, thrown: unknown): void {
    job.durationMs = this.#clock.now() - job.startedAt
    this.#settle(job, failure(thrown, thrown instanceof NonRetryableError), thrown)
    this.#finished()
  }

  /** A handler is done: its place is free. */
  #finished(): void {
    this.#running--
    this.#fill()
    if (this.#running === 0) this.#onIdle?.()
  }

  /** Runs waiting jobs while there is room. Handlers that end at once come back here; the loop that runs goes on. */
  #fill(): void {
    if (this.#filling) return
    this.#filling = true
    while (this.#state === 'running' && this.#running < this.#options.concurrency) {
      const next = this.#waiting.shift()
      if (!next) break
      if (!next.revoked) this.#run(next)
    }
    this.#filling = false
  }

  /** Sends what becomes of a job, after what it said before; drops it when the job is this worker's no longer. */
  #settle(job: HeldJob, action: NonNullable<Settlement['action']>, outcome?: unknown): void {
    if (job.revoked) return
    this.#sendReports(job)
    this.#held.delete(job.wire.jobId)
    this.#send(job, action, outcome)
  }

  #send(job: HeldJob, action: NonNullable<Settlement['action']>, outcome?: unknown, onAnswer?: Outgoing['onAnswer']): void {
    const { jobId, leaseToken } = job.wire
    const settlement = { jobId, leaseToken, action }
    this.#outbox.add({
      job,
      settlement,
      bytes: sizeOf(action) + settlementOverhead,
      sentAt: this.#clock.now(),
      resent: false,
      outcome,
      onAnswer,
    })
  }

  #report(job: HeldJob): void {
    if (job.revoked || this.#held.get(job.wire.jobId) !== job) return
    if (this.#reporting.size === 0) setImmediate(() => this.#sendAllReports())
    this.#reporting.add(job)
  }

  #sendAllReports(): void {
    for (const job of this.#reporting) this.#sendReports(job)
  }

  #sendReports(job: HeldJob): void {
    if (!this.#reporting.delete(job)) return
    for (const action of job.takeReports()) this.#send(job, action)
  }

  #renewNow(job: HeldJob): Promise<Date> {
    return new Promise((resolve, reject) => {
      job.renewedAt = this.#clock.now()
      const expiresAt = new Date(job.renewedAt + this.#options.leaseMs)
      this.#send(job, { $case: 'renew', value: { leaseMs: 0 } }, undefined, (refusal) => {
        if (refusal?.error) reject(errorFromItem(refusal.error))
        else resolve(expiresAt)
      })
    })
  }

  #onAnswered(outgoing: Outgoing, refusal: SettleResult | undefined): void {
    const { job, settlement, outcome } = outgoing
    const kind = settlement.action?.$case
    if (refusal?.error) {
      const error = errorFromItem(refusal.error)
      if (kind === 'renew') this.#lose(job, 'lease_lost')
      // Sent twice and refused the second time: the first time did it.
      else if ((kind === 'fail' || kind === 'release') && outgoing.resent && error.code === 'CONFLICT')
        this.#emitHandled(kind, job, outcome)
      else if (kind === 'complete' && error.code === 'VALIDATION') this.#send(job, failure(error, true), error)
      else if (kind === 'complete' || kind === 'fail') this.#emitError(error)
      else this.#client.logger.debug(`The server refused ${kind} of job ${settlement.jobId}`, { error: error.message })
    } else if (kind === 'renew') job.expiresAt = outgoing.sentAt + this.#options.leaseMs
    else this.#emitHandled(kind, job, outcome)
  }

  #emitHandled(kind: string | undefined, job: HeldJob, outcome: unknown): void {
    const event = kind === 'complete' ? 'completed' : kind === 'fail' ? 'failed' : undefined
    if (!event || !this.#events.has(event)) return
    const { jobId: id, queue, function: name, attempt } = job.wire
    const handled = { id, queue, function: name, attempt, durationMs: job.durationMs }
    if (event === 'completed') this.#events.emit(event, { ...handled, result: outcome })
    else this.#events.emit(event, { ...handled, error: outcome })
  }

  #emitError(error: MillraceError): void {
    if (this.#events.has('error')) this.#events.emit('error', error)
    else this.#client.logger.error(`Worker: ${error.message}`, { code: error.code })
  }

  /** Looks after leases, deadlines and the connection, again and again. */
  #tick(): void {
    const { leaseMs } = this.#options
    this.#stopTicking = this.#clock.timer(Math.min(Math.max(leaseMs / 9, 100), 1000), () => {
      const now = this.#clock.now()
      for (const job of this.#held.values()) {
        if (job.deadline !== undefined && now >= job.deadline) this.#lose(job, 'timeout')
        else if (now >= job.expiresAt) this.#lose(job, 'lease_lost')
        else if (now - job.renewedAt >= leaseMs / 3) {
          job.renewedAt = now
          this.#send(job, { $case: 'renew', value: { leaseMs: 0 } })
        }
      }
      this.#connection.tick(now)
      this.#tick()
    })
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function failure(thrown: unknown, noRetry: boolean): NonNullable<Settlement['action']> {
  return { $case: 'fail', value: { error: toJobError(thrown), noRetry, delayMs: undefined } }
}

/** About how large an action is when it is encoded. */
function sizeOf(action: NonNullable<Settlement['action']>): number {
  switch (action.$case) {
    case 'complete':
      return action.value.result.length
    case 'fail':
      return (action.value.error?.message.length ?? 0) + (action.value.error?.stack.length ?? 0)
    case 'log':
      return action.value.entries.reduce((sum, entry) => sum + entry.message.length + entry.fieldsJson.length, 0)
    default:
      return 0
  }
}
