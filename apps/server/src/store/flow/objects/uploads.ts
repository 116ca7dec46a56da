import { MillraceError, notFound } from '../../../errors.ts'
import type { Blob, ObjectCondition, ObjectName, ObjectRecord, PartRecord, UploadRecord } from '../../object-port.ts'
import type { Scope, TenantId } from '../../ports.ts'
import { type Program, query } from '../program.ts'
import { keepBlob, releaseBlobs } from './blobs.ts'
import { requireBucket } from './buckets.ts'
import { place } from './objects.ts'
import { inBucket, named, type UploadRow, uploadOf } from './rows.ts'

const columns = 'upload, key, content_type, metadata, created_at, expires_at'
const ofUpload = 'tenant = $1 AND upload = $2'

interface Completion {
  readonly parts: readonly { readonly part: number; readonly sha256?: string }[]
  readonly etagOf: (parts: readonly Blob[]) => string
  readonly condition: ObjectCondition
}

export function* createUpload(name: ObjectName, upload: Omit<UploadRecord, 'key'>): Program<void> {
  yield* requireBucket(name, name.bucket)
  yield* query(
    `INSERT INTO millrace.object_uploads (tenant, namespace, bucket, key, upload, content_type, metadata, created_at, expires_at)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [...named(name), upload.upload, upload.contentType, JSON.stringify(upload.metadata), upload.createdAt, upload.expiresAt],
  )
}

export function* readUpload({ tenant, namespace }: Scope, bucket: string, upload: string): Program<UploadRecord | undefined> {
  const sql = `SELECT ${columns} FROM millrace.object_uploads WHERE ${ofUpload} AND namespace = $3 AND bucket = $4`
  const [row] = yield* query<UploadRow>(sql, [tenant, upload, namespace, bucket])
  return row && uploadOf(row)
}

function* requireUpload(scope: Scope, bucket: string, upload: string): Program<UploadRecord> {
  const found = yield* readUpload(scope, bucket, upload)
  if (!found) throw notFound('upload', upload)
  return found
}

export function* listUploads(
  scope: Scope,
  bucket: string,
  page: { readonly limit: number; readonly after: string },
): Program<readonly UploadRecord[]> {
  yield* requireBucket(scope, bucket)
  const sql = `SELECT ${columns} FROM millrace.object_uploads WHERE tenant = $1 AND namespace = $2 AND bucket = $3 AND upload > $4
    ORDER BY upload LIMIT $5`
  return (yield* query<UploadRow>(sql, [...inBucket(scope, bucket), page.after, page.limit])).map(uploadOf)
}

export function* putPart(scope: Scope, bucket: string, upload: string, part: PartRecord, now: number): Program<void> {
  yield* requireUpload(scope, bucket, upload)
  const [before] = yield* readParts(scope, upload, { after: part.part - 1, upTo: part.part, limit: 1 })
  const blob = yield* keepBlob(scope, part, now)
  yield* query(
    `INSERT INTO millrace.object_parts (tenant, upload, part, blob, size, sha256) VALUES ($1, $2, $3, $4, $5, $6)
      ON CONFLICT (tenant, upload, part) DO UPDATE SET blob = excluded.blob, size = excluded.size, sha256 = excluded.sha256`,
    [scope.tenant, upload, part.part, blob, part.size, part.sha256],
  )
  if (before) yield* releaseBlobs(scope.tenant, [before], now)
}

export function* listParts(
  scope: Scope,
  bucket: string,
  upload: string,
  { after, limit }: { readonly limit: number; readonly after: number },
): Program<readonly PartRecord[]> {
  yield* requireUpload(scope, bucket, upload)
  return yield* readParts(scope, upload, { after, upTo: Number.MAX_SAFE_INTEGER, limit })
}

function* readParts(
  { tenant }: Scope,
  upload: string,
  { after, upTo, limit }: { readonly after: number; readonly upTo: number; readonly limit: number },
): Program<readonly PartRecord[]> {
  const sql = `SELECT part, blob, size, sha256 FROM millrace.object_parts WHERE ${ofUpload} AND part > $3 AND part <= CAST($4 AS bigint)
    ORDER BY part LIMIT $5`
  return yield* query<PartRecord>(sql, [tenant, upload, after, upTo, limit])
}

/** The parts' blobs become the object's; nobody copies a byte. */
export function* completeUpload(
  scope: Scope,
  bucketName: string,
  upload: string,
  { parts: wanted, etagOf, condition }: Completion,
  now: number,
): Program<ObjectRecord> {
  const { key, contentType, metadata } = yield* requireUpload(scope, bucketName, upload)
  const bucket = yield* requireBucket(scope, bucketName)
  const there = new Map((yield* allParts(scope, upload)).map((part) => [part.part, part]))
  const blobs = wanted.map(({ part, sha256 }) => {
    const found = there.get(part)
    if (!found) throw new MillraceError('FAILED_PRECONDITION', `The upload has no part ${part}: send it.`)
    if (sha256 !== undefined && sha256 !== found.sha256) {
      throw new MillraceError('FAILED_PRECONDITION', `Part ${part} has the SHA-256 ${found.sha256}, not ${sha256}: send it again.`)
    }
    there.delete(part)
    return { blob: found.blob, size: found.size, sha256: found.sha256 }
  })
  const size = blobs.reduce((sum, blob) => sum + blob.size, 0)
  const name = { ...scope, bucket: bucketName, key }
  const object = yield* place(name, bucket, { contentType, metadata, etag: etagOf(blobs), size, blobs }, condition, now)
  yield* forgetUpload(scope.tenant, upload)
  yield* releaseBlobs(scope.tenant, [...there.values()], now)
  return object
}

export function* abortUpload(scope: Scope, bucket: string, upload: string, now: number): Program<boolean> {
  if (!(yield* readUpload(scope, bucket, upload))) return false
  yield* removeUpload(scope.tenant, upload, now)
  return true
}

/** Aborts the uploads of a bucket that goes away. */
export function* abortUploads(scope: Scope, bucket: string, now: number): Program<void> {
  const sql = 'SELECT upload FROM millrace.object_uploads WHERE tenant = $1 AND namespace = $2 AND bucket = $3'
  for (const { upload } of yield* query<{ upload: string }>(sql, inBucket(scope, bucket))) yield* removeUpload(scope.tenant, upload, now)
}

/** Forgets uploads whose time is over. */
export function* expireUploads(now: number, limit: number): Program<number> {
  const rows = yield* query<{ tenant: TenantId; upload: string }>(
    'SELECT tenant, upload FROM millrace.object_uploads WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2',
    [now, limit],
  )
  for (const { tenant, upload } of rows) yield* removeUpload(tenant, upload, now)
  return rows.length
}

function* allParts(scope: Pick<Scope, 'tenant'>, upload: string): Program<readonly PartRecord[]> {
  return yield* readParts({ ...scope, namespace: '' }, upload, { after: 0, upTo: Number.MAX_SAFE_INTEGER, limit: 1_000_000 })
}

function* removeUpload(tenant: TenantId, upload: string, now: number): Program<void> {
  const parts = yield* allParts({ tenant }, upload)
  yield* forgetUpload(tenant, upload)
  yield* releaseBlobs(tenant, parts, now)
}

function* forgetUpload(tenant: TenantId, upload: string): Program<void> {
  yield* query(`DELETE FROM millrace.object_parts WHERE ${ofUpload}`, [tenant, upload])
  yield* query(`DELETE FROM millrace.object_uploads WHERE ${ofUpload}`, [tenant, upload])
}
