import { type JobChange, JobState, type NewLogEntry } from '../ports.ts'
import { columns, storable } from './arrays.ts'
import type { Context } from './context.ts'
import type { Statement } from './database.ts'
import { heldOf, inLockOrder, jobKey, type Lease, leaseColumns } from './held.ts'

/** Lines kept of one job's log; the oldest go first. */
const mostLogLines = 1000

/** A lease to prolong. */
export interface Renewal extends Lease {
  /** 0: as long as it was taken for. */
  readonly leaseMs: number
}
const renewals = columns<Renewal>({ ...leaseColumns, lease_ms: ['bigint', ({ leaseMs }) => leaseMs] })
/** A lease that ends sooner than it did is looked after anew: what looked after it will look too late. */
const renew: Statement = {
  name: 'renew',
  repeatable: true,
  text: `
    WITH ${heldOf(renewals.from('i', 2))}, renewed AS (
      UPDATE millrace.jobs j SET updated_at = h.now, lease_until = least(h.now + coalesce(nullif(h.lease_ms, 0), j.lease_ms), j.deadline)
      FROM held h WHERE j.ctid = h.at
      RETURNING j.tenant, j.seq, h.now + coalesce(nullif(h.lease_ms, 0), j.lease_ms) AS expires_at, j.lease_until, h.lease_until AS before
    ), tracked AS (
      INSERT INTO millrace.leases (tenant, id, due_at, seqs)
      SELECT tenant, $1::bigint, min(lease_until), array_agg(seq) FROM renewed WHERE lease_until < before GROUP BY tenant
    )
    SELECT tenant, seq, expires_at FROM renewed`,
}

/** Prolongs leases that are current; returns their new ends by {@link jobKey}. */
export async function renewLeases({ db, nodes, sequence }: Context, leases: readonly Renewal[]): Promise<ReadonlyMap<string, number>> {
  await nodes.reserve(1)
  const done = await db.run<[number, number, number]>(renew, [sequence.next(), ...renewals.values(inLockOrder(leases))])
  return new Map(done.map(([tenant, seq, leaseExpiresAt]) => [jobKey(tenant, seq), leaseExpiresAt]))
}

/** How far a job is. */
export interface Progress extends Lease {
  readonly percent: number
  readonly message: string
}
const progresses = columns<Progress>({
  ...leaseColumns,
  // Postgres refuses what is smaller than its type's smallest, where this rounds to 0.
  progress: ['real', ({ percent }) => Math.fround(percent)],
  message: ['text', ({ message }) => message || null],
})
const progress: Statement = {
  name: 'progress',
  repeatable: true,
  text: `
    WITH ${heldOf(progresses.from('i', 1))}
    UPDATE millrace.jobs j SET updated_at = h.now, revision = j.revision + 1, progress = h.progress, message = h.message
    FROM held h WHERE j.ctid = h.at
    RETURNING j.tenant, j.seq`,
}

/** Keeps the progress of jobs whose lease is current; returns their {@link jobKey}s. */
export async function keepProgress(context: Context, reports: readonly Progress[]): Promise<ReadonlySet<string>> {
  const done = await context.db.run<[number, number]>(progress, progresses.values(inLockOrder(reports)))
  await context.announce({ changes: done.map(changed) })
  return new Set(done.map(([tenant, seq]) => jobKey(tenant, seq)))
}

/** Lines for a job's log. */
export interface LogLines extends Lease {
  readonly entries: readonly NewLogEntry[]
}
const logLines = columns<LogLines>({
  ...leaseColumns,
  count: ['int', ({ entries }) => entries.length],
  lines: [
    'text',
    ({ entries }) =>
      JSON.stringify(entries.map((entry) => [entry.timestamp, entry.level, storable(entry.message), storable(entry.fields)])),
  ],
})
const log: Statement = {
  name: 'log',
  // Done again, it would add the lines twice.
  repeatable: false,
  text: `
    WITH ${heldOf(logLines.from('i', 1))}, lengthened AS (
      UPDATE millrace.jobs j SET log_lines = coalesce(j.log_lines, 0) + h.count FROM held h WHERE j.ctid = h.at
      RETURNING j.tenant, j.seq, j.log_lines AS total, j.log_lines - h.count AS before, h.lines
    ), added AS (
      INSERT INTO millrace.logs (tenant, seq, line, timestamp, level, message, fields)
      SELECT b.tenant, b.seq, b.before + e.n, (e.entry ->> 0)::bigint, (e.entry ->> 1)::smallint, e.entry ->> 2, e.entry ->> 3
      FROM lengthened b CROSS JOIN LATERAL json_array_elements(b.lines::json) WITH ORDINALITY AS e (entry, n)
      WHERE b.before + e.n > b.total - ${mostLogLines}
    )
    SELECT tenant, seq, total FROM lengthened`,
}
const trim: Statement = {
  name: 'log_trim',
  repeatable: true,
  text: 'DELETE FROM millrace.logs WHERE tenant = $1 AND seq = $2 AND line <= $3',
}

/** Adds to the logs of jobs whose lease is current; returns their {@link jobKey}s. */
export async function addLogLines(context: Context, logs: readonly LogLines[]): Promise<ReadonlySet<string>> {
  const done = await context.db.run<[number, number, number]>(log, logLines.values(inLockOrder(logs)))
  for (const [tenant, seq, total] of done) {
    if (total > mostLogLines) await context.db.run(trim, [tenant, seq, total - mostLogLines])
  }
  await context.announce({ changes: done.map(changed) })
  return new Set(done.map(([tenant, seq]) => jobKey(tenant, seq)))
}

function changed([tenant, seq]: readonly [number, number, ...unknown[]]): JobChange {
  return { tenant, seq, state: JobState.running, cause: 'other' }
}
