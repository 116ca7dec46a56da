import { decodePayload, errorFrom } from '@millrace/core/adapter'
import type { Job, LogEntry, LogLevel, Settlement, GetStageResultResponse as StageResult, StatementSignature } from '@millrace/protocol'
import { JobRevokedError, NonRetryableError, type RevokedReason } from './job-errors.ts'
import { JobState, type StateChange, unchanged } from './job-state.ts'
import type { JobContext, JobLog } from './types.ts'

/** What a job needs of its worker. */
export interface JobHolder {
  /** The job has something to say: `takeReports` gives it. */
  report(job: HeldJob): void
  /** Fetches the result of a pipeline's stage. */
  resultOf(pipelineId: string, stage: string): Promise<StageResult>
  /** Renews the lease; resolves with its end. */
  renew(job: HeldJob): Promise<Date>
  /** Milliseconds since 1970. */
  now(): number
}

/** What the server keeps of a line's text, and of its fields. */
const maxLogText = 8 << 10
/** What the server keeps of a message of progress. */
const maxProgressText = 1 << 10
/** Lines of one job that wait to be sent; the oldest are dropped beyond. */
const maxLogLines = 1000

/** A job under this worker's lease, by the worker's own clock: the server's may differ. */
export class HeldJob {
  readonly wire: Job
  readonly #holder: JobHolder
  #context: JobContext | undefined
  #state: JobState | undefined
  #inputs: Readonly<Record<string, unknown>> | undefined
  #fetched: Map<string, StageResult> | undefined
  #controller: AbortController | undefined
  /** Why the job is this worker's no longer. */
  revoked: RevokedReason | undefined
  /** When it came. */
  readonly receivedAt: number
  /** When the lease ends. */
  expiresAt: number
  /** When the lease was last renewed, or a renewal sent. */
  renewedAt: number
  /** When the attempt's timeout ends it. */
  readonly deadline: number | undefined
  /** When its handler was called. */
  startedAt = 0
  /** How long its handler took. */
  durationMs = 0
  /** What was signed of it, when that is required. */
  proof: StatementSignature | undefined
  #progress: { percent: number; message: string } | undefined
  #logs: LogEntry[] = []
  #droppedLogs = 0

  constructor(wire: Job, leaseMs: number, holder: JobHolder) {
    const now = holder.now()
    this.wire = wire
    this.#holder = holder
    this.receivedAt = now
    this.renewedAt = now
    this.expiresAt = now + leaseMs
    // Both times are the server's: their distance is right whatever the clocks say.
    if (wire.deadline && wire.leaseExpiresAt) this.deadline = now + leaseMs + wire.deadline.getTime() - wire.leaseExpiresAt.getTime()
  }

  /** What was submitted. @throws NonRetryableError when it says that it is JSON and is not. */
  payload(): unknown {
    try {
      return decodePayload('payload', this.wire.payload, this.wire.contentType)
    } catch (error) {
      throw new NonRetryableError(errorFrom(error).message, { cause: error })
    }
  }

  /** What the handler gets. */
  get context(): JobContext {
    this.#context ??= createContext(this, this.#holder)
    return this.#context
  }

  /** The results of the stages it depends on. Those that were left out are fetched first; see {@link JobHolder.resultOf}. */
  get inputs(): Readonly<Record<string, unknown>> {
    this.#inputs ??= Object.fromEntries(
      this.wire.inputs.map((input) => {
        const content = input.omitted ? this.#fetched?.get(input.stage) : input
        return [input.stage, content && decodePayload('inputs', content.result, content.contentType)]
      }),
    )
    return this.#inputs
  }

  /** True when results have to be fetched before the handler is called. */
  get needsInputs(): boolean {
    return this.wire.inputs.some(({ omitted }) => omitted)
  }

  /** Fetches the results that were left out. They are read when the handler asks for them. */
  async fetchInputs(): Promise<void> {
    const fetched = new Map<string, StageResult>()
    this.#fetched = fetched
    for (const { stage, omitted } of this.wire.inputs) {
      if (omitted) fetched.set(stage, await this.#holder.resultOf(this.wire.pipelineId, stage))
    }
    this.signal.throwIfAborted()
  }

  /** Its handler has ended: the inputs it read are let go, since the job is kept until the server answers. */
  dropInputs(): void {
    this.#inputs = undefined
  }

  /** The state of a stateful task. */
  get state(): JobState {
    this.#state ??= new JobState(this.wire)
    return this.#state
  }

  /** What completing the job says of its state. */
  stateChange(): StateChange {
    return this.#state ? this.#state.change() : unchanged
  }

  /** Aborts when the job is revoked. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.revoked) this.#controller.abort(new JobRevokedError(this.revoked))
    }
    return this.#controller.signal
  }

  /** Tells the handler to stop. */
  revoke(why: RevokedReason): void {
    if (this.revoked) return
    this.revoked = why
    this.#controller?.abort(new JobRevokedError(why))
  }

  setProgress(percent: number, message: string): void {
    this.#progress = { percent, message }
    this.#holder.report(this)
  }

  addLog(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>> | undefined): void {
    if (this.#logs.length >= maxLogLines) {
      this.#logs.shift()
      this.#droppedLogs++
    }
    const timestamp = new Date(this.#holder.now())
    this.#logs.push({ timestamp, level, message: message.slice(0, maxLogText), fieldsJson: toFieldsJson(fields), sequence: 0 })
    this.#holder.report(this)
  }

  /** What was said since the last time, as actions. */
  takeReports(): NonNullable<Settlement['action']>[] {
    const actions: NonNullable<Settlement['action']>[] = []
    if (this.#progress) actions.push({ $case: 'progress', value: this.#progress })
    if (this.#logs.length > 0) actions.push({ $case: 'log', value: { entries: this.#takeLogs() } })
    this.#progress = undefined
    return actions
  }

  #takeLogs(): LogEntry[] {
    const entries = this.#logs
    if (this.#droppedLogs > 0) {
      const message = `${this.#droppedLogs} lines before this one were dropped: they came faster than they could be sent.`
      entries.unshift({ timestamp: entries[0]?.timestamp, level: 3, message, fieldsJson: '', sequence: 0 })
    }
    this.#logs = []
    this.#droppedLogs = 0
    return entries
  }
}

function createContext(job: HeldJob, holder: JobHolder): JobContext {
  const { jobId, attempt, labels, headers } = job.wire
  let log: JobLog | undefined
  return {
    id: jobId,
    attempt,
    labels,
    headers,
    deadline: job.deadline === undefined ? undefined : new Date(job.deadline),
    get signal() {
      return job.signal
    },
    get inputs() {
      return job.inputs
    },
    get state() {
      return job.state.get()
    },
    set state(value) {
      job.state.set(value)
    },
    get log() {
      log ??= createLog(job)
      return log
    },
    progress(percent, message = '') {
      if (!Number.isFinite(percent)) throw new TypeError(`progress(${percent}): give a number from 0 to 100.`)
      job.setProgress(Math.min(Math.max(percent, 0), 100), String(message).slice(0, maxProgressText))
    },
    renew: () => holder.renew(job),
  }
}

function createLog(job: HeldJob): JobLog {
  const write = (level: LogLevel) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    job.addLog(level, String(message), fields)
  }
  return { debug: write(1), info: write(2), warn: write(3), error: write(4) }
}

/** Fields as JSON. A handler does not fail for what it logs: fields that cannot be sent say so in the log. */
function toFieldsJson(fields: Readonly<Record<string, unknown>> | undefined): string {
  if (!fields) return ''
  try {
    const json = JSON.stringify(fields)
    if (json.length <= maxLogText) return json
    return JSON.stringify({ dropped: `The fields have ${json.length} characters; ${maxLogText} is the most.` })
  } catch (error) {
    return JSON.stringify({ dropped: `The fields cannot be written as JSON: ${errorFrom(error).message}` })
  }
}
