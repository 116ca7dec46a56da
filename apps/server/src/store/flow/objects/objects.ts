import { notFound } from '../../../errors.ts'
import type {
  Blob,
  BucketRecord,
  ObjectCondition,
  ObjectEntry,
  ObjectHead,
  ObjectName,
  ObjectPage,
  ObjectQuery,
  ObjectRecord,
} from '../../object-port.ts'
import type { Scope, TenantId } from '../../ports.ts'
import { type Program, query } from '../program.ts'
import { keepBlob, releaseBlobs, shareBlobs } from './blobs.ts'
import { requireBucket } from './buckets.ts'
import {
  type EntryRow,
  endOf,
  entryColumns,
  entryOf,
  inBucket,
  named,
  type ObjectRow,
  objectColumns,
  objectOf,
  ofBucket,
  ofObject,
  requireCondition,
  writeBlobs,
} from './rows.ts'

/** Rows read at a time where many may share a common prefix. */
const foldedChunk = 64

export function* readObject(name: ObjectName): Program<ObjectRecord | undefined> {
  const [row] = yield* query<ObjectRow>(`SELECT ${objectColumns} FROM millrace.objects WHERE ${ofObject}`, named(name))
  if (!row) yield* requireBucket(name, name.bucket)
  return row && objectOf(row)
}

export function* putObject(
  name: ObjectName,
  { content, ...head }: ObjectHead & { readonly content: Blob },
  condition: ObjectCondition,
  now: number,
): Program<ObjectRecord> {
  const bucket = yield* requireBucket(name, name.bucket)
  const blob = { ...content, blob: yield* keepBlob(name, content, now) }
  return yield* place(name, bucket, { ...head, etag: content.sha256, size: content.size, blobs: [blob] }, condition, now)
}

/** Puts an object whose blobs it holds already in the place of what the key had. */
export function* place(
  name: ObjectName,
  bucket: BucketRecord,
  object: Pick<ObjectRecord, 'contentType' | 'metadata' | 'etag' | 'size' | 'blobs'>,
  condition: ObjectCondition,
  now: number,
): Program<ObjectRecord> {
  const [row] = yield* query<ObjectRow>(`SELECT ${objectColumns} FROM millrace.objects WHERE ${ofObject}`, named(name))
  const before = row && objectOf(row)
  requireCondition(condition, name.key, before)
  const expiresAt = endOf(bucket.lifecycle, name.key, now)
  yield* query(
    `INSERT INTO millrace.objects (tenant, namespace, bucket, ${objectColumns}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
      ON CONFLICT (tenant, namespace, bucket, key) DO UPDATE SET etag = excluded.etag, size = excluded.size,
        content_type = excluded.content_type, metadata = excluded.metadata, blobs = excluded.blobs, updated_at = excluded.updated_at,
        expires_at = excluded.expires_at`,
    [
      ...named(name),
      object.etag,
      object.size,
      object.contentType,
      JSON.stringify(object.metadata),
      writeBlobs(object.blobs),
      now,
      expiresAt ?? null,
    ],
  )
  if (before) yield* releaseBlobs(name.tenant, before.blobs, now)
  return { ...object, key: name.key, updatedAt: now, ...(expiresAt !== undefined && { expiresAt }) }
}

export function* copyObject(
  from: ObjectName,
  to: ObjectName,
  { head, remove, condition }: { readonly head?: ObjectHead; readonly remove: boolean; readonly condition: ObjectCondition },
  now: number,
): Program<ObjectRecord> {
  const source = yield* readObject(from)
  if (!source) throw notFound('object', from.key, `in '${from.bucket}'`)
  const bucket = yield* requireBucket(to, to.bucket)
  yield* shareBlobs(to.tenant, source.blobs)
  const object = yield* place(to, bucket, { ...source, ...head }, condition, now)
  const isSame = from.bucket === to.bucket && from.key === to.key
  if (remove && !isSame) yield* removeObject(from, source, now)
  return object
}

export function* deleteObjects(
  scope: Scope,
  bucket: string,
  keys: readonly string[],
  condition: ObjectCondition,
  now: number,
): Program<readonly boolean[]> {
  yield* requireBucket(scope, bucket)
  const found: boolean[] = []
  for (const key of keys) {
    const name = { ...scope, bucket, key }
    const [row] = yield* query<ObjectRow>(`SELECT ${objectColumns} FROM millrace.objects WHERE ${ofObject}`, named(name))
    requireCondition(condition, key, row)
    if (row) yield* removeObject(name, objectOf(row), now)
    found.push(row !== undefined)
  }
  return found
}

function* removeObject(name: ObjectName, { blobs }: ObjectRecord, now: number): Program<void> {
  yield* query(`DELETE FROM millrace.objects WHERE ${ofObject}`, named(name))
  yield* releaseBlobs(name.tenant, blobs, now)
}

/** Skips from common prefix to common prefix: what is inside of one is hardly read. */
export function* listObjects(scope: Scope, bucket: string, { prefix, delimiter, after, limit }: ObjectQuery): Program<ObjectPage> {
  yield* requireBucket(scope, bucket)
  const foldOf = (key: string): string | undefined => {
    const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    return end < 0 ? undefined : key.slice(0, end + delimiter.length)
  }
  const objects: ObjectEntry[] = []
  const prefixes: string[] = []
  let last = after
  for (let place = after === '' ? { from: prefix, inclusive: true } : placeAfter(after, foldOf(after)); ; ) {
    const wanted = limit - objects.length - prefixes.length + 1
    const length = delimiter === '' ? wanted : Math.min(wanted, foldedChunk)
    const sql = `SELECT ${entryColumns} FROM millrace.objects WHERE ${ofBucket} AND key ${place.inclusive ? '>=' : '>'} $4 ORDER BY key LIMIT $5`
    const rows = yield* query<EntryRow>(sql, [...inBucket(scope, bucket), place.from, length])
    for (const row of rows) {
      if (!row.key.startsWith(prefix)) return { objects, prefixes }
      const folded = foldOf(row.key)
      if (folded !== undefined && folded === last) continue
      if (objects.length + prefixes.length === limit) return { objects, prefixes, next: last }
      last = folded ?? row.key
      if (folded === undefined) objects.push(entryOf(row))
      else prefixes.push(folded)
    }
    if (rows.length < length) return { objects, prefixes }
    place = placeAfter(rows.at(-1)!.key, foldOf(rows.at(-1)!.key))
  }
}

/** Where to read on after a key: past all that its common prefix stands for, when it has one. */
function placeAfter(key: string, folded: string | undefined): { readonly from: string; readonly inclusive: boolean } {
  return folded === undefined ? { from: key, inclusive: false } : { from: pastPrefix(folded), inclusive: true }
}

/** The least text after all that begin with this one. */
function pastPrefix(prefix: string): string {
  const characters = [...prefix]
  for (;;) {
    const code = characters.pop()!.codePointAt(0)!
    // What comes after the last character of all is decided by the one before.
    if (code < 0x10_ff_ff) return characters.join('') + String.fromCodePoint(code === 0xd7_ff ? 0xe0_00 : code + 1)
  }
}

/** Gives some objects of a bucket, in the order of their keys, the ends that its rules say. */
export function* retimeObjects(scope: Scope, bucket: string, after: string, limit: number): Program<string | undefined> {
  const { lifecycle } = yield* requireBucket(scope, bucket)
  const rows = yield* query<{ key: string; updated_at: number; expires_at: number | null }>(
    `SELECT key, updated_at, expires_at FROM millrace.objects WHERE ${ofBucket} AND key > $4 ORDER BY key LIMIT $5`,
    [...inBucket(scope, bucket), after, limit],
  )
  for (const { key, updated_at, expires_at } of rows) {
    const end = endOf(lifecycle, key, updated_at) ?? null
    if (end === expires_at) continue
    yield* query(`UPDATE millrace.objects SET expires_at = $5 WHERE ${ofObject}`, [...inBucket(scope, bucket), key, end])
  }
  return rows.length < limit ? undefined : rows.at(-1)!.key
}

/** Forgets objects whose time is over. */
export function* expireObjects(now: number, limit: number): Program<number> {
  const rows = yield* query<ObjectRow & { readonly tenant: TenantId; readonly namespace: string; readonly bucket: string }>(
    `DELETE FROM millrace.objects WHERE expires_at <= $1 AND (tenant, namespace, bucket, key) IN
      (SELECT tenant, namespace, bucket, key FROM millrace.objects WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
      RETURNING tenant, namespace, bucket, ${objectColumns}`,
    [now, limit],
  )
  for (const row of rows) yield* releaseBlobs(row.tenant, objectOf(row).blobs, now)
  return rows.length
}
