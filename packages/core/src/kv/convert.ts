import type * as wire from '@millrace/protocol'
import { toMs } from '../durations.ts'
import { InternalError, invalid } from '../errors/errors.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import { missingField, toText } from '../wire.ts'
import type { DeleteOptions, IncrementOptions, KvChange, KvEntry, KvStoreInfo, SetOptions } from './types.ts'

const types = ['set', 'deleted', 'expired'] as const

export function toSet(key: string, value: unknown, options: SetOptions): wire.EntryWrite {
  const { payload, contentType } = encodePayload('value', value)
  const set = {
    value: payload,
    contentType,
    ttlMs: toTtl(options),
    ifRevision: toWhole('ifRevision', options.ifRevision),
    ifAbsent: options.ifAbsent === true,
  }
  return { key: toText('key', key), action: { $case: 'set', value: set } }
}

export function toDelete(key: string, options: DeleteOptions): wire.EntryWrite {
  return { key: toText('key', key), action: { $case: 'delete', value: { ifRevision: toWhole('ifRevision', options.ifRevision) } } }
}

export function toIncrement(key: string, by: number, options: IncrementOptions): wire.EntryWrite {
  const value = { by: toWhole('by', by) ?? 1, ttlMs: toTtl(options) }
  return { key: toText('key', key), action: { $case: 'increment', value } }
}

/** A time to live; 0 is what the protocol calls for ever, so what has none left is not sent. */
function toTtl({ ttl }: Pick<SetOptions, 'ttl'>): number {
  const ttlMs = toMs('ttl', ttl)
  if (ttl !== undefined && ttlMs === 0) throw invalid('ttl', `'${String(ttl)}' is no time to live. Leave it out for a key that stays.`)
  return ttlMs
}

/** A whole number that JavaScript holds exactly. */
export function toWhole(path: string, value: number | undefined): number | undefined {
  if (value !== undefined && !Number.isSafeInteger(value)) throw invalid(path, `${String(value)} is not a whole number in range.`)
  return value
}

export function fromEntry<T>(entry: wire.Entry): KvEntry<T> {
  return {
    key: entry.key,
    value: decodePayload('value', entry.value, entry.contentType) as T,
    revision: entry.revision,
    ...(entry.expiresAt && { expiresAt: entry.expiresAt }),
    updatedAt: entry.updatedAt ?? new Date(0),
  }
}

export function fromChange<T>({ type, entry }: wire.EntryChange): KvChange<T> {
  if (!entry) throw new InternalError(missingField('the changed key'))
  const { value, updatedAt, ...rest } = fromEntry<T>(entry)
  const name = types[type - 1] ?? 'set'
  return { type: name, ...rest, ...(name === 'set' && { value }), at: updatedAt }
}

export function fromStore(store: wire.KvStore | undefined): KvStoreInfo {
  if (!store) throw new InternalError(missingField('the store'))
  const { name, history, revision, createdAt } = store
  return { name, history, revision, ...(createdAt && { createdAt }) }
}
