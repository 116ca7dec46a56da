import type * as wire from '@millrace/protocol'
import { invalid } from '../errors/errors.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import type { RowChange, RowFilter } from './types.ts'

const nothing = new Uint8Array(0)

/** A value as it travels: what JSON cannot hold goes as the text that Postgres reads. */
function toValue(path: string, value: unknown, depth: number, isFilter = false): unknown {
  if (isPlain(value)) return value
  // A column without a value is one that is not written; a comparison that is not made takes rows that nobody meant.
  if (value === undefined && isFilter) throw invalid(path, 'is undefined; leave it out, or compare with null.')
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw invalid(path, 'is not a valid Date.')
    return value.toISOString()
  }
  if (value instanceof Uint8Array) return `\\x${toHex(value)}`
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  if (typeof value === 'function' || typeof value === 'symbol') throw invalid(path, `a ${typeof value} cannot be sent.`)
  if (typeof value !== 'object' || value === null) return value
  if (depth > 64) throw invalid(path, 'lies more than 64 deep, or in itself.')
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return value
  if (Object.values(value).every(isPlain)) return value
  if (Array.isArray(value))
    return value.every(isPlainRow) ? value : value.map((each, i) => toValue(`${path}[${i}]`, each, depth + 1, isFilter))
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, toValue(`${path}.${key}`, each, depth + 1, isFilter)]))
}

/** True for what JSON holds as it is. Most values are: no path is made for them, nor a copy of a row that has nothing else. */
function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || value === null || (typeof value === 'number' && Number.isFinite(value))
}

/** True for a row that JSON holds as it is. */
function isPlainRow(value: unknown): boolean {
  return (value as object | null)?.constructor === Object && Object.values(value as object).every(isPlain)
}

/** Values as a payload of JSON. */
export function toJson(path: string, value: unknown, isFilter?: boolean): Uint8Array {
  return encodePayload(path, toValue(path, value, 0, isFilter)).payload
}

function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array((text.length - 2) / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i + 2, 2 * i + 4), 16)
  return bytes
}

/** A filter as it travels. */
export function toFilter(where: RowFilter<never> | undefined): wire.RowFilter | undefined {
  if (where === undefined) return undefined
  if (typeof where === 'string') return { text: where, where: nothing, contentType: '' }
  if (typeof where !== 'object' || where === null) throw invalid('where', 'is neither text nor an object.')
  return { text: '', where: toJson('where', where, true), contentType: '' }
}

type Convert = (value: unknown) => unknown

/** What a type's values become beside what JSON made of them. */
function converterOf(type: string): Convert | undefined {
  const base = /^(bigint|bytea|real|double precision)((?:\[\])*)$/.exec(type)
  if (!base) return undefined
  const one: Convert = (value) => {
    if (Array.isArray(value)) return value.map(one)
    if (typeof value !== 'string') return value
    return base[1] === 'bigint' ? BigInt(value) : base[1] === 'bytea' ? fromHex(value) : Number(value)
  }
  return one
}

function convertRows<T>(columns: readonly wire.RowColumn[], rows: Record<string, unknown>[]): T[] {
  for (const { name, type } of columns) {
    const convert = converterOf(type)
    if (convert) for (const row of rows) row[name] = convert(row[name])
  }
  return rows as T[]
}

/** Rows as they are given out. */
export function fromRows<T>(set: wire.RowSet | undefined): T[] {
  return set ? convertRows<T>(set.columns, (decodePayload('rows', set.rows, set.contentType) ?? []) as Record<string, unknown>[]) : []
}

// By number: the names of the enum would travel to every page.
const changeTypes = ['', 'insert', 'update', 'delete', 'truncate'] as const

/** Changes of rows as they are given out. */
export function fromChanges<T>({ columns, changes }: wire.WatchRowChangesResponse): RowChange<T>[] {
  return changes.map(({ type, row, contentType, old, oldContentType, at, cursor }) => {
    const rowOf = (payload: Uint8Array, kind: string) =>
      convertRows<T>(columns, [decodePayload('row', payload, kind) as Record<string, unknown>])[0]
    return {
      type: changeTypes[type as number],
      ...(row.length > 0 && { row: rowOf(row, contentType) }),
      ...(old.length > 0 && { old: rowOf(old, oldContentType) }),
      at,
      cursor,
    } as RowChange<T>
  })
}
