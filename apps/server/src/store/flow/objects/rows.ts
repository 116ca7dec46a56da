import { MillraceError } from '../../../errors.ts'
import type {
  Blob,
  BucketRecord,
  LifecycleRule,
  ObjectCondition,
  ObjectEntry,
  ObjectName,
  ObjectRecord,
  UploadRecord,
} from '../../object-port.ts'
import type { Scope } from '../../ports.ts'

export interface BucketRow {
  readonly name: string
  readonly public_read: number
  readonly tags: string
  readonly lifecycle: string
  readonly created_at: number
}

/** An object without what may be long. */
export interface EntryRow {
  readonly key: string
  readonly etag: string
  readonly size: number
  readonly content_type: string
  readonly updated_at: number
  readonly expires_at: number | null
}

export interface ObjectRow extends EntryRow {
  readonly metadata: string
  readonly blobs: string
}

export interface UploadRow {
  readonly upload: string
  readonly key: string
  readonly content_type: string
  readonly metadata: string
  readonly created_at: number
  readonly expires_at: number
}

export const entryColumns = 'key, etag, size, content_type, updated_at, expires_at'
export const objectColumns = 'key, etag, size, content_type, metadata, blobs, updated_at, expires_at'
/** `$1` to `$3`: see {@link inBucket}. */
export const ofBucket = 'tenant = $1 AND namespace = $2 AND bucket = $3'
/** `$1` to `$4`: see {@link named}. */
export const ofObject = `${ofBucket} AND key = $4`

export const inBucket = ({ tenant, namespace }: Scope, bucket: string) => [tenant, namespace, bucket] as const
export const named = (name: ObjectName) => [...inBucket(name, name.bucket), name.key] as const

export function bucketOf(row: BucketRow): BucketRecord {
  return {
    name: row.name,
    publicRead: row.public_read === 1,
    tags: JSON.parse(row.tags) as Record<string, string>,
    lifecycle: JSON.parse(row.lifecycle) as LifecycleRule[],
    createdAt: row.created_at,
  }
}

export function entryOf(row: EntryRow): ObjectEntry {
  return {
    key: row.key,
    etag: row.etag,
    size: row.size,
    contentType: row.content_type,
    updatedAt: row.updated_at,
    ...(row.expires_at !== null && { expiresAt: row.expires_at }),
  }
}

export function objectOf(row: ObjectRow): ObjectRecord {
  return { ...entryOf(row), metadata: JSON.parse(row.metadata) as Record<string, string>, blobs: readBlobs(row.blobs) }
}

export function uploadOf(row: UploadRow): UploadRecord {
  return {
    upload: row.upload,
    key: row.key,
    contentType: row.content_type,
    metadata: JSON.parse(row.metadata) as Record<string, string>,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }
}

/** A line for each blob: an object may have ten thousand. */
export function writeBlobs(blobs: readonly Blob[]): string {
  return blobs.map(({ blob, size, sha256 }) => `${blob} ${size} ${sha256}`).join('\n')
}

function readBlobs(text: string): Blob[] {
  return text.split('\n').map((line) => {
    const [blob = '', size, sha256 = ''] = line.split(' ')
    return { blob, size: Number(size), sha256 }
  })
}

/** When the rules end an object; undefined: never. */
export function endOf(rules: readonly LifecycleRule[], key: string, updatedAt: number): number | undefined {
  const ends = rules.filter(({ prefix }) => key.startsWith(prefix)).map(({ expireAfterMs }) => updatedAt + expireAfterMs)
  return ends.length > 0 ? Math.min(...ends) : undefined
}

/** @throws CONFLICT, ALREADY_EXISTS when what is there is not what the condition says. */
export function requireCondition(
  { ifMatch, ifAbsent }: ObjectCondition,
  key: string,
  current: { readonly etag: string } | undefined,
): void {
  const shown = JSON.stringify(key)
  if (ifAbsent && current) throw new MillraceError('ALREADY_EXISTS', `There is an object ${shown} already, with the ETag ${current.etag}.`)
  if (ifMatch === undefined || (current && (ifMatch === '*' || ifMatch === current.etag))) return
  const there = current ? `has the ETag ${current.etag}` : 'is not there'
  const wanted = ifMatch === '*' ? 'ifMatch says that it is' : `not ${ifMatch} as ifMatch says`
  throw new MillraceError('CONFLICT', `The object ${shown} ${there}, and ${wanted}: read it again.`)
}
