import type { NewSchedule, ScheduleServiceDefinition, UpdateScheduleRequest } from '@millrace/protocol'
import { jobId } from '../domain/jobs/ids.ts'
import { requireWhole } from '../domain/keys/limited-scope.ts'
import type { ScheduleEngine, NewSchedule as Settings } from '../domain/schedules/engine.ts'
import { checkCron } from '../domain/schedules/timing.ts'
import type { Scope } from '../store/ports.ts'
import { runsKept, type ScheduleName, type ScheduleRecord, type ScheduleSpec } from '../store/schedule-port.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import type { ServiceContext } from './context.ts'
import { limits } from './limits.ts'
import { defaultName, laneOf, readRetryPolicy, readStateful } from './new-jobs.ts'
import { overlaps, toSchedule, toScheduleRun } from './schedule-shapes.ts'

/** Tasks and jobs that are submitted at set times. */
export function createScheduleService(
  { clock, payloadLimit, schemas }: ServiceContext,
  schedules: ScheduleEngine,
): ServiceOf<typeof ScheduleServiceDefinition> {
  function nameOf(scope: Scope, name: string, what: string, checks = new Checks()): ScheduleName {
    requireWhole(scope, `${what} schedules`)
    checks.name('name', name)
    checks.done()
    return { tenant: scope.tenant, namespace: scope.namespace, name }
  }

  async function setPaused(scope: Scope, name: string, paused: boolean) {
    const schedule = await schedules.update(nameOf(scope, name, paused ? 'pause' : 'resume'), () => ({ paused }))
    return { schedule: toSchedule(schedule) }
  }

  return {
    async createSchedule({ schedule: given }, { scope }) {
      requireWhole(scope, 'make schedules')
      const checks = new Checks()
      if (!given) checks.fail('schedule', 'is missing')
      checks.done()
      checks.at('schedule')
      const settings = readSettings(checks, given!, clock.now(), payloadLimit)
      const { job } = settings.spec
      const guard = job.function === '' ? await schemas.guard(scope, 'queue', job.queue) : undefined
      // Each tick is checked again, against what is attached then; this tells whoever makes it.
      if (guard) checks.schema(guard, { ...job, payload: settings.payload })
      checks.done()
      const schedule = await schedules.create({ tenant: scope.tenant, namespace: scope.namespace, name: given!.name }, settings)
      return { schedule: toSchedule(schedule) }
    },

    async getSchedule({ name }, { scope }) {
      return { schedule: toSchedule(await schedules.get(nameOf(scope, name, 'read'))) }
    },

    async listSchedules({ limit: asked, cursor }, { scope }) {
      requireWhole(scope, 'read schedules')
      const checks = new Checks()
      checks.text('cursor', cursor, limits.text)
      const limit = checks.page('limit', asked)
      checks.done()
      const found = await schedules.list(scope, { limit: limit + 1, after: cursor })
      const page = found.slice(0, limit)
      return { schedules: page.map(toSchedule), nextCursor: found.length > limit ? page.at(-1)!.name : '' }
    },

    async updateSchedule(request, { scope }) {
      const checks = new Checks()
      const { payload, contentType } = request
      if (payload) checks.payload('payload', payload, payloadLimit)
      checks.text('contentType', contentType, limits.text)
      if (contentType !== '' && !payload) checks.fail('contentType', 'needs a payload')
      const name = nameOf(scope, request.name, 'change', checks)
      const schedule = await schedules.update(name, (before) => {
        const spec = changeSpec(new Checks(), before, request, clock.now())
        return payload ? { spec: { ...spec, job: { ...spec.job, contentType } }, payload } : { spec }
      })
      return { schedule: toSchedule(schedule) }
    },

    async deleteSchedule({ name }, { scope }) {
      return { deleted: await schedules.delete(nameOf(scope, name, 'delete')) }
    },

    pauseSchedule: ({ name }, { scope }) => setPaused(scope, name, true),
    resumeSchedule: ({ name }, { scope }) => setPaused(scope, name, false),

    async triggerSchedule({ name, requestId }, { scope }) {
      const checks = new Checks()
      checks.text('requestId', requestId, limits.requestId)
      return { jobId: jobId(await schedules.trigger(nameOf(scope, name, 'trigger', checks), requestId)) }
    },

    async listScheduleRuns({ name, limit }, { scope }) {
      const checks = new Checks()
      checks.integer('limit', limit, 0, runsKept)
      const { schedule, runs } = await schedules.runs(nameOf(scope, name, 'read', checks), limit || runsKept)
      return { runs: runs.map((run) => toScheduleRun(run, schedule.spec.job.function)) }
    },
  }
}

/** Checks a schedule. The result means nothing when a check failed. */
function readSettings(checks: Checks, given: NewSchedule, now: number, payloadLimit: number): Settings {
  const { payload, contentType, headers, labels, priority, maxAttempts, timeoutMs, paused } = given
  checks.name('name', given.name)
  checks.text('name', given.name, limits.scheduleName)
  checks.payload('payload', payload, payloadLimit)
  checks.text('contentType', contentType, limits.text)
  checks.headers('headers', headers)
  checks.labels('labels', labels)
  checks.integer('priority', priority, -limits.priority, limits.priority)
  checks.integer('maxAttempts', maxAttempts, 0, limits.attempts)
  checks.integer('timeoutMs', timeoutMs, 0, limits.timeout)
  const name = given.function === '' ? '' : checks.nameOr('function', given.function, '')
  const queue = name === '' ? given.queue : checks.nameOr('queue', given.queue, defaultName)
  if (name === '' && queue === '') checks.fail('function', 'is missing; give a function, or the queue of plain jobs')
  else checks.name('queue', queue)
  if (name === '') checkPlain(checks, given)
  if (given.retry && maxAttempts !== 0) checks.fail('maxAttempts', 'cannot stand together with retry, which has it too')
  const job = {
    queue,
    function: laneOf(name, given.teeRequired),
    contentType,
    headers,
    labels,
    priority,
    maxAttempts: maxAttempts || undefined,
    retry: given.retry && readRetryPolicy(checks, 'retry', given.retry),
    timeoutMs,
  }
  const catchUp = given.catchUp ?? 1
  const overlap = overlaps[given.overlap] ?? 'skip'
  if (given.overlap !== 0 && !(given.overlap in overlaps)) checks.fail('overlap', `${given.overlap} is not a policy`)
  const spec: ScheduleSpec = {
    ...readTimes(checks, given),
    from: now,
    timezone: given.timezone || 'UTC',
    jitterMs: given.jitterMs,
    overlap,
    catchUp,
    job,
    state: readState(checks, given, payloadLimit),
  }
  checkSpec(checks, spec)
  return { spec, payload, paused }
}

/** Plain jobs have none of what is of tasks alone. */
function checkPlain(checks: Checks, { labels, retry, stateKey, teeRequired }: NewSchedule): void {
  const given = { labels: Object.keys(labels).length > 0, retry: retry !== undefined, stateKey: stateKey !== '', teeRequired }
  for (const [field, is] of Object.entries(given)) if (is) checks.fail(field, 'is of tasks alone: give a function too')
}

/** What its tasks work on; undefined when they are stateless. */
function readState(checks: Checks, { stateKey, initialState, stateTtlMs }: NewSchedule, payloadLimit: number): ScheduleSpec['state'] {
  const stateful = readStateful(checks, { stateKey, initialState, stateTtlMs, concurrency: undefined }, payloadLimit)
  if (initialState && initialState.data.length > limits.scheduleState) {
    checks.fail(
      'initialState.data',
      `has ${initialState.data.length} bytes; a schedule keeps ${limits.scheduleState}: have the handler begin larger states`,
    )
  }
  if (!stateful) return undefined
  const { key, ttlMs, initial } = stateful
  return { key, ttlMs, ...(initial && { initial: Buffer.from(initial.data).toString('base64'), contentType: initial.contentType }) }
}

function readTimes(
  checks: Checks,
  { cron, everyMs, at }: Pick<UpdateScheduleRequest, 'cron' | 'everyMs' | 'at'>,
): Pick<ScheduleSpec, 'cron' | 'everyMs' | 'at'> {
  const times = { ...(cron && { cron }), ...(everyMs && { everyMs }), ...(at && { at: checks.time('at', at) }) }
  if (Object.keys(times).length !== 1) checks.fail('cron', 'give exactly one of cron, everyMs and at')
  return times
}

/** What a schedule becomes. @throws VALIDATION */
function changeSpec(checks: Checks, { spec }: ScheduleRecord, request: UpdateScheduleRequest, now: number): ScheduleSpec {
  const { cron, everyMs, at, ...kept } = spec
  const moved = request.cron !== undefined || request.everyMs !== undefined || request.at !== undefined
  const times = moved ? { ...readTimes(checks, request), from: now } : { cron, everyMs, at }
  if (request.overlap !== undefined && !(request.overlap in overlaps)) checks.fail('overlap', `${request.overlap} is not a policy`)
  const changed: ScheduleSpec = {
    ...kept,
    ...times,
    timezone: request.timezone ?? spec.timezone,
    jitterMs: request.jitterMs ?? spec.jitterMs,
    overlap: (request.overlap !== undefined && overlaps[request.overlap]) || spec.overlap,
    catchUp: request.catchUp ?? spec.catchUp,
  }
  checkSpec(checks, changed)
  checks.done()
  return changed
}

function checkSpec(checks: Checks, { cron, everyMs, timezone, jitterMs, catchUp }: ScheduleSpec): void {
  checks.text('cron', cron ?? '', limits.text)
  checks.text('timezone', timezone, limits.text)
  if (everyMs !== undefined) checks.integer('everyMs', everyMs, limits.every, limits.delay)
  checks.integer('jitterMs', jitterMs, 0, limits.jitter)
  checks.integer('catchUp', catchUp, 0, limits.catchUp)
  if (!checks.ok) return
  const wrong = checkCron(cron ?? '* * * * *', timezone)
  if (wrong) checks.fail(wrong.field, wrong.message)
}
