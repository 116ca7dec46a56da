import { JobState } from '../ports.ts'
import type { Kind, Section } from '../sections.ts'
import { seen } from './rows.ts'

const { scheduled, pending, running, completed, failed, cancelled } = JobState
const sqlTypes: Readonly<Record<Kind, string>> = { number: 'bigint', real: 'real', boolean: 'boolean', text: 'text', bytes: 'text' }

/** SQL of a job `x` being there still. */
const there = `(EXISTS (SELECT FROM millrace.jobs j WHERE j.tenant = x.tenant AND j.seq = x.seq)
      OR EXISTS (SELECT FROM millrace.completed j WHERE j.tenant = x.tenant AND j.seq = x.seq AND j.${seen}))`

const counts = ['scheduled', 'pending', 'blocked', 'running', 'completed', 'failed', 'cancelled', 'dead', 'total']

/** SQL of the records of sections that are not a table of the same name, or not all of it. */
const selects: Readonly<Record<string, string>> = {
  lanes: `SELECT tenant, lane, queue, function, ${counts.map((name) => `coalesce(${name}, 0) AS ${name}`).join(', ')} FROM millrace.lanes l
      LEFT JOIN LATERAL (SELECT ${counts.map((name) => `sum(${name})::bigint AS ${name}`).join(', ')} FROM millrace.lane_counts c
        WHERE c.tenant = l.tenant AND c.lane = l.lane) AS c ON true`,
  jobs: `SELECT tenant, seq, lane, state, priority, attempts, max_attempts, revision, timeout_ms, CASE WHEN token > 0 THEN token END AS token,
        CASE state WHEN ${running} THEN lease_ms END AS lease_ms, lease_until, deadline, created_at, updated_at, run_at, started_at,
        coalesce(failed_at, cancelled_at) AS finished_at, batch, progress, worker, message, idempotency_key, retry, content_type, headers, labels,
        NULL::text AS result_type, error, payload, NULL::bytea AS result, flow FROM millrace.jobs
      UNION ALL SELECT tenant, seq, lane, ${completed}::smallint, priority, attempts, max_attempts, revision, NULL::bigint, token, NULL::bigint, NULL::bigint,
        NULL::bigint, created_at, NULL::bigint, NULL::bigint, started_at, finished_at, batch, NULL::real, worker, message, idempotency_key, NULL::text,
        content_type, headers, labels, result_type, NULL::text, payload, result, flow FROM millrace.completed WHERE ${seen}`,
  logs: `SELECT * FROM millrace.logs x WHERE ${there}`,
  idempotency: `SELECT * FROM millrace.idempotency x WHERE ${there}`,
}

/** A table that grows with the section. */
export function tablesOf({ name }: Section): readonly string[] {
  return name === 'jobs' ? ['jobs', 'completed'] : [name]
}

/** A section's SQL: its records in order, with byte strings over `mostInline` left out and, in a last column, whether any was. */
export function readOf({ name, key, columns }: Section, mostInline: number, after: boolean): string {
  const listed = Object.entries(columns).map(([column, kind]) =>
    kind === 'bytes' ? `CASE WHEN octet_length(${column}) <= ${mostInline} THEN ${column} END AS ${column}` : column,
  )
  const large = namesOf(columns, 'bytes').map((column) => `coalesce(octet_length(${column}) > ${mostInline}, false)`)
  const ordered = key.map((column) => inByteOrder(column, columns[column]!)).join(', ')
  return `SELECT ${listed.join(', ')}, ${large.join(' OR ') || 'false'} AS large FROM (${selectOf(name)}) AS r
    ${after ? `WHERE (${ordered}) > (${key.map((_, i) => `$${i + 1}`).join(', ')})` : ''} ORDER BY ${ordered}`
}

/** A record's byte strings, by its key. */
export function bytesOf({ name, key, columns }: Section): string {
  return `SELECT ${namesOf(columns, 'bytes').join(', ')} FROM (${selectOf(name)}) AS r
    WHERE ${key.map((column, i) => `${column} = $${i + 1}`).join(' AND ')}`
}

/** SQL that adds records: `$1` has them as a JSON array of objects. */
export function writeOf({ name, columns }: Section): string {
  const shape = Object.entries(columns).map(([column, kind]) => `${column} ${sqlTypes[kind]}`)
  const values = Object.entries(columns).map(([column, kind]) => (kind === 'bytes' ? `decode(${column}, 'base64') AS ${column}` : column))
  const records = `records AS MATERIALIZED (SELECT ${values.join(', ')} FROM json_to_recordset($1::json) AS r (${shape.join(', ')}))`
  const names = Object.keys(columns).join(', ')
  return `WITH ${records} ${writes[name] ?? `INSERT INTO millrace.${name} (${names}) OVERRIDING SYSTEM VALUE SELECT ${names} FROM records`}`
}

const completedColumns = `tenant, seq, lane, priority, attempts, max_attempts, revision, token, created_at, started_at, finished_at, batch, worker, message,
        idempotency_key, content_type, headers, labels, result_type, payload, result, flow`

const writes: Readonly<Record<string, string>> = {
  lanes: `, added AS (
      INSERT INTO millrace.lanes (tenant, lane, queue, function, namespace) OVERRIDING SYSTEM VALUE
      SELECT r.tenant, r.lane, r.queue, r.function, q.namespace FROM records r JOIN millrace.queues q ON q.tenant = r.tenant AND q.queue = r.queue
    )
    INSERT INTO millrace.lane_counts (tenant, lane, writer, ${counts.join(', ')}) SELECT tenant, lane, 0, ${counts.join(', ')} FROM records`,
  // Running jobs are looked after by a row of leases, as if one claim had taken them.
  jobs: `, kept AS (
      INSERT INTO millrace.completed (${completedColumns}) SELECT ${completedColumns} FROM records WHERE state = ${completed}
    ), added AS (
      INSERT INTO millrace.jobs (tenant, lane, seq, rank, state, priority, attempts, max_attempts, revision, timeout_ms, token, lease_ms, lease_until,
        deadline, created_at, updated_at, run_at, started_at, failed_at, cancelled_at, batch, progress, namespace, worker, message, idempotency_key,
        retry, content_type, headers, labels, error, payload, flow)
      SELECT r.tenant, r.lane, r.seq, CASE WHEN r.state IN (${pending}, ${running}) THEN -r.priority END, r.state, r.priority, r.attempts, r.max_attempts,
        r.revision, r.timeout_ms, r.token, r.lease_ms, r.lease_until, r.deadline, r.created_at, r.updated_at,
        CASE r.state WHEN ${scheduled} THEN r.run_at END, r.started_at, CASE r.state WHEN ${failed} THEN r.finished_at END,
        CASE r.state WHEN ${cancelled} THEN r.finished_at END, r.batch, r.progress, l.namespace, r.worker, r.message, r.idempotency_key, r.retry,
        r.content_type, r.headers, r.labels, r.error, r.payload, r.flow
      FROM records r JOIN millrace.lanes l ON l.tenant = r.tenant AND l.lane = r.lane WHERE r.state <> ${completed}
    ), labelled AS (
      INSERT INTO millrace.labels (tenant, key, value, seq)
      SELECT tenant, key, value, seq FROM json_to_recordset($2::json) AS label (tenant int, key text, value text, seq bigint)
    )
    INSERT INTO millrace.leases (tenant, id, due_at, seqs)
    SELECT tenant, min(seq), min(lease_until), array_agg(seq) FROM records WHERE state = ${running} GROUP BY tenant`,
  logs: `, added AS (
      INSERT INTO millrace.logs (tenant, seq, line, timestamp, level, message, fields)
      SELECT tenant, seq, line, timestamp, level, message, fields FROM records
    )
    UPDATE millrace.jobs j SET log_lines = r.lines FROM (SELECT tenant, seq, max(line) AS lines FROM records GROUP BY tenant, seq) AS r
    WHERE j.tenant = r.tenant AND j.seq = r.seq`,
}

function selectOf(name: string): string {
  return selects[name] ?? `SELECT * FROM millrace.${name}`
}

function namesOf(columns: Section['columns'], kind: Kind): string[] {
  return Object.keys(columns).filter((column) => columns[column] === kind)
}

function inByteOrder(column: string, kind: Kind): string {
  return kind === 'text' ? `${column} COLLATE "C"` : column
}
