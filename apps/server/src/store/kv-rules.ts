import { MillraceError } from '../errors.ts'
import type { KvEntry, KvOutcome, KvWrite, KvWriteRequest } from './kv-port.ts'

/** Bytes of values that one read or page gives at most, the last one aside. */
export const mostReadBytes = 2 * 1024 * 1024
/** Rows looked at for one page at most. */
export const mostScanned = 5000

/** What a write does to its key. */
export type Effect =
  | {
      readonly type: 'put'
      readonly value: Uint8Array
      readonly contentType: string
      readonly expiresAt?: number
      readonly number?: number
    }
  | { readonly type: 'remove' }
  | { readonly type: 'nothing' }

/** True when what a write does depends on what is there. */
export function looksFirst(write: KvWrite): boolean {
  return write.type !== 'set' || write.ifRevision !== undefined || write.ifAbsent
}

/**
 * What a write does.
 *
 * @param current - the key as it is there; undefined when it is not, or its time is over. Read when {@link looksFirst}.
 * @throws MillraceError when a condition of the write does not hold.
 */
export function effectOf(write: KvWrite, current: KvEntry | undefined): Effect {
  if (write.type === 'increment') return increment(write, current)
  if (write.ifRevision !== undefined && write.ifRevision !== (current?.revision ?? 0)) throw conflict(write.key, write.ifRevision, current)
  if (write.type === 'delete') return current ? { type: 'remove' } : { type: 'nothing' }
  if (write.ifAbsent && current) {
    throw new MillraceError('ALREADY_EXISTS', `The key ${show(write.key)} is there already, at revision ${current.revision}.`)
  }
  return { type: 'put', value: write.value, contentType: write.contentType, expiresAt: write.expiresAt }
}

function increment(write: KvWrite & { readonly type: 'increment' }, current: KvEntry | undefined): Effect {
  const before = current ? numberOf(current) : 0
  const number = before + write.by
  if (!Number.isSafeInteger(before)) {
    throw new MillraceError(
      'FAILED_PRECONDITION',
      `The value of ${show(write.key)} is not a whole number within ±(2^53 - 1): set it first.`,
    )
  }
  if (!Number.isSafeInteger(number)) {
    throw new MillraceError('FAILED_PRECONDITION', `${before} + ${write.by} is not within ±(2^53 - 1); ${show(write.key)} stays as it was.`)
  }
  const expiresAt = current ? current.expiresAt : write.expiresAt
  return { type: 'put', value: Buffer.from(String(number)), contentType: '', expiresAt, number }
}

function numberOf({ value = new Uint8Array(), contentType }: KvEntry): number {
  if (contentType !== '' && !contentType.startsWith('application/json')) return Number.NaN
  const text = Buffer.from(value).toString('utf8').trim()
  return /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
}

function conflict(key: string, wanted: number, current: KvEntry | undefined): MillraceError {
  const is = current ? `is at revision ${current.revision}` : 'is not there'
  const asked = wanted === 0 ? 'it was not to be there' : `the write asked for revision ${wanted}`
  return new MillraceError('CONFLICT', `The key ${show(key)} ${is}; ${asked}. Read it again and decide anew.`)
}

function show(key: string): string {
  return JSON.stringify(key.length > 64 ? `${key.slice(0, 60)}…` : key)
}

/** The refusal of one write, when the others stand: what the storage itself says is everybody's. */
export function refusalOf(request: KvWriteRequest, error: unknown): KvOutcome {
  if (request.partial && error instanceof MillraceError && error.reason !== 'UNAVAILABLE') return { error }
  throw error
}

/** Under which id a request's answer is remembered. */
export function requestKey({ scope, store, requestId }: KvWriteRequest): string {
  return `kv ${scope.namespace} ${store} ${requestId}`
}

type Remembered =
  | number
  | readonly [revision: number, deleted: 0 | 1 | null, number: number | null]
  | { readonly reason: string; readonly message: string }

/** An answer as text, to be remembered. */
export function remember(outcomes: readonly KvOutcome[]): string {
  const short = outcomes.map((outcome): Remembered => {
    if ('error' in outcome) return { reason: outcome.error.reason, message: outcome.error.message }
    const { revision, deleted, number } = outcome
    if (deleted === undefined && number === undefined) return revision
    return [revision, deleted === undefined ? null : deleted ? 1 : 0, number ?? null]
  })
  return JSON.stringify(short)
}

/** The answer that {@link remember} wrote. */
export function recall(text: string): readonly KvOutcome[] {
  return (JSON.parse(text) as readonly Remembered[]).map((short): KvOutcome => {
    if (typeof short === 'number') return { revision: short }
    if ('reason' in short) return { error: new MillraceError(short.reason as MillraceError['reason'], short.message) }
    const [revision, deleted, number] = short as readonly [number, 0 | 1 | null, number | null]
    return { revision, ...(deleted !== null && { deleted: deleted === 1 }), ...(number !== null && { number }) }
  })
}
