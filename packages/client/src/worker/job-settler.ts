import type { Logger, MillraceError } from '@millrace/core'
import { type Clock, encodePayload, errorFromItem, toJobError } from '@millrace/core/adapter'
import type { Settlement, GetStageResultResponse as StageResult } from '@millrace/protocol'
import type { HeldJob, JobHolder } from './held-job.ts'
import type { HeldJobs } from './held-jobs.ts'
import { NonRetryableError } from './job-errors.ts'
import { Outbox, type Outgoing } from './outbox.ts'
import { type FetchStageResult, StageResults } from './stage-results.ts'

/** What a settler needs. */
export interface JobSettlerOptions {
  readonly clock: Clock
  readonly leaseMs: number
  readonly held: HeldJobs
  readonly logger: Logger
  /** Sends a batch; false when there is no connection. */
  send(sequence: number, settlements: Settlement[]): boolean
  /** A job is completed, durably. */
  completed(job: HeldJob, result: unknown): void
  /** An attempt failed, durably. */
  failed(job: HeldJob, error: unknown): void
  /** Fetches the result of a pipeline's stage. */
  readonly resultOf: FetchStageResult
  /** A job's end was refused. */
  refused(error: MillraceError): void
}

type Action = NonNullable<Settlement['action']>

/** About how many bytes a settlement takes beside its content. */
const overhead = 96
/** A result and a state that are larger together would break the connection, again and again: servers take messages of 28 MiB. */
const maxEndBytes = 27 << 20

/** Tells the server what becomes of a worker's jobs: ends, reports of progress, lines of logs, renewals. */
export class JobSettler implements JobHolder {
  readonly outbox: Outbox
  readonly #options: JobSettlerOptions
  readonly #stageResults: StageResults
  readonly #reporting = new Set<HeldJob>()

  constructor(options: JobSettlerOptions) {
    this.#options = options
    this.#stageResults = new StageResults(options.resultOf)
    this.outbox = new Outbox({
      send: options.send,
      answered: (outgoing, refusal) => this.#answered(outgoing, refusal?.error && errorFromItem(refusal.error)),
    })
  }

  now(): number {
    return this.#options.clock.now()
  }

  resultOf(pipelineId: string, stage: string): Promise<StageResult> {
    return this.#stageResults.get(pipelineId, stage)
  }

  /** The handler returned. */
  complete(job: HeldJob, result: unknown): void {
    try {
      const { payload, contentType } = encodePayload('result', result)
      const action: Action = { $case: 'complete', value: { result: payload, contentType, ...job.stateChange(), proof: job.proof } }
      const bytes = sizeOf(action)
      if (bytes > maxEndBytes) {
        throw new NonRetryableError(
          `The result and the state have ${bytes} bytes; ${maxEndBytes} is the most. Store them elsewhere and keep where.`,
        )
      }
      this.#settle(job, action, result)
    } catch (thrown) {
      this.fail(job, thrown)
    }
  }

  /** The handler threw. */
  fail(job: HeldJob, thrown: unknown): void {
    this.#settle(job, failure(thrown), thrown)
  }

  /** The job goes back unstarted. */
  release(job: HeldJob): void {
    this.#settle(job, { $case: 'release', value: {} })
  }

  /** The job has something to say: it is sent at the end of this turn. */
  report(job: HeldJob): void {
    if (!this.#options.held.has(job)) return
    if (this.#reporting.size === 0) {
      setImmediate(() => {
        for (const reporting of this.#reporting) this.#sendReports(reporting)
      })
    }
    this.#reporting.add(job)
  }

  /** Moves the end of a lease. */
  renew(job: HeldJob): Promise<Date> {
    return new Promise((resolve, reject) => {
      const expiresAt = new Date(this.now() + this.#options.leaseMs)
      this.sendRenewal(job, (refusal) => {
        if (refusal?.error) reject(errorFromItem(refusal.error))
        else resolve(expiresAt)
      })
    })
  }

  /** Renews a lease with the next batch. */
  sendRenewal(job: HeldJob, onAnswer?: Outgoing['onAnswer']): void {
    job.renewedAt = this.now()
    this.#send(job, { $case: 'renew', value: { leaseMs: 0 } }, undefined, onAnswer)
  }

  /** Sends what becomes of a job, after what it said before; drops it when the job is this worker's no longer. */
  #settle(job: HeldJob, action: Action, outcome?: unknown): void {
    if (!this.#options.held.has(job)) return
    this.#sendReports(job)
    this.#options.held.remove(job)
    job.dropInputs()
    this.#send(job, action, outcome)
  }

  #sendReports(job: HeldJob): void {
    if (!this.#reporting.delete(job) || !this.#options.held.has(job)) return
    for (const action of job.takeReports()) this.#send(job, action)
  }

  #send(job: HeldJob, action: Action, outcome?: unknown, onAnswer?: Outgoing['onAnswer']): void {
    const { jobId, leaseToken } = job.wire
    const settlement = { jobId, leaseToken, action }
    this.outbox.add({ job, settlement, bytes: sizeOf(action) + overhead, sentAt: this.now(), resent: false, outcome, onAnswer })
  }

  #answered({ job, settlement, outcome, resent, sentAt }: Outgoing, error: MillraceError | undefined): void {
    const { held, leaseMs, logger } = this.#options
    // Refused when it came a second time: the first time did it.
    const done = !error || (resent && error.code === 'CONFLICT')
    switch (settlement.action?.$case) {
      case 'complete':
        if (!error) this.#options.completed(job, outcome)
        else if (error.code === 'VALIDATION') this.#send(job, failure(new NonRetryableError(error.message)), error)
        else this.#options.refused(error)
        break
      case 'fail':
        if (done) this.#options.failed(job, outcome)
        else this.#options.refused(error)
        break
      case 'renew':
        if (!error) job.expiresAt = sentAt + leaseMs
        else held.lose(job, 'lease_lost')
        break
      default:
        if (!done) logger.debug(`The server refused ${settlement.action?.$case} of job ${settlement.jobId}`, { error: error.message })
    }
  }
}

function failure(thrown: unknown): Action {
  return { $case: 'fail', value: { error: toJobError(thrown), noRetry: thrown instanceof NonRetryableError, delayMs: undefined } }
}

/** About how large an action is when it is encoded. */
function sizeOf(action: Action): number {
  switch (action.$case) {
    case 'complete':
      return action.value.result.length + (action.value.state?.data.length ?? 0)
    case 'fail':
      return (action.value.error?.message.length ?? 0) + (action.value.error?.stack.length ?? 0)
    case 'log':
      return action.value.entries.reduce((sum, entry) => sum + entry.message.length + entry.fieldsJson.length, 0)
    default:
      return 0
  }
}
