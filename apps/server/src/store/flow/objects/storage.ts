import type { ObjectStorage } from '../../object-port.ts'
import type { Scope } from '../../ports.ts'
import { type Program, query } from '../program.ts'
import { beginBlob, forgetBlobs, lingerBlobs, renewBlob, takeWaste } from './blobs.ts'
import { createBucket, deleteBucket, listBuckets, readBucket, readUse, updateBucket } from './buckets.ts'
import { copyObject, deleteObjects, expireObjects, listObjects, putObject, readObject, retimeObjects } from './objects.ts'
import {
  abortUpload,
  abortUploads,
  completeUpload,
  createUpload,
  expireUploads,
  listParts,
  listUploads,
  putPart,
  readUpload,
} from './uploads.ts'

/** What a transaction has for itself until its end, when several servers change the same things. */
export interface Hold {
  /** A name of any kind. */
  readonly name: string
  /** True: others may hold it so, too. */
  readonly shared: boolean
}

/** How a store carries out programs. */
export interface Runner {
  /** One that writes, in one transaction, while nobody else has what it holds. */
  write<T>(program: () => Program<T>, holds?: readonly Hold[]): Promise<T>
  /** One that does not write. */
  read<T>(program: Program<T>): Promise<T>
}

/** Buckets and objects of a store. */
export function objectStorage({ write, read }: Runner): ObjectStorage {
  return {
    createBucket: (scope, bucket) => write(() => createBucket(scope, bucket)),
    bucket: (scope, name) => read(readBucket(scope, name)),
    use: (scope, name) => read(readUse(scope, name)),
    buckets: (scope, page) => read(listBuckets(scope, page)),
    updateBucket: (scope, name, change) => write(() => updateBucket(scope, name, change), [whole(scope, name)]),
    deleteBucket: (scope, name, now) => write(() => removeBucket(scope, name, now), [whole(scope, name)]),

    begin: (scope, blob, until) => write(() => beginBlob(scope, blob, until)),
    renew: (scope, blob, until) => write(() => renewBlob(scope, blob, until)),
    drop: (scope, blob, now) => write(() => beginBlob(scope, blob, now)),
    linger: (scope, blobs, now) => write(() => lingerBlobs(scope, blobs, now)),
    put: (name, object, condition, now) => write(() => putObject(name, object, condition, now), holdsOf(name, name.bucket, [name.key])),
    get: (name) => read(readObject(name)),
    list: (scope, bucket, page) => read(listObjects(scope, bucket, page)),
    delete: (scope, bucket, keys, condition, now) =>
      write(() => deleteObjects(scope, bucket, keys, condition, now), holdsOf(scope, bucket, keys)),
    copy: (from, to, change, now) =>
      write(() => copyObject(from, to, change, now), [...holdsOf(from, from.bucket, [from.key]), ...holdsOf(to, to.bucket, [to.key])]),

    createUpload: (name, upload) => write(() => createUpload(name, upload), holdsOf(name, name.bucket, [])),
    upload: (scope, bucket, upload) => read(readUpload(scope, bucket, upload)),
    uploads: (scope, bucket, page) => read(listUploads(scope, bucket, page)),
    putPart: (scope, bucket, upload, part, now) =>
      write(() => putPart(scope, bucket, upload, part, now), [...holdsOf(scope, bucket, []), { name: upload, shared: false }]),
    parts: (scope, bucket, upload, page) => read(listParts(scope, bucket, upload, page)),
    async complete(scope, bucket, upload, object, now) {
      const found = await read(readUpload(scope, bucket, upload))
      const holds = [...holdsOf(scope, bucket, found ? [found.key] : []), { name: upload, shared: false }]
      return write(() => completeUpload(scope, bucket, upload, object, now), holds)
    },
    abort: (scope, bucket, upload, now) => write(() => abortUpload(scope, bucket, upload, now), [{ name: upload, shared: false }]),

    retime: (scope, bucket, after, limit) => write(() => retimeObjects(scope, bucket, after, limit), [whole(scope, bucket)]),
    expire: (now, limit) => write(() => expire(now, limit)),
    nextDue: () => read(nextDue()),
    waste: (now, again, limit) => write(() => takeWaste(now, again, limit)),
    forget: (blobs) => write(() => forgetBlobs(blobs)),
    async bytes(tenant) {
      const sql = 'SELECT coalesce(sum(size), 0) AS bytes FROM millrace.object_blobs WHERE tenant = $1'
      const [row] = await read(query<{ bytes: number }>(sql, [tenant]))
      return Number(row!.bytes)
    },
  }
}

const bucketName = ({ tenant, namespace }: Scope, bucket: string) => `${tenant} ${namespace} ${bucket}`

/** A bucket alone: nothing is put into it meanwhile. */
const whole = (scope: Scope, bucket: string): Hold => ({ name: bucketName(scope, bucket), shared: false })

/** Keys alone, in a bucket that stays. */
function holdsOf(scope: Scope, bucket: string, keys: readonly string[]): Hold[] {
  const name = bucketName(scope, bucket)
  return [{ name, shared: true }, ...keys.map((key) => ({ name: `${name} ${key}`, shared: false }))]
}

function* removeBucket(scope: Scope, name: string, now: number): Program<boolean> {
  const isDeleted = yield* deleteBucket(scope, name)
  if (isDeleted) yield* abortUploads(scope, name, now)
  return isDeleted
}

function* expire(now: number, limit: number): Program<number> {
  return Math.max(yield* expireObjects(now, limit), yield* expireUploads(now, limit))
}

function* nextDue(): Program<number | undefined> {
  const [row] = yield* query<{ due: number | null }>(
    `SELECT min(due) AS due FROM (
      SELECT min(expires_at) AS due FROM millrace.objects WHERE expires_at IS NOT NULL
      UNION ALL SELECT min(expires_at) FROM millrace.object_uploads
      UNION ALL SELECT min(collect_at) FROM millrace.object_blobs WHERE collect_at IS NOT NULL
    ) AS dues`,
    [],
  )
  return row!.due ?? undefined
}
