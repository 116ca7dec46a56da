import type { ObjectServiceDefinition, PutObjectHeader } from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import type { Keyring } from '../domain/keys/keyring.ts'
import { requireWhole } from '../domain/keys/limited-scope.ts'
import type { ObjectEngine } from '../domain/objects/engine.ts'
import { presign } from '../domain/objects/presigned.ts'
import type { ObjectName } from '../store/object-port.ts'
import type { Scope } from '../store/ports.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { limits } from './limits.ts'
import {
  checkBucket,
  checkDelimiter,
  checkExpected,
  checkMetadata,
  checkObjectCursor,
  checkObjectKey,
  checkPart,
  checkParts,
  checkPrefix,
  checkTags,
  readCondition,
  readContentType,
  readPolicy,
  readPresignedTime,
  readRules,
} from './object-checks.ts'
import { toBucket, toPart, toParts, toStoredObject, toUpload } from './object-shapes.ts'
import { messagesOf, readHeader, spanOf } from './object-streams.ts'

/** What the service of objects stands on. */
export interface ObjectServiceContext {
  readonly objects: ObjectEngine
  readonly keyring: Keyring
  readonly clock: Clock
  /** Where HTTP is reached from outside, without a slash at the end; '' when it is off. Asked for when it is needed: ports may be free ones. */
  readonly publicUrl: () => string
}

/** Buckets and objects. */
export function createObjectService({
  objects,
  keyring,
  clock,
  publicUrl,
}: ObjectServiceContext): ServiceOf<typeof ObjectServiceDefinition> {
  const { index } = objects

  /** Begins the checks of a call on a bucket. */
  function checksOf(scope: Scope, bucket: string, field = 'bucket'): Checks {
    requireWhole(scope, 'use objects')
    const checks = new Checks()
    checkBucket(checks, field, bucket)
    return checks
  }

  function nameOf(scope: Scope, bucket: string, key: string, checks = checksOf(scope, bucket)): ObjectName {
    checkObjectKey(checks, 'key', key)
    return { tenant: scope.tenant, namespace: scope.namespace, bucket, key }
  }

  return {
    async createBucket({ bucket, policy, tags, lifecycle }, { scope }) {
      const checks = checksOf(scope, bucket)
      const publicRead = readPolicy(checks, policy) ?? false
      checkTags(checks, 'tags', tags)
      const rules = readRules(checks, 'lifecycle', lifecycle)
      checks.done()
      return { bucket: toBucket(await objects.createBucket(scope, bucket, { publicRead, tags, lifecycle: rules })) }
    },

    async getBucket({ bucket }, { scope, principal }) {
      checksOf(scope, bucket).done()
      const found = await objects.bucket(scope, bucket)
      const use = await index.use(scope, bucket)
      const place = [principal.key.tenantName, scope.namespace, bucket].map(encodeURIComponent).join('/')
      return { bucket: toBucket(found), ...use, publicUrl: `${publicUrl()}/v1/public/${place}/` }
    },

    async listBuckets({ limit: asked, cursor }, { scope }) {
      requireWhole(scope, 'use objects')
      const checks = new Checks()
      const limit = checks.page('limit', asked)
      checkPrefix(checks, 'cursor', cursor)
      checks.done()
      const buckets = await index.buckets(scope, { limit, after: cursor })
      return { buckets: buckets.map(toBucket), nextCursor: buckets.length < limit ? '' : buckets.at(-1)!.name }
    },

    async updateBucket({ bucket, policy, tags, lifecycle }, { scope }) {
      const checks = checksOf(scope, bucket)
      const publicRead = readPolicy(checks, policy)
      if (tags) checkTags(checks, 'tags.tags', tags.tags)
      const rules = lifecycle && readRules(checks, 'lifecycle.rules', lifecycle.rules)
      checks.done()
      const change = {
        ...(publicRead !== undefined && { publicRead }),
        ...(tags && { tags: tags.tags }),
        ...(rules && { lifecycle: rules }),
      }
      return { bucket: toBucket(await objects.updateBucket(scope, bucket, change)) }
    },

    async deleteBucket({ bucket, force }, { scope }) {
      checksOf(scope, bucket).done()
      return { deleted: await objects.deleteBucket(scope, bucket, force) }
    },

    async putObject(messages, { scope, signal }) {
      const incoming = await readHeader(messages, signal)
      const put = readPut(incoming.header, scope, nameOf)
      const object = await objects.put({ ...put, trailer: () => incoming.sha256 }, incoming)
      return { object: toStoredObject(put.name.bucket, object) }
    },

    async *getObject({ bucket, key, offset, length, ifMatch, ifNoneMatch }, { scope, signal }) {
      const checks = checksOf(scope, bucket)
      const name = nameOf(scope, bucket, key, checks)
      checks.integer('offset', offset, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
      if (length !== undefined) checks.integer('length', length, 1, Number.MAX_SAFE_INTEGER)
      checks.text('ifMatch', ifMatch, limits.text)
      checks.text('ifNoneMatch', ifNoneMatch, limits.text)
      checks.done()
      const { object, read } = await objects.open(name, ifMatch)
      const notModified = ifNoneMatch !== '' && ifNoneMatch === object.etag
      const span = notModified ? { start: 0, length: 0 } : spanOf(object.size, offset, length)
      const value = {
        object: toStoredObject(bucket, object),
        offset: span.start,
        length: span.length,
        parts: toParts(object),
        notModified,
      }
      yield { message: { $case: 'header', value } }
      if (span.length === 0) return
      for await (const data of messagesOf(read(span))) {
        signal.throwIfAborted()
        yield { message: { $case: 'data', value: data } }
      }
    },

    async statObject({ bucket, key }, { scope }) {
      const checks = checksOf(scope, bucket)
      const name = nameOf(scope, bucket, key, checks)
      checks.done()
      return { object: toStoredObject(bucket, await objects.stat(name)) }
    },

    async listObjects({ bucket, prefix, delimiter, limit: asked, cursor }, { scope }) {
      const checks = checksOf(scope, bucket)
      checkPrefix(checks, 'prefix', prefix)
      checkDelimiter(checks, delimiter)
      const limit = checks.page('limit', asked)
      checkObjectCursor(checks, cursor, prefix)
      checks.done()
      const page = await index.list(scope, bucket, { prefix, delimiter, after: cursor, limit })
      return {
        objects: page.objects.map((object) => toStoredObject(bucket, object)),
        prefixes: [...page.prefixes],
        nextCursor: page.next ?? '',
      }
    },

    async deleteObjects({ bucket, keys, ifMatch }, { scope }) {
      const checks = checksOf(scope, bucket)
      checks.count('keys', keys.length, 1, limits.ids)
      for (const [i, key] of keys.entries()) checkObjectKey(checks, `keys[${i}]`, key)
      checks.text('ifMatch', ifMatch, limits.text)
      if (ifMatch !== '' && keys.length > 1) checks.fail('ifMatch', 'is for one key alone')
      checks.done()
      const found = await objects.delete(scope, bucket, keys, ifMatch === '' ? undefined : ifMatch)
      return { deleted: keys.filter((_, i) => found[i]) }
    },

    async copyObject({ bucket, key, sourceKey, move, replace, contentType, metadata, ...request }, { scope }) {
      const checks = checksOf(scope, bucket)
      const to = nameOf(scope, bucket, key, checks)
      const sourceBucket = request.sourceBucket === '' ? bucket : request.sourceBucket
      checkBucket(checks, 'sourceBucket', sourceBucket)
      checkObjectKey(checks, 'sourceKey', sourceKey)
      checkMetadata(checks, metadata)
      const head = replace ? { contentType: readContentType(checks, contentType), metadata } : undefined
      const condition = readCondition(checks, request)
      checks.done()
      const from = { ...to, bucket: sourceBucket, key: sourceKey }
      return { object: toStoredObject(bucket, await objects.copy(from, to, { head, remove: move, condition })) }
    },

    async presignObject({ bucket, key, method: asked, expiresInMs, contentType }, { scope, principal }) {
      const checks = checksOf(scope, bucket)
      const object = nameOf(scope, bucket, key, checks)
      const method = asked === '' ? 'GET' : asked
      if (method !== 'GET' && method !== 'PUT') checks.fail('method', `must be GET or PUT`)
      if (method === 'GET' && contentType !== '') checks.fail('contentType', 'is for PUT alone')
      if (contentType !== '') readContentType(checks, contentType)
      const ms = readPresignedTime(checks, expiresInMs)
      checks.done()
      if (method === 'PUT') principal.require('objects:write')
      await objects.bucket(scope, bucket)
      // Not longer than whoever asks for it.
      const expiresAt = Math.min(clock.now() + ms, principal.expiresAt ?? Infinity)
      const path = await presign(keyring, {
        object,
        method: method as 'GET' | 'PUT',
        contentType,
        by: principal.key.seq,
        expiresAt,
      })
      return { url: `${publicUrl()}${path}`, path, expiresAt: new Date(expiresAt) }
    },

    async createUpload({ bucket, key, contentType, metadata }, { scope }) {
      const checks = checksOf(scope, bucket)
      const name = nameOf(scope, bucket, key, checks)
      checkMetadata(checks, metadata)
      const head = { contentType: readContentType(checks, contentType), metadata }
      checks.done()
      return { upload: toUpload(bucket, await objects.createUpload(name, head)) }
    },

    async putPart(messages, { scope, signal }) {
      const incoming = await readHeader(messages, signal)
      const {
        header,
        header: { bucket, uploadId, part, sha256, size },
      } = incoming // prettier-ignore
      const checks = checksOf(scope, bucket)
      checks.id('uploadId', uploadId)
      checkPart(checks, 'part', part)
      checkExpected(checks, header)
      checks.done()
      const wanted = { bucket, upload: uploadId, part, sha256, size, trailer: () => incoming.sha256 }
      return { part: toPart(await objects.putPart(scope, wanted, incoming)) }
    },

    async listParts({ bucket, uploadId, limit: asked, cursor }, { scope }) {
      const checks = checksOf(scope, bucket)
      checks.id('uploadId', uploadId)
      const limit = checks.page('limit', asked)
      const after = cursor === '' ? 0 : Number(cursor)
      if (!Number.isSafeInteger(after) || after < 0)
        checks.fail('cursor', 'is not a cursor; give the nextCursor of the page before, or nothing')
      checks.done()
      const upload = await objects.upload(scope, bucket, uploadId)
      const parts = await index.parts(scope, bucket, uploadId, { limit, after })
      return {
        upload: toUpload(bucket, upload),
        parts: parts.map(toPart),
        nextCursor: parts.length < limit ? '' : String(parts.at(-1)!.part),
      }
    },

    async listUploads({ bucket, limit: asked, cursor }, { scope }) {
      const checks = checksOf(scope, bucket)
      const limit = checks.page('limit', asked)
      checks.text('cursor', cursor, limits.text)
      checks.done()
      const uploads = await index.uploads(scope, bucket, { limit, after: cursor })
      return {
        uploads: uploads.map((upload) => toUpload(bucket, upload)),
        nextCursor: uploads.length < limit ? '' : uploads.at(-1)!.upload,
      }
    },

    async completeUpload({ bucket, uploadId, parts, ...request }, { scope }) {
      const checks = checksOf(scope, bucket)
      checks.id('uploadId', uploadId)
      checkParts(checks, parts)
      const condition = readCondition(checks, request)
      checks.done()
      const wanted = parts.map(({ part, sha256 }) => ({ part, ...(sha256 !== '' && { sha256 }) }))
      return { object: toStoredObject(bucket, await objects.complete(scope, bucket, uploadId, { parts: wanted, condition })) }
    },

    async abortUpload({ bucket, uploadId }, { scope }) {
      const checks = checksOf(scope, bucket)
      checks.id('uploadId', uploadId)
      checks.done()
      return { aborted: await objects.abort(scope, bucket, uploadId) }
    },
  }
}

/** What is to be written, checked. */
function readPut(
  { bucket, key, contentType, metadata, sha256, size, ...request }: PutObjectHeader,
  scope: Scope,
  nameOf: (scope: Scope, bucket: string, key: string, checks: Checks) => ObjectName,
) {
  const checks = new Checks()
  requireWhole(scope, 'use objects')
  checkBucket(checks, 'bucket', bucket)
  const name = nameOf(scope, bucket, key, checks)
  checkMetadata(checks, metadata)
  checkExpected(checks, { size, sha256 })
  const put = { name, contentType: readContentType(checks, contentType), metadata, sha256, size, condition: readCondition(checks, request) }
  checks.done()
  return put
}
