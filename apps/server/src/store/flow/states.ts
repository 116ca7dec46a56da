import type { Content, Scope, StateRecord } from '../ports.ts'
import { type Program, query } from './program.ts'

interface StateRow {
  readonly key: string
  readonly data?: Uint8Array
  readonly content_type: string | null
  readonly size: number
  readonly revision: number
  readonly updated_at: number
  readonly expires_at: number | null
}

/** What is past its time is not there, whether it was deleted yet or not. */
const live = '(expires_at IS NULL OR expires_at > $3)'
const columns = 'key, content_type, length(data) AS size, revision, updated_at, expires_at'

/** A state with its value. */
export function* readState({ tenant, namespace }: Scope, key: string, now: number): Program<StateRecord | undefined> {
  const [row] = yield* query<StateRow>(
    `SELECT ${columns}, data FROM millrace.states WHERE tenant = $1 AND namespace = $2 AND ${live} AND key = $4`,
    [tenant, namespace, now, key],
  )
  return row && recordOf(row)
}

/** States by key, without their values. */
export function* listStates(
  { tenant, namespace }: Scope,
  prefix: string,
  page: { readonly limit: number; readonly after: string },
  now: number,
): Program<readonly StateRecord[]> {
  const end = endOf(prefix)
  const rows = yield* query<StateRow>(
    `SELECT ${columns} FROM millrace.states WHERE tenant = $1 AND namespace = $2 AND ${live}
      AND key > $4 AND key >= $5 ${end === undefined ? '' : 'AND key < $8'} AND substr(key, 1, $6) = $5 ORDER BY key LIMIT $7`,
    [tenant, namespace, now, page.after, prefix, [...prefix].length, page.limit, ...(end === undefined ? [] : [end])],
  )
  return rows.map(recordOf)
}

/**
 * A text behind all that begin with a prefix, so that no others are looked at; undefined when there is none. The order is that of
 * code points. One after NUL is none: Postgres keeps another character in its place.
 */
function endOf(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0)!)
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last === 0 || last === 0x10ffff) continue
    return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
  }
  return undefined
}

/** Forgets a state; false when there was none. */
export function* deleteState({ tenant, namespace }: Scope, key: string, now: number): Program<boolean> {
  const [gone] = yield* query<{ expires_at: number | null }>(
    'DELETE FROM millrace.states WHERE tenant = $1 AND namespace = $2 AND key = $3 RETURNING expires_at',
    [tenant, namespace, key],
  )
  return gone !== undefined && (gone.expires_at === null || gone.expires_at > now)
}

/** Deletes states past their time; returns how many, at most `limit`. */
export function* sweepStates(now: number, limit: number): Program<number> {
  const gone = yield* query(
    `DELETE FROM millrace.states WHERE (tenant, namespace, key) IN
      (SELECT tenant, namespace, key FROM millrace.states WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) RETURNING 1 AS gone`,
    [now, limit],
  )
  return gone.length
}

/** Stores what a completed task leaves: its change, or else what it began with. */
export function* commitState(
  scope: Scope,
  key: string,
  {
    change,
    initial,
    ttlMs,
    now,
  }: { readonly change: Content | null | undefined; readonly initial: Content | undefined; readonly ttlMs: number; readonly now: number },
): Program<void> {
  if (change === null) {
    yield* deleteState(scope, key, now)
    return
  }
  const { tenant, namespace } = scope
  const expiresAt = ttlMs > 0 ? now + ttlMs : null
  const stored = yield* readState(scope, key, now)
  const value = change ?? (stored ? undefined : initial)
  if (value) {
    yield* query(
      `INSERT INTO millrace.states (tenant, namespace, key, data, content_type, revision, updated_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (tenant, namespace, key) DO UPDATE SET data = excluded.data, content_type = excluded.content_type,
          revision = excluded.revision, updated_at = excluded.updated_at, expires_at = excluded.expires_at`,
      [tenant, namespace, key, value.data, value.contentType || null, (stored?.revision ?? 0) + 1, now, expiresAt],
    )
  } else if (stored) {
    yield* query('UPDATE millrace.states SET expires_at = $4 WHERE tenant = $1 AND namespace = $2 AND key = $3', [
      tenant,
      namespace,
      key,
      expiresAt,
    ])
  }
}

function recordOf(row: StateRow): StateRecord {
  return {
    key: row.key,
    content: row.data && { data: row.data, contentType: row.content_type ?? '' },
    size: row.size,
    revision: row.revision,
    updatedAt: row.updated_at,
    expiresAt: row.expires_at ?? undefined,
  }
}
