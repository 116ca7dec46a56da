import type { Duration } from '../durations.ts'
import type { RetryPolicy } from '../job-types.ts'
import type { CallOptions } from '../options.ts'
import type { TaskPriority } from '../tasks/types.ts'

/** What a tick does while the task or job of an earlier one has not ended: nothing, wait for its end, or run beside it. */
export type OverlapPolicy = 'skip' | 'queue' | 'allow'

/** When a schedule is due: exactly one of `cron`, `every` and `at`. */
export interface ScheduleTimes {
  /** Five fields (minute, hour, day of month, month, day of week) or six (seconds first). */
  readonly cron?: string
  /** IANA time zone of `cron`, such as `Europe/Berlin`. Default `UTC`. */
  readonly timezone?: string
  /** Time between two ticks, the first one so long after the schedule was made. 1 s to 366 days. */
  readonly every?: Duration
  /** The only tick. One in the past is submitted at once. */
  readonly at?: Date
}

/** How a schedule goes about its ticks. */
export interface ScheduleRules {
  /** Each tick is submitted up to so much later, spread evenly. Up to 24 hours, default 0. */
  readonly jitter?: Duration
  /** What a tick does while an earlier one's task or job has not ended. Default `skip`. */
  readonly overlap?: OverlapPolicy
  /** Of ticks that are more than a minute late because no server ran, the latest `max` are submitted, up to 1000; `none` is 0. Default 1. */
  readonly catchUp?: { readonly max: number } | 'none'
}

/** A schedule to make: of tasks when it has a `function`, else of the jobs of a `queue`. */
export interface CreateScheduleOptions extends ScheduleTimes, ScheduleRules {
  /** Its name: 1 to 200 characters of `[A-Za-z0-9._:/-]`. */
  readonly name: string
  /** The function of the tasks. */
  readonly function?: string
  /** The queue. Default, when there is a function: `default`. */
  readonly queue?: string
  /** The payload of each: any JSON value, or bytes. */
  readonly payload?: unknown
  /** Headers for the handler. */
  readonly headers?: Readonly<Record<string, string>>
  /** Labels of the tasks. Only with a function. */
  readonly labels?: Readonly<Record<string, string>>
  /** Default `normal`. */
  readonly priority?: TaskPriority
  /** Attempts in all, 1 to 1000. Default: as the queue says. Not together with `retry`. */
  readonly maxAttempts?: number
  /** The tasks' own retry policy. Default: the queue's. Only with a function. */
  readonly retry?: RetryPolicy
  /** Longest time of one attempt, up to 7 days. Default: no limit. */
  readonly timeout?: Duration
  /** Makes the tasks stateful: the name of the state they work on, one at a time and in order. 1 to 255 characters. Only with a function. */
  readonly stateKey?: string
  /** The state to begin with when there is none: any JSON value, or bytes. At most 4 KiB. Only with `stateKey`. */
  readonly initialState?: unknown
  /** How long the state is kept after the latest completed task, up to 366 days. Default: for ever. Only with `stateKey`. */
  readonly stateTtl?: Duration
  /** Run the tasks in a trusted execution environment alone. Default false. Only with a function. */
  readonly teeRequired?: boolean
  /** True: made paused. */
  readonly paused?: boolean
}

/** What to change of a schedule; what is left out stays. */
export interface UpdateScheduleOptions extends ScheduleTimes, ScheduleRules {
  /** The payload of each: any JSON value, or bytes. */
  readonly payload?: unknown
}

/** A schedule as it stands. */
export interface Schedule {
  /** Its name. */
  readonly name: string
  /** Its cron pattern, when it has one. */
  readonly cron?: string
  /** Milliseconds between two ticks, when it is of that kind. */
  readonly every?: number
  /** Its only tick, when it is of that kind. */
  readonly at?: Date
  /** The time zone of `cron`. */
  readonly timezone: string
  /** Spread of the ticks in milliseconds. */
  readonly jitter: number
  /** What a tick does while an earlier one's task or job has not ended. */
  readonly overlap: OverlapPolicy
  /** Late ticks that are submitted at most. */
  readonly catchUp: { readonly max: number }
  /** The function of its tasks; absent for plain jobs. */
  readonly function?: string
  /** The queue. */
  readonly queue: string
  /** The payload; absent in lists. */
  readonly payload?: unknown
  /** The state its tasks work on; absent for stateless ones. */
  readonly stateKey?: string
  /** True: its tasks run in a trusted execution environment alone. */
  readonly teeRequired: boolean
  /** True while it is paused. */
  readonly paused: boolean
  /** The next tick; absent while it is paused and when none is to come. */
  readonly nextAt?: Date
  /** The latest tick that was seen to. */
  readonly lastAt?: Date
  /** When it was made. */
  readonly createdAt: Date
  /** When it was last changed by somebody. */
  readonly updatedAt: Date
}

/** A tick that was seen to, or a trigger. */
export interface ScheduleRun {
  /** The tick; of a trigger, when it was. */
  readonly at: Date
  /** True: somebody triggered it. */
  readonly manual: boolean
  /** What became of it. */
  readonly outcome: 'submitted' | 'skipped'
  /** Why nothing was submitted. */
  readonly reason?: string
  /** The task (`task_…`) or job (`job_…`) that was submitted. */
  readonly jobId?: string
}

/** Which schedules to list. */
export interface ListSchedulesOptions extends CallOptions {
  /** Schedules on one page. 1 to 1000, default 100. */
  readonly limit?: number
  /** Where to begin: `nextCursor` of a page. */
  readonly cursor?: string
}

/** How much history to read. */
export interface ScheduleHistoryOptions extends CallOptions {
  /** Runs, the latest. 1 to 100, default 100. */
  readonly limit?: number
}
