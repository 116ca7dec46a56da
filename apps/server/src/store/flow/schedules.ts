import { MillraceError } from '../../errors.ts'
import type { Scope, Seq, TenantId } from '../ports.ts'
import { runsKept, type ScheduleName, type ScheduleRecord, type ScheduleRun, type ScheduleSpec } from '../schedule-port.ts'
import { type Program, query, type Value } from './program.ts'

interface ScheduleRow {
  readonly tenant: TenantId
  readonly namespace: string
  readonly name: string
  readonly spec: string
  readonly payload?: Uint8Array
  readonly paused: number
  readonly revision: number
  readonly next_at: number | null
  readonly due_at: number | null
  readonly last_at: number | null
  readonly last_job: Seq | null
  readonly created_at: number
  readonly updated_at: number
}

interface RunRow {
  readonly at: number
  readonly manual: number
  readonly submitted: number
  readonly reason: string
  readonly job: Seq | null
}

const columns = 'tenant, namespace, name, spec, paused, revision, next_at, due_at, last_at, last_job, created_at, updated_at'
const named = 'tenant = $1 AND namespace = $2 AND name = $3'
/** Schedules of one tenant at most. */
const mostSchedules = 10_000

/** Adds a schedule; false when there is one of its name. */
export function* createSchedule(schedule: ScheduleRecord): Program<boolean> {
  const [count] = yield* query<{ n: number }>('SELECT count(*) AS n FROM millrace.schedules WHERE tenant = $1', [schedule.tenant])
  if (Number(count!.n) >= mostSchedules) {
    throw new MillraceError('QUOTA_EXCEEDED', `There are ${mostSchedules} schedules already, which is the most: delete some.`)
  }
  const row = rowOf(schedule)
  const names = Object.keys(row)
  const added = yield* query(
    `INSERT INTO millrace.schedules (${names.join(', ')}) VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')})
      ON CONFLICT (tenant, namespace, name) DO NOTHING RETURNING 1 AS added`,
    Object.values(row),
  )
  if (added.length === 0) return false
  // A tick that was under way when one of the same name was deleted may have left a run.
  yield* query(`DELETE FROM millrace.schedule_runs WHERE ${named}`, keyOf(schedule))
  return true
}

/** A schedule with its payload. */
export function* readSchedule(name: ScheduleName): Program<ScheduleRecord | undefined> {
  const [row] = yield* query<ScheduleRow>(`SELECT ${columns}, payload FROM millrace.schedules WHERE ${named}`, keyOf(name))
  return row && recordOf(row)
}

/** Schedules by name, without their payloads. */
export function* listSchedules(
  { tenant, namespace }: Scope,
  page: { readonly limit: number; readonly after: string },
): Program<readonly ScheduleRecord[]> {
  const rows = yield* query<ScheduleRow>(
    `SELECT ${columns} FROM millrace.schedules WHERE tenant = $1 AND namespace = $2 AND name > $3 ORDER BY name LIMIT $4`,
    [tenant, namespace, page.after, page.limit],
  )
  return rows.map(recordOf)
}

/** Puts a schedule in the place of the one at `revision`. */
export function* replaceSchedule(schedule: ScheduleRecord, revision: number): Program<boolean> {
  const row = rowOf(schedule)
  const names = Object.keys(row)
  const done = yield* query(
    `UPDATE millrace.schedules SET ${names.map((name, i) => `${name} = $${i + 5}`).join(', ')}
      WHERE ${named} AND revision = $4 RETURNING 1 AS done`,
    [...keyOf(schedule), revision, ...Object.values(row)],
  )
  return done.length > 0
}

/** Forgets a schedule and its runs. */
export function* deleteSchedule(name: ScheduleName): Program<boolean> {
  const gone = yield* query(`DELETE FROM millrace.schedules WHERE ${named} RETURNING 1 AS gone`, keyOf(name))
  yield* query(`DELETE FROM millrace.schedule_runs WHERE ${named}`, keyOf(name))
  return gone.length > 0
}

/** Schedules of all tenants that are due. */
export function* dueSchedules(now: number, limit: number): Program<readonly ScheduleRecord[]> {
  const rows = yield* query<ScheduleRow>(`SELECT ${columns}, payload FROM millrace.schedules WHERE due_at <= $1 ORDER BY due_at LIMIT $2`, [
    now,
    limit,
  ])
  return rows.map(recordOf)
}

/** When the next schedule is due. */
export function* nextScheduleDue(): Program<number | undefined> {
  const [row] = yield* query<{ due: number | null }>('SELECT min(due_at) AS due FROM millrace.schedules WHERE due_at IS NOT NULL', [])
  return row?.due ?? undefined
}

/** Notes what becomes of a tick, unless that was decided before; returns what was decided first. */
export function* decideRun(name: ScheduleName, run: ScheduleRun): Program<ScheduleRun> {
  const { tenant, namespace } = name
  const id = runId(run)
  yield* query(
    `INSERT INTO millrace.schedule_runs (tenant, namespace, name, run, at, manual, submitted, reason, job)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant, namespace, name, run) DO NOTHING`,
    [tenant, namespace, name.name, id, run.at, run.manual ? 1 : 0, run.submitted ? 1 : 0, run.reason, run.job ?? null],
  )
  const [row] = yield* query<RunRow>(`SELECT at, manual, submitted, reason, job FROM millrace.schedule_runs WHERE ${named} AND run = $4`, [
    ...keyOf(name),
    id,
  ])
  yield* query(
    `DELETE FROM millrace.schedule_runs WHERE ${named} AND at <
      (SELECT at FROM millrace.schedule_runs WHERE ${named} ORDER BY at DESC LIMIT 1 OFFSET ${runsKept - 1})`,
    keyOf(name),
  )
  return row ? runOf(row) : run
}

/** Ends the tick that a schedule stands at and goes to the next one, unless somebody did so before. */
export function* advanceSchedule(
  schedule: ScheduleRecord,
  next: Pick<ScheduleRecord, 'nextAt' | 'dueAt'>,
  run: ScheduleRun,
): Program<boolean> {
  // What is known of the run comes first: after a crash in between, both are done again, to the same end.
  yield* query(`UPDATE millrace.schedule_runs SET submitted = $5, reason = $6, job = $7 WHERE ${named} AND run = $4`, [
    ...keyOf(schedule),
    runId(run),
    run.submitted ? 1 : 0,
    run.reason,
    run.job ?? null,
  ])
  const done = yield* query(
    `UPDATE millrace.schedules SET next_at = $5, due_at = $6, last_at = $4, last_job = coalesce($7, last_job), revision = revision + 1
      WHERE ${named} AND next_at = $4 AND revision = $8 RETURNING 1 AS done`,
    [...keyOf(schedule), run.at, next.nextAt ?? null, next.dueAt ?? null, run.job ?? null, schedule.revision],
  )
  return done.length > 0
}

/** The latest runs of a schedule. */
export function* listRuns(name: ScheduleName, limit: number): Program<readonly ScheduleRun[]> {
  const rows = yield* query<RunRow>(
    `SELECT at, manual, submitted, reason, job FROM millrace.schedule_runs WHERE ${named} ORDER BY at DESC, run DESC LIMIT $4`,
    [...keyOf(name), limit],
  )
  return rows.map(runOf)
}

/** Names a run: a tick by its time, a trigger by what it submitted, so that a repeat of either is the same run. */
function runId({ at, manual, job }: ScheduleRun): string {
  return manual ? `job ${job}` : `tick ${at}`
}

function keyOf({ tenant, namespace, name }: ScheduleName): [TenantId, string, string] {
  return [tenant, namespace, name]
}

function rowOf(schedule: ScheduleRecord): Record<string, Value> {
  return {
    tenant: schedule.tenant,
    namespace: schedule.namespace,
    name: schedule.name,
    spec: JSON.stringify(schedule.spec),
    payload: schedule.payload,
    paused: schedule.paused ? 1 : 0,
    revision: schedule.revision,
    next_at: schedule.nextAt ?? null,
    due_at: schedule.dueAt ?? null,
    last_at: schedule.lastAt ?? null,
    last_job: schedule.lastJob ?? null,
    created_at: schedule.createdAt,
    updated_at: schedule.updatedAt,
  }
}

function recordOf(row: ScheduleRow): ScheduleRecord {
  return {
    tenant: row.tenant,
    namespace: row.namespace,
    name: row.name,
    spec: JSON.parse(row.spec) as ScheduleSpec,
    payload: row.payload ?? new Uint8Array(0),
    paused: row.paused === 1,
    revision: row.revision,
    nextAt: row.next_at ?? undefined,
    dueAt: row.due_at ?? undefined,
    lastAt: row.last_at ?? undefined,
    lastJob: row.last_job ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

function runOf({ at, manual, submitted, reason, job }: RunRow): ScheduleRun {
  return { at, manual: manual === 1, submitted: submitted === 1, reason, job: job ?? undefined }
}
