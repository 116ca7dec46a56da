import type { Clock } from '../../clock.ts'
import { MillraceError, notFound } from '../../errors.ts'
import { JobState, type NewJob, type Scope, type Seq, type Store } from '../../store/ports.ts'
import type { ScheduleName, ScheduleRecord, ScheduleRun, ScheduleSpec } from '../../store/schedule-port.ts'
import { Alarm } from '../alarm.ts'
import type { JobEngine } from '../jobs/types.ts'
import type { SchemaRegistry } from '../schemas/registry.ts'
import { dueAt, Timing } from './timing.ts'

/** Ticks later than this were missed: no server ran. */
const graceMs = 60_000
/** Schedules seen to at a time. */
const chunk = 100
/** How often a change is tried again that meets another one. */
const mostConflicts = 10

/** What a schedule is made of. */
export type NewSchedule = Pick<ScheduleRecord, 'spec' | 'payload' | 'paused'>

/** Schedules, and the timer that sees to them. Inputs are checked already; errors are `MillraceError`. */
export interface ScheduleEngine {
  create(name: ScheduleName, schedule: NewSchedule): Promise<ScheduleRecord>
  get(name: ScheduleName): Promise<ScheduleRecord>
  list(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly ScheduleRecord[]>
  /** What is due is submitted before. @param change - says what it becomes, of how it stands. */
  update(name: ScheduleName, change: (schedule: ScheduleRecord) => Partial<NewSchedule>): Promise<ScheduleRecord>
  delete(name: ScheduleName): Promise<boolean>
  /** Submits once now; a repeat of `requestId` answers as the first did. */
  trigger(name: ScheduleName, requestId: string): Promise<{ readonly seq: Seq; readonly function: string }>
  runs(name: ScheduleName, limit: number): Promise<{ readonly schedule: ScheduleRecord; readonly runs: readonly ScheduleRun[] }>
  /** Stops the timer; what is under way is ended first. */
  close(): Promise<void>
}

/** What a schedule engine is made of. */
export interface ScheduleEngineOptions {
  readonly store: Pick<Store, 'schedules' | 'jobs'>
  readonly jobs: Pick<JobEngine, 'enqueue'>
  readonly schemas: Pick<SchemaRegistry, 'guard'>
  readonly clock: Clock
  /** Told of failures nobody waits for. */
  readonly onError: (error: unknown) => void
}

/** What a tick may be refused with for good. */
const refusals: ReadonlySet<string> = new Set(['QUOTA_EXCEEDED', 'ALREADY_EXISTS', 'VALIDATION'])

/**
 * Makes the schedule engine and starts its timer.
 *
 * Every server sees to every tick, and each comes to the same: what becomes of it is written down by the first, the job is
 * submitted under a key made of the tick, and the schedule goes to the next tick only from this one. So a tick is neither
 * lost nor doubled, wherever a server dies.
 */
export function createScheduleEngine({ store, jobs, schemas, clock, onError }: ScheduleEngineOptions): ScheduleEngine {
  const { schedules } = store
  const alarm = new Alarm({ clock, run: fireDue, onError })
  schedules.listen(() => alarm.dueAt(clock.now()))
  // What came due while no server ran is due now.
  alarm.dueAt(clock.now())

  async function find(name: ScheduleName): Promise<ScheduleRecord> {
    const schedule = await schedules.get(name)
    if (!schedule) throw notFound('schedule', name.name)
    return schedule
  }

  async function fireDue(closing: AbortSignal): Promise<number | undefined> {
    while (!closing.aborted) {
      const due = await schedules.due(clock.now(), chunk)
      const failed = (await Promise.allSettled(due.map(fire))).filter((result) => result.status === 'rejected')
      // One that cannot be seen to holds up no other.
      for (const { reason } of failed.slice(1)) onError(reason)
      if (failed[0]) throw failed[0].reason
      if (due.length < chunk) return schedules.nextDueAt()
    }
    return undefined
  }

  /** Sees to the tick that a schedule stands at. */
  async function fire(schedule: ScheduleRecord): Promise<void> {
    const { spec, nextAt: tick } = schedule
    if (tick === undefined) return
    const timing = new Timing(spec)
    const missedUntil = clock.now() - graceMs - spec.jitterMs
    const [first] = tick > missedUntil ? [tick] : timing.latest(spec.catchUp, missedUntil).filter((at) => at >= tick)
    if (first !== tick) {
      const run = { at: tick, manual: false, submitted: false, reason: 'Missed, as may be later ticks: no server ran.' }
      await advance(schedule, first ?? timing.next(missedUntil), await schedules.decide(schedule, run))
      return
    }
    const busy = spec.overlap === 'skip' && (await isBusy(schedule))
    const reason = busy ? 'The one before has not ended.' : ''
    const run = await schedules.decide(schedule, { at: tick, manual: false, submitted: !busy, reason })
    await advance(schedule, timing.next(tick), run.submitted && run.job === undefined ? await submitTick(schedule, run) : run)
  }

  async function advance(schedule: ScheduleRecord, nextAt: number | undefined, run: ScheduleRun): Promise<void> {
    const next = nextAt === undefined ? {} : { nextAt, dueAt: dueAt(schedule, nextAt, schedule.spec.jitterMs) }
    await schedules.advance(schedule, next, run)
  }

  async function isBusy({ lastJob, ...scope }: ScheduleRecord): Promise<boolean> {
    const job = lastJob === undefined ? undefined : await store.jobs.get(scope, lastJob)
    return job !== undefined && job.state < JobState.completed
  }

  async function submitTick(schedule: ScheduleRecord, run: ScheduleRun): Promise<ScheduleRun> {
    try {
      return { ...run, job: await submit(schedule, { idempotencyKey: `schedule:${schedule.name}:${run.at}` }) }
    } catch (error) {
      const refused = error instanceof MillraceError && refusals.has(error.reason)
      if (refused) return { ...run, submitted: false, reason: error.message }
      throw error
    }
  }

  async function submit({ tenant, namespace, name, spec, payload }: ScheduleRecord, once: { idempotencyKey?: string; requestId?: string }) {
    const { idempotencyKey = '', requestId = '' } = once
    // Jobs with a common state run one after the other; this state is never written.
    const inLine = spec.overlap === 'queue' ? { key: `schedule:${name}`, ttlMs: 0 } : undefined
    const planned: NewJob = { ...spec.job, payload, idempotencyKey, stateful: spec.state ? statefulOf(spec.state) : inLine }
    const guard = planned.function === '' ? await schemas.guard({ tenant, namespace }, 'queue', planned.queue) : undefined
    const job = guard ? guard.admit(planned) : planned
    const { outcomes } = await jobs.enqueue({ tenant, namespace }, { jobs: [job], requestId, partial: false, batch: false })
    const outcome = outcomes[0]!
    if ('error' in outcome) throw outcome.error
    return outcome.seq
  }

  return {
    async create(name, { spec, payload, paused }) {
      const now = clock.now()
      const next = paused ? {} : nextOf(name, spec, now)
      const schedule = { ...scheduleName(name), spec, payload, paused, revision: 1, ...next, createdAt: now, updatedAt: now }
      // A store that repeats a broken write may find its own.
      if (!(await schedules.create(schedule)) && !isSame(await schedules.get(schedule), schedule)) {
        const message = `There is a schedule '${name.name}' already: update or delete it, or choose another name.`
        throw new MillraceError('ALREADY_EXISTS', message, { resource: 'schedule', id: name.name })
      }
      if (schedule.dueAt !== undefined) alarm.dueAt(schedule.dueAt)
      return schedule
    },

    get: find,
    list: (scope, page) => schedules.list(scope, page),

    async update(name, change) {
      for (let conflicts = 0; conflicts < mostConflicts; ) {
        const before = await find(name)
        const now = clock.now()
        // After a downtime there may be many of them; each brings it closer to now.
        if (before.dueAt !== undefined && before.dueAt <= now) {
          await fire(before)
          continue
        }
        const changed = { ...before, ...change(before) }
        const next = isMoved(changed, before) ? !changed.paused && resumed(changed, before, now) : standing(changed)
        const { nextAt: _, dueAt: __, ...kept } = changed
        const after: ScheduleRecord = { ...kept, ...next, revision: before.revision + 1, updatedAt: now }
        if (!(await schedules.replace(after, before.revision))) {
          conflicts++
          continue
        }
        if (after.dueAt !== undefined) alarm.dueAt(after.dueAt)
        return after
      }
      throw new MillraceError('CONFLICT', `The schedule '${name.name}' was changed by others at the same time: try again.`)
    },

    delete: (name) => schedules.delete(name),

    async trigger(name, requestId) {
      const schedule = await find(name)
      const job = await submit(schedule, { requestId })
      await schedules.decide(schedule, { at: clock.now(), manual: true, submitted: true, reason: '', job })
      return { seq: job, function: schedule.spec.job.function }
    },

    async runs(name, limit) {
      const schedule = await find(name)
      return { schedule, runs: await schedules.runs(name, limit) }
    },

    close: () => alarm.close(),
  }
}

function statefulOf({ key, ttlMs, initial, contentType = '' }: NonNullable<ScheduleSpec['state']>): NonNullable<NewJob['stateful']> {
  return { key, ttlMs, initial: initial === undefined ? undefined : { data: Buffer.from(initial, 'base64'), contentType } }
}

function isSame(found: ScheduleRecord | undefined, made: ScheduleRecord): boolean {
  return found?.createdAt === made.createdAt && JSON.stringify(found.spec) === JSON.stringify(made.spec)
}

/** True when the ticks to come are others than before. */
function isMoved(changed: ScheduleRecord, before: ScheduleRecord): boolean {
  const timesOf = ({ spec: { cron, everyMs, at, from, timezone } }: ScheduleRecord) => JSON.stringify([cron, everyMs, at, from, timezone])
  return changed.paused !== before.paused || timesOf(changed) !== timesOf(before)
}

/** The same tick, under what may be another jitter. */
function standing(schedule: ScheduleRecord): Pick<ScheduleRecord, 'nextAt' | 'dueAt'> {
  const { nextAt, spec } = schedule
  return nextAt === undefined ? {} : { nextAt, dueAt: dueAt(schedule, nextAt, spec.jitterMs) }
}

/** The next tick of a schedule after a change; a single one that was seen to does not come again unless it is a new one. */
function resumed(changed: ScheduleRecord, before: ScheduleRecord, now: number): Partial<ScheduleRecord> {
  const { at } = changed.spec
  return at !== undefined && at === before.lastAt ? {} : nextOf(changed, changed.spec, now)
}

function nextOf(name: ScheduleName, spec: ScheduleSpec, now: number): Pick<ScheduleRecord, 'nextAt' | 'dueAt'> {
  const nextAt = new Timing(spec).first(now)
  return nextAt === undefined ? {} : { nextAt, dueAt: dueAt(name, nextAt, spec.jitterMs) }
}

/** The name alone: a caller's scope may be more than that. */
function scheduleName({ tenant, namespace, name }: ScheduleName): ScheduleName {
  return { tenant, namespace, name }
}
