import { ratedKinds } from '../flow/flows.ts'
import { type ChangeCause, type JobError, JobState, type RetryPolicy, type Scope } from '../ports.ts'
import { columns } from './arrays.ts'
import type { Context } from './context.ts'
import { countMoves, Writer } from './counts.ts'
import type { Statement } from './database.ts'
import { withFlow } from './flow.ts'
import { type ReadyRow, readyOf } from './heads.ts'
import { heldOf, inLockOrder, jobKey, type Lease, leaseColumns } from './held.ts'

/** An attempt that ended badly, or was given back. */
export interface Ending extends Lease {
  readonly state: typeof JobState.scheduled | typeof JobState.pending | typeof JobState.failed
  readonly dueAt?: number
  readonly error?: JobError
  /** Given back: the attempt does not count. */
  readonly uncounted: boolean
  readonly cause: ChangeCause
  /** Not its holder ended it: the lease is stale from now on. And only if it is due at `now`: a renewal comes first. */
  readonly overdue: boolean
  /** It has to do with others. */
  readonly flow?: boolean
}

/** What a failed attempt's next one depends on. */
interface Attempt {
  readonly scope: Scope
  readonly seq: number
  readonly token: number
  readonly attempt: number
  readonly maxAttempts: number
  readonly retry: string | null
  readonly deadline: number | null
  readonly flow: boolean
  readonly rated: boolean
}

type AttemptRow = readonly [
  tenant: number,
  namespace: string,
  seq: number,
  token: number,
  attempts: number,
  maxAttempts: number,
  retry: string | null,
  deadline: number | null,
  flow: number | null,
]

/** What looks after the leases of a claim. */
type WatchRow = readonly [tenant: number, none: null, id: number, ...none: null[]]

const attemptColumns = 'j.tenant, l.namespace, j.seq, j.token, j.attempts, j.max_attempts, coalesce(j.retry, q.retry), j.deadline, j.flow'
const laneOfJob = `JOIN millrace.lanes l ON l.tenant = j.tenant AND l.lane = j.lane JOIN millrace.queues q ON q.tenant = l.tenant AND q.queue = l.queue`

const leases = columns<Lease>(leaseColumns)
const readHeld: Statement = {
  name: 'attempts_held',
  repeatable: true,
  text: `
    SELECT ${attemptColumns} FROM ${leases.from('i', 1)}
    CROSS JOIN LATERAL (
      SELECT * FROM millrace.jobs WHERE tenant = i.tenant AND seq = i.seq AND token = i.token AND state = ${JobState.running} LIMIT 1
    ) AS j ${laneOfJob} WHERE l.namespace = i.namespace`,
}

/** Jobs whose leases are looked at in one statement, about. */
const mostLookedAt = 10_000

/** What looks after leases that may be over, and the overdue attempts among them. */
const readOverdue: Statement = {
  name: 'attempts_overdue',
  repeatable: true,
  text: `
    WITH due AS MATERIALIZED (
      SELECT tenant, id, seqs FROM (
        SELECT tenant, id, seqs, sum(cardinality(seqs)) OVER (ORDER BY due_at, id) AS jobs
        FROM (SELECT * FROM millrace.leases WHERE due_at <= $1 ORDER BY due_at LIMIT $2) AS first
      ) AS first WHERE jobs - cardinality(seqs) < ${mostLookedAt}
    )
    SELECT tenant, NULL, id, NULL, NULL, NULL, NULL, NULL, NULL FROM due
    UNION ALL
    SELECT ${attemptColumns} FROM due d CROSS JOIN LATERAL unnest(d.seqs) AS s (seq)
    CROSS JOIN LATERAL (
      SELECT * FROM millrace.jobs WHERE tenant = d.tenant AND seq = s.seq AND state = ${JobState.running} AND lease_until <= $1 LIMIT 1
    ) AS j ${laneOfJob}`,
}

const watched = columns<readonly [tenant: number, id: number]>({ tenant: ['int', ([tenant]) => tenant], id: ['bigint', ([, id]) => id] })
/** Looks after what still runs until the next of it is due, and no longer after the rest. */
const watchOn: Statement = {
  name: 'leases_watch_on',
  repeatable: true,
  text: `
    WITH live AS MATERIALIZED (
      SELECT h.at, r.due_at, r.seqs FROM ${watched.from('i', 1)}
      CROSS JOIN LATERAL (
        SELECT ctid AS at, tenant, seqs FROM millrace.leases WHERE tenant = i.tenant AND id = i.id FOR UPDATE SKIP LOCKED
      ) AS h
      CROSS JOIN LATERAL (
        SELECT min(j.lease_until) AS due_at, array_agg(j.seq) AS seqs FROM unnest(h.seqs) AS s (seq) CROSS JOIN LATERAL (
          SELECT seq, lease_until FROM millrace.jobs WHERE tenant = h.tenant AND seq = s.seq AND state = ${JobState.running} LIMIT 1
        ) AS j
      ) AS r
    ), kept AS (
      UPDATE millrace.leases l SET due_at = live.due_at, seqs = live.seqs FROM live WHERE l.ctid = live.at AND live.seqs IS NOT NULL
    )
    DELETE FROM millrace.leases l USING live WHERE l.ctid = live.at AND live.seqs IS NULL`,
}

const rows = columns<Ending>({
  ...leaseColumns,
  state: ['smallint', ({ state }) => state],
  run_at: ['bigint', ({ dueAt }) => dueAt],
  error: ['text', ({ error }) => error && JSON.stringify(error)],
  uncounted: ['int', ({ uncounted }) => (uncounted ? 1 : 0)],
  overdue: ['int', ({ overdue }) => (overdue ? 1 : 0)],
})

const end: Statement = {
  name: 'end_attempts',
  // Done again, it finds nothing held.
  repeatable: true,
  text: `
    WITH ${heldOf(rows.from('i', 2), 'AND (i.overdue = 0 OR j.lease_until <= i.now)')}, ended AS (
      UPDATE millrace.jobs j SET state = h.state, updated_at = h.now, revision = j.revision + 1, attempts = j.attempts - h.uncounted,
        rank = CASE WHEN h.state = ${JobState.pending} THEN j.rank END, run_at = h.run_at, lease_until = NULL, deadline = NULL,
        failed_at = CASE WHEN h.state = ${JobState.failed} THEN h.now END,
        token = CASE h.overdue WHEN 1 THEN -j.token ELSE j.token END, error = coalesce(h.error, j.error)
      FROM held h WHERE j.ctid = h.at
      RETURNING j.tenant, j.seq, j.lane, j.state, j.priority
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, ${JobState.running} AS from_state, state AS into_state FROM ended`, '$1::int')}
    )
    SELECT tenant, lane, -priority, seq FROM ended`,
}

/** A lease whose holder says that the attempt failed. */
export interface Failure extends Lease {
  readonly error: JobError
  readonly noRetry: boolean
  readonly delayMs: number | undefined
}

/** Plans what comes after failures whose lease is current. Only a current lease can be ended, and under one nothing of this changes. */
export async function planFailures(context: Context, failures: readonly Failure[]): Promise<readonly Ending[]> {
  const rows = await context.db.run<AttemptRow>(readHeld, leases.values(failures))
  const held = new Map(rows.map((row) => [jobKey(row[0], row[2]), attemptOf(row)]))
  return failures.flatMap((failure) => {
    const attempt = held.get(jobKey(failure.scope.tenant, failure.seq))
    const { now, error, noRetry, delayMs } = failure
    const runAt = delayMs === undefined ? undefined : now + delayMs
    return attempt ? [endingOf(context, attempt, { now, error, noRetry, runAt, cause: 'settled' })] : []
  })
}

/** Ends attempts whose lease is current; returns their {@link jobKey}s. */
export async function endAttempts(context: Context, endings: readonly Ending[], writer: number): Promise<ReadonlySet<string>> {
  if (endings.length === 0) return new Set()
  const last = endings.filter(({ flow, state }) => flow && state === JobState.failed)
  if (last.length > 0) {
    const ended = await endFlows(context, last, writer)
    const others = endings.filter((ending) => !last.includes(ending))
    return new Set([...ended, ...(await endAttempts(context, others, writer))])
  }
  const values = rows.values(inLockOrder(endings))
  const done = (await context.db.run<ReadyRow>(end, [context.writer(writer), ...values])).map(readyOf)
  const places = new Map(done.map((place) => [jobKey(place.tenant, place.seq), place]))
  const ended = endings.filter(({ scope, seq }) => places.has(jobKey(scope.tenant, seq)))
  await context.announce({
    ready: ended.filter(({ state }) => state === JobState.pending).map(({ scope, seq }) => places.get(jobKey(scope.tenant, seq))!),
    changes: ended.map(({ scope, seq, state, cause, dueAt }) => ({ tenant: scope.tenant, seq, state, cause, dueAt })),
  })
  return new Set(places.keys())
}

/** Ends jobs for good that others wait for, with all that follows. */
function endFlows(context: Context, endings: readonly Ending[], writer: number): Promise<ReadonlySet<string>> {
  return withFlow(context, async (flow) => {
    await flow.lock(endings.map(({ scope, seq }) => ({ tenant: scope.tenant, seq })))
    const done = await flow.change<ReadyRow>(end, [context.writer(writer), ...rows.values(inLockOrder(endings))])
    const keys = new Set(done.map(readyOf).map(({ tenant, seq }) => jobKey(tenant, seq)))
    for (const { scope, seq, state, cause, now, error } of endings.filter(({ scope, seq }) => keys.has(jobKey(scope.tenant, seq)))) {
      flow.changes.push({ tenant: scope.tenant, seq, state, cause })
      await flow.ended(scope, seq, { state: JobState.failed, now, inside: true, error: error && JSON.stringify(error) })
    }
    return keys
  })
}

/**
 * Ends attempts whose lease or time is over; returns how many, at most `limit`. Several nodes may do it at once: each attempt
 * is ended by one.
 */
export async function expireAttempts(context: Context, now: number, limit: number): Promise<number> {
  const rows = await context.db.run<AttemptRow | WatchRow>(readOverdue, [now, limit])
  // A job that was let go and taken again is looked after twice, and ends once.
  const byJob = rows.filter((row): row is AttemptRow => row[1] !== null).map((row) => [jobKey(row[0], row[2]), attemptOf(row)] as const)
  const attempts = [...new Map(byJob).values()]
  const endings = attempts.slice(0, limit).map((attempt) => overdueEnding(context, attempt, now))
  const ended = await endAttempts(context, endings, Writer.other)
  const watches = rows.filter((row) => row[1] === null)
  if (watches.length > 0 && attempts.length <= limit) {
    await context.db.run(watchOn, watched.values(watches.map(([tenant, , id]) => [tenant, id])))
  }
  return ended.size
}

function overdueEnding(context: Context, attempt: Attempt, now: number): Ending {
  if (attempt.deadline !== null && attempt.deadline <= now) {
    const error = { message: 'The attempt took longer than the timeout of the job.', code: 'timeout', stack: '' }
    return endingOf(context, attempt, { now, error, noRetry: false, runAt: undefined, cause: 'timeout' })
  }
  // The worker is gone or hangs, which is no fault of the job's: it goes to the next one without a wait.
  const error = { message: 'The worker did not renew its lease in time.', code: 'lease_expired', stack: '' }
  return endingOf(context, attempt, { now, error, noRetry: false, runAt: now, cause: 'lease-expired' })
}

/** The attempt failed: plans the next one, or the job's end. */
function endingOf(
  { options }: Context,
  { scope, seq, token, attempt, maxAttempts, retry, flow, rated }: Attempt,
  { now, error, noRetry, runAt, cause }: { now: number; error: JobError; noRetry: boolean; runAt: number | undefined; cause: ChangeCause },
): Ending {
  const policy = retry === null ? options.defaultRetry : (JSON.parse(retry) as RetryPolicy)
  const planned = noRetry ? undefined : options.planRetry({ attempt, maxAttempts, policy, now })
  const common = { scope, seq, token, now, error, uncounted: false, cause, overdue: cause !== 'settled', flow }
  if (planned === undefined) return { ...common, state: JobState.failed }
  const next = runAt ?? planned
  // One whose starts are limited comes to the limit again.
  return next > now || rated ? { ...common, state: JobState.scheduled, dueAt: next } : { ...common, state: JobState.pending }
}

function attemptOf([tenant, namespace, seq, token, attempt, maxAttempts, retry, deadline, flow]: AttemptRow): Attempt {
  return {
    scope: { tenant, namespace },
    seq,
    token,
    attempt,
    maxAttempts,
    retry,
    deadline,
    flow: flow !== null,
    rated: ratedKinds.includes(flow ?? 0),
  }
}
