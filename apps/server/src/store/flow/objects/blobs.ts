import { MillraceError } from '../../../errors.ts'
import type { Blob, Waste } from '../../object-port.ts'
import type { Scope, TenantId } from '../../ports.ts'
import { forEach, type Program, query } from '../program.ts'

/**
 * A blob's `refs` says how many objects and parts need it; `collect_at` when it may be deleted once none does. -1 is a blob whose
 * bytes are being deleted: it never comes back.
 */
const condemned = -1

/** How long a blob that nobody needs any more is kept for those who read it now. */
const readersMs = 15 * 60_000

/** Announces a blob. */
export function* beginBlob({ tenant, namespace }: Scope, blob: string, until: number): Program<void> {
  yield* query(
    `INSERT INTO millrace.object_blobs (tenant, blob, namespace, size, sha256, refs, collect_at) VALUES ($1, $2, $3, 0, '', 0, $4)
      ON CONFLICT (tenant, blob) DO UPDATE SET collect_at = excluded.collect_at WHERE object_blobs.refs = 0`,
    [tenant, blob, namespace, until],
  )
}

/** Puts off the collection of an announced blob. One that was collected is not announced anew: its bytes are gone. */
export function* renewBlob({ tenant }: Scope, blob: string, until: number): Program<void> {
  const sql = 'UPDATE millrace.object_blobs SET collect_at = $3 WHERE tenant = $1 AND blob = $2 AND refs = 0 RETURNING 1 AS one'
  if ((yield* query(sql, [tenant, blob, until])).length === 0) throw abandoned()
}

function abandoned(): MillraceError {
  const message = 'The bytes came so slowly that they were taken for abandoned: send them again.'
  return new MillraceError('UNAVAILABLE', message, { retryAfterMs: 0 })
}

/**
 * An announced blob is written and needed: it, or one with the same bytes that is there already.
 *
 * @returns the blob to use.
 * @throws UNAVAILABLE when it was collected meanwhile.
 */
export function* keepBlob({ tenant, namespace }: Scope, content: Blob, now: number): Program<string> {
  const [twin] = yield* query<{ blob: string }>(
    `SELECT blob FROM millrace.object_blobs WHERE tenant = $1 AND namespace = $2 AND sha256 = $3 AND size = $4 AND refs > 0 LIMIT 1`,
    [tenant, namespace, content.sha256, content.size],
  )
  if (twin && (yield* use(tenant, twin.blob))) {
    yield* beginBlob({ tenant, namespace }, content.blob, now)
    return twin.blob
  }
  const rows = yield* query(
    `UPDATE millrace.object_blobs SET refs = 1, collect_at = NULL, size = $3, sha256 = $4 WHERE tenant = $1 AND blob = $2 AND refs = 0
      RETURNING 1 AS one`,
    [tenant, content.blob, content.size, content.sha256],
  )
  if (rows.length === 0) throw abandoned()
  return content.blob
}

function* use(tenant: TenantId, blob: string): Program<boolean> {
  const sql = 'UPDATE millrace.object_blobs SET refs = refs + 1 WHERE tenant = $1 AND blob = $2 AND refs > 0 RETURNING 1 AS one'
  return (yield* query(sql, [tenant, blob])).length > 0
}

/** One more needs each of the blobs, which an object that is there needs. */
export function* shareBlobs(tenant: TenantId, blobs: readonly Blob[]): Program<void> {
  for (const [blob, times] of counted(blobs)) {
    yield* query('UPDATE millrace.object_blobs SET refs = refs + $3 WHERE tenant = $1 AND blob = $2', [tenant, blob, times])
  }
}

/** One less needs each of the blobs. */
export function* releaseBlobs(tenant: TenantId, blobs: readonly Blob[], now: number): Program<void> {
  const byTimes = grouped(counted(blobs), ([, times]) => times)
  for (const [times, entries] of byTimes) {
    yield* forEach(
      entries.map(([blob]) => blob),
      [tenant, times, now + readersMs],
      (list) => `UPDATE millrace.object_blobs SET refs = refs - CAST($2 AS int),
        collect_at = CASE WHEN refs - CAST($2 AS int) = 0 THEN CAST($3 AS bigint) END WHERE tenant = $1 AND blob IN ${list} RETURNING 1 AS one`,
    )
  }
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}

/** How often each blob is in the list, in one order, so that two transactions do not wait for each other in a circle. */
function counted(blobs: readonly Blob[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const { blob } of blobs) counts.set(blob, (counts.get(blob) ?? 0) + 1)
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Somebody reads the blobs on, whether anything needs them or not. */
export function* lingerBlobs({ tenant }: Scope, blobs: readonly string[], now: number): Program<void> {
  yield* forEach(
    blobs,
    [tenant, now + readersMs],
    (list) => `UPDATE millrace.object_blobs SET collect_at = CAST($2 AS bigint)
      WHERE tenant = $1 AND refs = 0 AND collect_at < CAST($2 AS bigint) AND blob IN ${list} RETURNING 1 AS one`,
  )
}

/** Takes blobs that are due: from then on nobody can use them. */
export function* takeWaste(now: number, again: number, limit: number): Program<readonly Waste[]> {
  const rows = yield* query<Omit<Waste, 'whole'> & { readonly sha256: string }>(
    `UPDATE millrace.object_blobs SET refs = ${condemned}, collect_at = $2 WHERE refs <= 0 AND (tenant, blob) IN
      (SELECT tenant, blob FROM millrace.object_blobs WHERE collect_at <= $1 ORDER BY collect_at LIMIT $3)
      RETURNING tenant, namespace, blob, sha256`,
    [now, again, limit],
  )
  return rows.map(({ sha256, ...waste }) => ({ ...waste, whole: sha256 !== '' }))
}

/** Their bytes are gone. */
export function* forgetBlobs(blobs: readonly Waste[]): Program<void> {
  for (const [tenant, wasted] of grouped(blobs, (waste) => waste.tenant)) {
    yield* forEach(
      wasted.map(({ blob }) => blob),
      [tenant],
      (list) => `DELETE FROM millrace.object_blobs WHERE tenant = $1 AND refs = ${condemned} AND blob IN ${list} RETURNING 1 AS one`,
    )
  }
}
