import type { MillraceError } from '@millrace/core'
import { type Clock, type CompiledOptions, Emitter, type Transport, toMs } from '@millrace/core/adapter'
import type {
  ProcessJobsResponse_Deliveries as Deliveries,
  ProcessJobsResponse_Revoked as Revoked,
  ProcessJobsRequest_Subscribe as Subscribe,
} from '@millrace/protocol'
import { AttestedKey } from './attested-key.ts'
import { Connection } from './connection.ts'
import { HeldJob } from './held-job.ts'
import { HeldJobs } from './held-jobs.ts'
import type { RevokedReason } from './job-errors.ts'
import { JobRunner } from './job-runner.ts'
import { JobSettler } from './job-settler.ts'
import { drainOnSignals } from './shutdown-signals.ts'
import type { FetchStageResult } from './stage-results.ts'
import type { HandledJob, StopOptions, WorkerEvents } from './types.ts'
import type { CompiledWorkerOptions } from './worker-options.ts'

/** What a worker works with. */
export interface WorkerContext {
  readonly transport: Transport
  readonly client: CompiledOptions
  readonly clock: Clock
  /** Fetches the result of a pipeline's stage. */
  readonly resultOf: FetchStageResult
  /** Called once, when the worker has stopped. */
  onStopped(worker: Worker): void
}

/** Reasons of revocations, in the order of the protocol's `RevocationReason`. */
const revokedReasons: readonly RevokedReason[] = ['lease_lost', 'cancelled', 'timeout', 'lease_lost']
/** How long a stopping worker waits for the server's last answers. */
const lastAnswersMs = 5000

/** Takes jobs, runs their handlers, settles them. Made by `mr.worker`. */
export class Worker {
  readonly #context: WorkerContext
  readonly #options: CompiledWorkerOptions
  readonly #events = new Emitter<WorkerEvents>()
  readonly #held = new HeldJobs()
  readonly #connection: Connection
  readonly #settler: JobSettler
  readonly #runner: JobRunner
  #state: 'new' | 'running' | 'draining' | 'stopped' = 'new'
  /** The `max_in_flight` that the server knows. */
  #credit = 0
  #starting: { resolve(): void; reject(error: MillraceError): void } | undefined
  #stopping: Promise<void> | undefined
  #drainTimeUp: (() => void) | undefined
  #key: AttestedKey | undefined
  /** What to undo when the worker has stopped. */
  readonly #cleanUp = new Set<() => void>()

  /** @internal Use `mr.worker`. */
  constructor(context: WorkerContext, options: CompiledWorkerOptions) {
    const { transport, client, clock } = context
    this.#context = context
    this.#options = options
    this.#settler = new JobSettler({
      clock,
      leaseMs: options.leaseMs,
      held: this.#held,
      logger: client.logger,
      send: (sequence, settlements) => this.#connection.send({ $case: 'settle', value: { sequence, settlements } }),
      completed: (job, result) => {
        if (this.#events.has('completed')) this.#events.emit('completed', { ...handled(job), result })
      },
      failed: (job, error) => {
        if (this.#events.has('failed')) this.#events.emit('failed', { ...handled(job), error })
      },
      refused: (error) => this.#emitError(error),
      resultOf: context.resultOf,
    })
    this.#runner = new JobRunner({
      clock,
      concurrency: options.concurrency,
      handle: (job) => (job.wire.teeRequired ? this.#handleSigned(job) : options.handle(job)),
      returned: (job, result) => this.#settler.complete(job, result),
      threw: (job, thrown) => this.#settler.fail(job, thrown),
    })
    this.#connection = new Connection(transport, client, clock, {
      subscription: () => this.#subscribe(),
      connected: (workerId) => this.#onConnected(workerId),
      disconnected: (error) => this.#onDisconnected(error),
      refused: (error) => this.#onRefused(error),
      deliveries: (message) => this.#onDeliveries(message),
      settled: ({ sequence, rejected }) => this.#settler.outbox.answer(sequence, rejected),
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
   * reached. A worker starts once.
   *
   * @throws AuthenticationError, PermissionDeniedError, ValidationError, also when `attestation` returns what is no evidence;
   * ConflictError when the server does not accept its attestation; whatever `attestation` throws.
   */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error('This worker was started or stopped before. Make another one.')
    this.#state = 'running'
    if (this.#options.signals) this.#cleanUp.add(drainOnSignals((options) => this.stop(options)))
    if (this.#options.attestation) {
      try {
        this.#key = await AttestedKey.create(this.#options.attestation)
      } catch (error) {
        if (this.#isRunning()) this.#end()
        throw error
      }
      // It was stopped meanwhile.
      if (!this.#isRunning()) return
    }
    this.#tick()
    await new Promise<void>((resolve, reject) => {
      this.#starting = { resolve, reject }
      this.#connection.open()
    })
  }

  /**
   * Stops taking jobs, gives back those that were not begun, waits for running handlers and for the server's answers.
   * Called again, it stops waiting when the shorter of the two times is over.
   */
  async stop(options: StopOptions = {}): Promise<void> {
    const drainMs = toMs('drain', options.drain ?? '30s')
    if (this.#state === 'new') {
      this.#state = 'stopped'
      this.#context.onStopped(this)
    }
    if (this.#state !== 'stopped') {
      this.#cleanUp.add(this.#context.clock.timer(drainMs, () => this.#drainTimeUp?.()))
      this.#stopping ??= this.#drain()
    }
    await this.#stopping
  }

  /** The same as `stop`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #drain(): Promise<void> {
    const { clock, client } = this.#context
    const { outbox } = this.#settler
    this.#state = 'draining'
    this.#starting?.resolve()
    this.#starting = undefined
    this.#adjustCredit()
    for (const job of this.#runner.takeWaiting()) this.#settler.release(job)
    const timeUp = new Promise<void>((resolve) => {
      this.#drainTimeUp = resolve
    })
    await Promise.race([this.#runner.idle(), timeUp])
    for (const job of [...this.#held]) {
      this.#settler.release(job)
      job.revoke('stopping')
    }
    const lastAnswers = new Promise<'late'>((resolve) => this.#cleanUp.add(clock.timer(lastAnswersMs, () => resolve('late'))))
    while ((await Promise.race([this.#finish(), lastAnswers])) === 'more');
    if (outbox.size > 0) {
      const message = 'The worker stopped before the server had answered everything; those jobs run again when their leases end'
      client.logger.warn(message, { settlements: outbox.size })
    }
    this.#end()
    this.#events.emit('disconnected', {})
  }

  /** Waits for the server's answers and its end of the stream. Jobs that were still on their way go back over another one. */
  async #finish(): Promise<'done' | 'more'> {
    const { outbox } = this.#settler
    await outbox.empty()
    await this.#connection.finish()
    if (outbox.size === 0) return 'done'
    this.#connection.reopen()
    return 'more'
  }

  #isRunning(): boolean {
    return this.#state === 'running'
  }

  #end(): void {
    this.#state = 'stopped'
    this.#connection.close()
    for (const undo of this.#cleanUp) undo()
    this.#context.onStopped(this)
  }

  /** The first message of a connection. Jobs of earlier connections are not counted by the server on this one. */
  #subscribe(): Subscribe {
    this.#held.carryOver()
    this.#credit = this.#wantedCredit()
    return this.#subscription()
  }

  #subscription(): Subscribe {
    const { queue, functions, workerId, leaseMs } = this.#options
    return { queue, functions: [...functions], workerId, leaseMs, maxInFlight: this.#credit, attestation: this.#key?.attestation }
  }

  async #handleSigned(job: HeldJob): Promise<unknown> {
    const result = await this.#options.handle(job)
    job.proof = await this.#key?.sign(job.wire, result)
    return result
  }

  #wantedCredit(): number {
    if (this.#state !== 'running') return 0
    return Math.max(this.#options.concurrency + this.#runner.prefetch - this.#held.carried, 0)
  }

  #adjustCredit(): void {
    const wanted = this.#wantedCredit()
    if (wanted === this.#credit) return
    this.#credit = wanted
    this.#connection.send({ $case: 'subscribe', value: this.#subscription() })
  }

  #onConnected(workerId: string): void {
    this.#starting?.resolve()
    this.#starting = undefined
    this.#events.emit('connected', { workerId })
    this.#adjustCredit()
    this.#settler.outbox.flush()
  }

  #onDisconnected(error: MillraceError): void {
    this.#settler.outbox.requeue()
    this.#events.emit('disconnected', { error })
  }

  #onRefused(error: MillraceError): void {
    const starting = this.#starting
    if (!starting) {
      this.#emitError(error)
      return
    }
    this.#end()
    starting.reject(error)
  }

  #onDeliveries({ jobs }: Deliveries): void {
    const held = jobs.map((wire) => new HeldJob(wire, this.#options.leaseMs, this.#settler))
    for (const job of held) this.#held.add(job)
    if (this.#state === 'running') {
      this.#runner.add(held)
      this.#adjustCredit()
    } else for (const job of held) this.#settler.release(job)
  }

  #onRevoked({ jobs }: Revoked): void {
    for (const { jobId, leaseToken, reason } of jobs) {
      const job = this.#held.find(jobId, leaseToken)
      if (job) this.#held.lose(job, revokedReasons[reason] ?? 'lease_lost')
    }
  }

  #emitError(error: MillraceError): void {
    if (this.#events.has('error')) this.#events.emit('error', error)
    else this.#context.client.logger.error(`Worker: ${error.message}`, { code: error.code })
  }

  /** Looks after leases, credit and the connection, again and again. */
  #tick(): void {
    const { clock } = this.#context
    const { leaseMs } = this.#options
    const cancel = clock.timer(Math.min(Math.max(leaseMs / 9, 100), 1000), () => {
      this.#cleanUp.delete(cancel)
      const now = clock.now()
      this.#held.checkLeases(now, leaseMs, (job) => this.#settler.sendRenewal(job))
      for (const job of this.#runner.takeStale()) this.#settler.release(job)
      this.#adjustCredit()
      this.#connection.tick(now)
      this.#tick()
    })
    this.#cleanUp.add(cancel)
  }
}

function handled(job: HeldJob): HandledJob {
  const { jobId, queue, function: name, attempt } = job.wire
  return { id: jobId, queue, function: name, attempt, durationMs: job.durationMs }
}
