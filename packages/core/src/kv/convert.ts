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
    ttlMs: toMs('ttl', options.ttl),
    ifRevision: toWhole('ifRevision', options.ifRevision),
    ifAbsent: options.ifAbsent === true,
  }
  return { key: toText('key', key), action: { $case: 'set', value: set } }
}

export function toDelete(key: string, options: DeleteOptions): wire.EntryWrite {
  return { key: toText('key', key), action: { $case: 'delete', value: { ifRevision: toWhole('ifRevision', options.ifRevision) } } }
}

export function toIncrement(key: string, by: number, options: IncrementOptions): wire.EntryWrite {
  const value = { by: toWhole('by', by) ?? 1, ttlMs: toMs('ttl', options.ttl) }
  return { key: toText('key', key), action: { $case: 'increment', value } }
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
