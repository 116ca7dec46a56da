import type * as wire from '@millrace/protocol'
import { toMs } from '../durations.ts'
import { InternalError, invalid } from '../errors/errors.ts'
import { missingField, toText, toTexts } from '../wire.ts'
import type { BucketInfo, BucketPolicy, LifecycleRule, ObjectHead, ObjectInfo, PartInfo, UploadInfo, WriteCondition } from './types.ts'

const policies: readonly (BucketPolicy | undefined)[] = [undefined, 'private', 'public-read']

export function toPolicy(policy: BucketPolicy | undefined): wire.BucketPolicy {
  const number = policies.indexOf(policy)
  if (number < 0) throw invalid('policy', `'${policy}' is neither private nor public-read.`)
  return number as wire.BucketPolicy
}

export function toRules(lifecycle: readonly LifecycleRule[]): wire.LifecycleRule[] {
  return lifecycle.map(({ prefix, expireAfter }, i) => ({
    prefix: toText(`lifecycle[${i}].prefix`, prefix),
    expireAfterMs: toMs(`lifecycle[${i}].expireAfter`, expireAfter),
  }))
}

export function fromBucket(bucket: wire.Bucket | undefined): BucketInfo {
  if (!bucket) throw new InternalError(missingField('the bucket'))
  const { name, policy, tags, lifecycle, createdAt } = bucket
  return {
    name,
    policy: policies[policy] ?? 'private',
    tags,
    lifecycle: lifecycle.map(({ prefix, expireAfterMs }) => ({ prefix, expireAfter: expireAfterMs })),
    createdAt: createdAt ?? new Date(0),
  }
}

export function fromObject(object: wire.StoredObject | undefined, isListed = false): ObjectInfo {
  if (!object) throw new InternalError(missingField('the object'))
  const { sha256, metadata, updatedAt, expiresAt, ...rest } = object
  return {
    ...rest,
    ...(sha256 !== '' && { sha256 }),
    ...(!isListed && { metadata }),
    updatedAt: updatedAt ?? new Date(0),
    ...(expiresAt && { expiresAt }),
  }
}

export function fromUpload(upload: wire.ObjectUpload | undefined): UploadInfo {
  if (!upload) throw new InternalError(missingField('the upload'))
  const { uploadId, key, createdAt, expiresAt } = upload
  return { uploadId, key, createdAt: createdAt ?? new Date(0), expiresAt: expiresAt ?? new Date(0) }
}

export function fromPart(part: wire.ObjectPart | undefined): PartInfo {
  if (!part) throw new InternalError(missingField('the part'))
  return part
}

export function toHead({ contentType, metadata }: ObjectHead): { contentType: string; metadata: Record<string, string> } {
  return { contentType: toText('contentType', contentType), metadata: { ...toTexts('metadata', metadata) } }
}

export function toCondition({ ifMatch, ifNoneMatch }: WriteCondition): { ifMatch: string; ifAbsent: boolean } {
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw invalid('ifNoneMatch', 'must be * for a write: only when there is no object.')
  return { ifMatch: toText('ifMatch', ifMatch), ifAbsent: ifNoneMatch === '*' }
}
