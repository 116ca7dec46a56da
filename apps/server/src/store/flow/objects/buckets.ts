import { MillraceError, notFound } from '../../../errors.ts'
import type { BucketRecord, BucketSettings, BucketUse } from '../../object-port.ts'
import type { Scope } from '../../ports.ts'
import { mostOf } from '../../quotas.ts'
import { type Program, query } from '../program.ts'
import { type BucketRow, bucketOf, inBucket, ofBucket } from './rows.ts'

const columns = 'name, public_read, tags, lifecycle, created_at'
const ofName = 'tenant = $1 AND namespace = $2 AND name = $3'

export function* createBucket(scope: Scope, bucket: BucketRecord): Program<void> {
  const [count] = yield* query<{ n: number }>('SELECT count(*) AS n FROM millrace.buckets WHERE tenant = $1', [scope.tenant])
  const current = Number(count!.n)
  if (current >= mostOf.buckets) {
    throw new MillraceError('QUOTA_EXCEEDED', `There are ${current} buckets already, which is the most: delete some.`, {
      quota: { type: 'buckets', current, limit: mostOf.buckets },
    })
  }
  const added = yield* query(
    `INSERT INTO millrace.buckets (tenant, namespace, ${columns}) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING 1 AS one`,
    [
      ...inBucket(scope, bucket.name),
      Number(bucket.publicRead),
      JSON.stringify(bucket.tags),
      JSON.stringify(bucket.lifecycle),
      bucket.createdAt,
    ],
  )
  if (added.length === 0) throw new MillraceError('ALREADY_EXISTS', `There is a bucket '${bucket.name}' already.`)
}

export function* readBucket(scope: Scope, name: string): Program<BucketRecord | undefined> {
  const [row] = yield* query<BucketRow>(`SELECT ${columns} FROM millrace.buckets WHERE ${ofName}`, inBucket(scope, name))
  return row && bucketOf(row)
}

/** @throws NOT_FOUND */
export function* requireBucket(scope: Scope, name: string): Program<BucketRecord> {
  const bucket = yield* readBucket(scope, name)
  if (!bucket) throw notFound('bucket', name)
  return bucket
}

export function* readUse(scope: Scope, name: string): Program<BucketUse> {
  const sql = `SELECT count(*) AS objects, coalesce(sum(size), 0) AS bytes FROM millrace.objects WHERE ${ofBucket}`
  const [row] = yield* query<{ objects: number; bytes: number }>(sql, inBucket(scope, name))
  return { objects: Number(row!.objects), bytes: Number(row!.bytes) }
}

export function* listBuckets(scope: Scope, page: { readonly limit: number; readonly after: string }): Program<readonly BucketRecord[]> {
  const sql = `SELECT ${columns} FROM millrace.buckets WHERE tenant = $1 AND namespace = $2 AND name > $3 ORDER BY name LIMIT $4`
  return (yield* query<BucketRow>(sql, [...inBucket(scope, page.after), page.limit])).map(bucketOf)
}

export function* updateBucket(scope: Scope, name: string, change: Partial<BucketSettings>): Program<BucketRecord> {
  const bucket = { ...(yield* requireBucket(scope, name)), ...change }
  yield* query(`UPDATE millrace.buckets SET public_read = $4, tags = $5, lifecycle = $6 WHERE ${ofName}`, [
    ...inBucket(scope, name),
    Number(bucket.publicRead),
    JSON.stringify(bucket.tags),
    JSON.stringify(bucket.lifecycle),
  ])
  return bucket
}

/** Of a bucket without objects and uploads. */
export function* deleteBucket(scope: Scope, name: string): Program<boolean> {
  const [object] = yield* query<{ key: string }>(`SELECT key FROM millrace.objects WHERE ${ofBucket} LIMIT 1`, inBucket(scope, name))
  if (object) {
    const message = `The bucket '${name}' is not empty (it has ${JSON.stringify(object.key)}): delete its objects first, or delete it with force.`
    throw new MillraceError('FAILED_PRECONDITION', message)
  }
  return (yield* query(`DELETE FROM millrace.buckets WHERE ${ofName} RETURNING 1 AS one`, inBucket(scope, name))).length > 0
}
