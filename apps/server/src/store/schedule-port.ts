import type { NewJob, Scope, Seq } from './ports.ts'

/** When and how a schedule submits what: exactly one of `cron`, `everyMs` and `at`. Checked already. */
export interface ScheduleSpec {
  readonly cron?: string
  readonly everyMs?: number
  readonly at?: number
  /** Where intervals count from. */
  readonly from: number
  readonly timezone: string
  readonly jitterMs: number
  readonly overlap: 'skip' | 'queue' | 'allow'
  /** Late ticks that are made up for at most. */
  readonly catchUp: number
  readonly job: Pick<
    NewJob,
    'queue' | 'function' | 'contentType' | 'headers' | 'labels' | 'priority' | 'maxAttempts' | 'retry' | 'timeoutMs'
  >
  /** Of stateful tasks. What it begins with is in base 64: a spec is kept as JSON. */
  readonly state?: { readonly key: string; readonly ttlMs: number; readonly initial?: string; readonly contentType?: string }
}

/** What names a schedule. */
export interface ScheduleName extends Scope {
  readonly name: string
}

/** A schedule as it stands. */
export interface ScheduleRecord extends ScheduleName {
  readonly spec: ScheduleSpec
  readonly payload: Uint8Array
  readonly paused: boolean
  /** Grows with each change. */
  readonly revision: number
  /** The next tick; absent when none is to come. */
  readonly nextAt?: number
  /** When the next tick is submitted: later than it by the jitter. */
  readonly dueAt?: number
  /** The latest tick that was seen to, and the job of the latest one that was submitted. */
  readonly lastAt?: number
  readonly lastJob?: Seq
  readonly createdAt: number
  readonly updatedAt: number
}

/** What became of a tick, or of a trigger. */
export interface ScheduleRun {
  readonly at: number
  /** Triggered by somebody. */
  readonly manual: boolean
  readonly submitted: boolean
  /** Why nothing was submitted. */
  readonly reason: string
  readonly job?: Seq
}

/** Runs kept of each schedule. */
export const runsKept = 100

/** Schedules. Each method is atomic for one schedule, and may be repeated. */
export interface ScheduleStore {
  /** Adds a schedule. False when there is one of its name; rejects with QUOTA_EXCEEDED when the tenant has too many. */
  create(schedule: ScheduleRecord): Promise<boolean>
  get(name: ScheduleName): Promise<ScheduleRecord | undefined>
  /** By name, those after `after`; without payloads. */
  list(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly ScheduleRecord[]>
  /** Puts a schedule in the place of the one at `revision`; false when that is not how it stands. */
  replace(schedule: ScheduleRecord, revision: number): Promise<boolean>
  /** Forgets a schedule and its runs; false when there was none. */
  delete(name: ScheduleName): Promise<boolean>

  /** Schedules of all tenants that are due, longest due first. */
  due(now: number, limit: number): Promise<readonly ScheduleRecord[]>
  /** When the next one is due. */
  nextDueAt(): Promise<number | undefined>
  /** Notes what becomes of a tick, unless that was decided before. Returns what was decided first. */
  decide(name: ScheduleName, run: ScheduleRun): Promise<ScheduleRun>
  /** Ends the tick that `schedule` stands at, as `run` says, and goes to the next one. False when somebody else did so before. */
  advance(schedule: ScheduleRecord, next: Pick<ScheduleRecord, 'nextAt' | 'dueAt'>, run: ScheduleRun): Promise<boolean>
  /** The latest runs, latest first. */
  runs(name: ScheduleName, limit: number): Promise<readonly ScheduleRun[]>
  /** Sets who is told when another server may have changed schedules. Must not throw. */
  listen(changed: () => void): void
}
