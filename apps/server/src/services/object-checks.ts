import { BucketPolicy, type LifecycleRule } from '@millrace/protocol'
import { loneSurrogate, wrongBucketName, wrongKey, wrongPrefix } from '../domain/objects/names.ts'
import type { LifecycleRule as Rule } from '../store/object-port.ts'
import type { Checks } from './checks.ts'
import { limits } from './limits.ts'

const minute = 60_000
/** What objects may be given, beside what `limits` says. */
const bounds = {
  tags: { count: 32, value: 255 },
  metadata: { count: 32, value: 1024, together: 4096 },
  rules: 100,
  expireAfter: { min: minute, max: limits.ttl },
  delimiter: 16,
  parts: 10_000,
  presigned: { min: 1000, max: 7 * 24 * 60 * minute, default: 60 * minute },
}

const metadataName = /^[a-z0-9-]{1,64}$/
const digest = /^[0-9a-f]{64}$/

/** What has no content type of its own. */
const defaultContentType = 'application/octet-stream'

export function checkBucket(checks: Checks, field: string, name: string): void {
  const wrong = wrongBucketName(name)
  if (wrong) checks.fail(field, name === '' ? wrong : `${shown(name)} ${wrong}`)
}

export function checkObjectKey(checks: Checks, field: string, key: string): void {
  const wrong = wrongKey(key)
  if (wrong) checks.fail(field, key === '' ? wrong : `${shown(key)} ${wrong}`)
}

export function checkPrefix(checks: Checks, field: string, prefix: string): void {
  const wrong = wrongPrefix(prefix)
  if (wrong) checks.fail(field, `${shown(prefix)} ${wrong}`)
}

/** A cursor of a list is the last key, or common prefix, of the page before. */
export function checkObjectCursor(checks: Checks, cursor: string, prefix: string): void {
  checkPrefix(checks, 'cursor', cursor)
  if (cursor !== '' && !cursor.startsWith(prefix)) checks.fail('cursor', 'is not of a list with this prefix')
}

export function checkDelimiter(checks: Checks, delimiter: string): void {
  checks.text('delimiter', delimiter, bounds.delimiter)
  checkPrefix(checks, 'delimiter', delimiter)
}

/** A policy; undefined when none is given. */
export function readPolicy(checks: Checks, policy: BucketPolicy): boolean | undefined {
  if (policy === BucketPolicy.UNSPECIFIED) return undefined
  if (policy !== BucketPolicy.PRIVATE && policy !== BucketPolicy.PUBLIC_READ) checks.fail('policy', `${policy} is not a policy`)
  return policy === BucketPolicy.PUBLIC_READ
}

export function checkTags(checks: Checks, field: string, tags: Readonly<Record<string, string>>): void {
  const entries = Object.entries(tags)
  checks.count(field, entries.length, 0, bounds.tags.count)
  for (const [name, value] of entries) {
    checks.name(`${field}.${name}`, name)
    checkText(checks, `${field}.${name}`, value, bounds.tags.value)
  }
}

export function checkMetadata(checks: Checks, metadata: Readonly<Record<string, string>>): void {
  const entries = Object.entries(metadata)
  checks.count('metadata', entries.length, 0, bounds.metadata.count)
  let bytes = 0
  for (const [name, value] of entries) {
    bytes += name.length + Buffer.byteLength(value)
    if (!metadataName.test(name)) checks.fail('metadata', `${shown(name)} is not a name of 1 to 64 characters of a-z 0-9 -`)
    checkText(checks, `metadata.${name}`, value, bounds.metadata.value)
  }
  if (bytes > bounds.metadata.together)
    checks.fail('metadata', `has ${bytes} bytes together; at most ${bounds.metadata.together} are allowed`)
}

/** A content type as it is kept. */
export function readContentType(checks: Checks, contentType: string): string {
  checkText(checks, 'contentType', contentType, limits.text)
  if (contentType !== '' && !/^[\x20-\x7e]+$/.test(contentType)) checks.fail('contentType', 'must have printable ASCII characters alone')
  return contentType === '' ? defaultContentType : contentType
}

export function readRules(checks: Checks, field: string, rules: readonly LifecycleRule[]): readonly Rule[] {
  checks.count(field, rules.length, 0, bounds.rules)
  for (const [i, { prefix, expireAfterMs }] of rules.entries()) {
    checkPrefix(checks, `${field}[${i}].prefix`, prefix)
    checks.integer(`${field}[${i}].expireAfterMs`, expireAfterMs, bounds.expireAfter.min, bounds.expireAfter.max)
  }
  return rules.map(({ prefix, expireAfterMs }) => ({ prefix, expireAfterMs }))
}

/** What the caller says of bytes to come. */
export function checkExpected(checks: Checks, { size, sha256 }: { readonly size?: number | undefined; readonly sha256: string }): void {
  if (size !== undefined) checks.integer('size', size, 0, Number.MAX_SAFE_INTEGER)
  checkDigest(checks, 'sha256', sha256)
}

function checkDigest(checks: Checks, field: string, sha256: string): void {
  if (sha256 !== '' && !digest.test(sha256)) checks.fail(field, 'is not a SHA-256: 64 characters of 0-9 a-f')
}

/** A condition on what is there. */
export function readCondition(checks: Checks, { ifMatch, ifAbsent }: { readonly ifMatch: string; readonly ifAbsent: boolean }) {
  checks.text('ifMatch', ifMatch, limits.text)
  if (ifMatch !== '' && ifAbsent) checks.fail('ifAbsent', 'cannot be asked for together with ifMatch')
  return { ifMatch: ifMatch === '' ? undefined : ifMatch, ifAbsent }
}

export function checkPart(checks: Checks, field: string, part: number): void {
  checks.integer(field, part, 1, bounds.parts)
}

/** Parts of an object to complete, each once and in order. */
export function checkParts(checks: Checks, parts: readonly { readonly part: number; readonly sha256: string }[]): void {
  checks.count('parts', parts.length, 1, bounds.parts)
  let before = 0
  for (const [i, { part, sha256 }] of parts.entries()) {
    checkPart(checks, `parts[${i}].part`, part)
    if (part <= before) checks.fail(`parts[${i}].part`, `${part} comes after ${before}: give each part once, by number`)
    checkDigest(checks, `parts[${i}].sha256`, sha256)
    before = part
  }
}

/** How long a URL is good for. */
export function readPresignedTime(checks: Checks, ms: number): number {
  if (ms === 0) return bounds.presigned.default
  checks.integer('expiresInMs', ms, bounds.presigned.min, bounds.presigned.max)
  return ms
}

function checkText(checks: Checks, field: string, value: string, max: number): void {
  checks.text(field, value, max)
  if (loneSurrogate.test(value)) checks.fail(field, 'must be well-formed Unicode')
}

function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 60)}…` : text)
}
