import type { EntryWrite, SetValue } from '@millrace/protocol'
import type { KvWrite } from '../store/kv-port.ts'
import type { Checks } from './checks.ts'
import { limits } from './limits.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const control = /[\u0000-\u001f\u007f-\u009f]/

/** A key that must be there. */
export function checkKey(checks: Checks, field: string, key: string): void {
  if (key === '') checks.fail(field, `is missing; give 1 to ${limits.key} bytes without control characters`)
  checkKeyText(checks, field, key)
}

/** A key or the beginning of one. */
export function checkKeyText(checks: Checks, field: string, text: string): void {
  // UTF-8 takes up to three bytes for each UTF-16 unit: most keys need not be measured.
  if (text.length * 3 > limits.key && Buffer.byteLength(text) > limits.key) {
    checks.fail(field, `has ${Buffer.byteLength(text)} bytes; at most ${limits.key} are allowed`)
  }
  const at = text.search(control)
  if (at >= 0) {
    const code = text.charCodeAt(at).toString(16).toUpperCase().padStart(4, '0')
    checks.fail(field, `has the control character U+${code} at position ${at}; keys have none`)
  }
}

/** A change of a key, checked; fields are those of the current item. */
export function readWrite(checks: Checks, { key, action }: EntryWrite, now: number, payloadLimit: number): KvWrite {
  checkKey(checks, 'key', key)
  switch (action?.$case) {
    case 'set':
      return readSet(checks, 'set.', key, action.value, now, payloadLimit)
    case 'delete':
      return { type: 'delete', key, ifRevision: readRevision(checks, 'delete.ifRevision', action.value.ifRevision) }
    case 'increment':
      return readIncrement(checks, 'increment.', key, action.value, now)
    default:
      checks.fail('', 'has no action; give set, delete or increment')
      return { type: 'delete', key }
  }
}

export function readSet(checks: Checks, at: string, key: string, set: SetValue, now: number, payloadLimit: number): KvWrite {
  checks.payload(`${at}value`, set.value, payloadLimit)
  checks.text(`${at}contentType`, set.contentType, limits.text)
  const ifRevision = readRevision(checks, `${at}ifRevision`, set.ifRevision)
  if (set.ifAbsent && ifRevision !== undefined) checks.fail(`${at}ifAbsent`, 'stands beside ifRevision; give one of them')
  const { value, contentType, ifAbsent } = set
  return { type: 'set', key, value, contentType, expiresAt: readTtl(checks, `${at}ttlMs`, set.ttlMs, now), ifRevision, ifAbsent }
}

export function readIncrement(checks: Checks, at: string, key: string, { by, ttlMs }: { by: number; ttlMs: number }, now: number): KvWrite {
  checks.integer(`${at}by`, by, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
  return { type: 'increment', key, by, expiresAt: readTtl(checks, `${at}ttlMs`, ttlMs, now) }
}

export function readRevision(checks: Checks, field: string, revision: number | undefined): number | undefined {
  if (revision !== undefined) checks.integer(field, revision, 0, Number.MAX_SAFE_INTEGER)
  return revision
}

function readTtl(checks: Checks, field: string, ttlMs: number, now: number): number | undefined {
  if (ttlMs === 0) return undefined
  checks.integer(field, ttlMs, 1, limits.ttl)
  return now + ttlMs
}
