import { type Bucket, BucketPolicy, type ObjectPart, type ObjectUpload, type StoredObject } from '@millrace/protocol'
import type { BucketRecord, ObjectEntry, ObjectRecord, PartRecord, UploadRecord } from '../store/object-port.ts'
import { toDate } from './shapes.ts'

export function toBucket({ name, publicRead, tags, lifecycle, createdAt }: BucketRecord): Bucket {
  return {
    name,
    policy: publicRead ? BucketPolicy.PUBLIC_READ : BucketPolicy.PRIVATE,
    tags: { ...tags },
    lifecycle: lifecycle.map((rule) => ({ ...rule })),
    createdAt: new Date(createdAt),
  }
}

/** An object, with its metadata unless it is of a list. */
export function toStoredObject(bucket: string, object: ObjectEntry & Partial<Pick<ObjectRecord, 'metadata'>>): StoredObject {
  return {
    bucket,
    key: object.key,
    size: object.size,
    etag: object.etag,
    sha256: sha256Of(object),
    contentType: object.contentType,
    metadata: { ...object.metadata },
    updatedAt: new Date(object.updatedAt),
    expiresAt: toDate(object.expiresAt),
  }
}

/** The digest of the object's bytes; '' when it has several parts. */
function sha256Of({ etag }: Pick<ObjectEntry, 'etag'>): string {
  return etag.includes('-') ? '' : etag
}

export function toParts({ blobs }: ObjectRecord): ObjectPart[] {
  return blobs.map(({ size, sha256 }, i) => ({ part: i + 1, size, sha256 }))
}

export function toPart({ part, size, sha256 }: PartRecord): ObjectPart {
  return { part, size, sha256 }
}

export function toUpload(bucket: string, { upload, key, createdAt, expiresAt }: UploadRecord): ObjectUpload {
  return { uploadId: upload, bucket, key, createdAt: new Date(createdAt), expiresAt: new Date(expiresAt) }
}
