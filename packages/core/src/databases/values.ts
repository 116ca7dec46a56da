import { invalid } from '../errors/errors.ts'
import type { SqlParameter, SqlParameters } from './types.ts'

type Convert = (value: unknown) => unknown

const encoder = new TextEncoder()

/** Parameters as they travel. */
export function encodeParameters(path: string, parameters: SqlParameters | undefined): Uint8Array {
  if (parameters === undefined) return new Uint8Array(0)
  if (typeof parameters !== 'object' || parameters === null) throw invalid(path, 'is neither a list nor an object.')
  return encoder.encode(JSON.stringify(tagged(path, parameters as SqlParameter, true)))
}

/** A value with what JSON has not as an object of one key. */
function tagged(path: string, value: SqlParameter, isTop = false): unknown {
  switch (typeof value) {
    case 'bigint':
      return { $bigint: String(value) }
    case 'number':
      if (!Number.isFinite(value)) throw invalid(path, `${value} cannot be sent; give it as text and cast it.`)
      return value
    case 'string':
    case 'boolean':
      return value
    case 'object': {
      if (value === null) return value
      if (value instanceof Date) {
        if (Number.isNaN(value.getTime())) throw invalid(path, 'is not a valid Date.')
        return { $timestamp: value.toISOString() }
      }
      if (value instanceof Uint8Array) return { $bytes: toBase64(value) }
      if (Array.isArray(value)) return value.map((item: SqlParameter, i) => tagged(`${path}[${i}]`, item))
      const entries = Object.entries(value as { readonly [name: string]: SqlParameter })
      if (!isTop && entries.length === 1 && entries[0]![0].startsWith('$')) throw invalid(path, 'has a field whose name begins with $.')
      return Object.fromEntries(entries.map(([name, item]) => [name, tagged(`${path}.${name}`, item)]))
    }
    default:
      throw invalid(path, `is ${typeof value}, which SQL has no value for.`)
  }
}

/**
 * What turns values of a type, as JSON holds them, into what they are; undefined when they are that already.
 *
 * @param type - as the server says it: `BIGINT`, `STRUCT("a" BLOB)[]`.
 */
export function converterOf(type: string): Convert | undefined {
  const array = /\[\d*\]$/.exec(type)
  if (array) {
    const item = converterOf(type.slice(0, array.index))
    return item && orNull((value) => (value as unknown[]).map(item))
  }
  const [, word = '', inside] = /^([A-Z]+)(?:\((.*)\))?$/s.exec(type) ?? []
  switch (word) {
    case 'BIGINT':
    case 'UBIGINT':
    case 'HUGEINT':
    case 'UHUGEINT':
    case 'BIGNUM':
      return (value) => (typeof value === 'string' ? BigInt(value) : value)
    case 'FLOAT':
    case 'DOUBLE':
      return (value) => (typeof value === 'string' ? Number(value) : value)
    case 'BLOB':
      return orNull((value) => fromBase64(value as string))
    case 'INTERVAL':
      return orNull((value) => ({ ...(value as object), micros: large((value as { micros: unknown }).micros) }))
    case 'MAP': {
      const [key = same, item = same] = split(inside).map(converterOf)
      return orNull((value) => new Map((value as [unknown, unknown][]).map((entry) => [key(entry[0]), item(entry[1])])))
    }
    case 'UNION': {
      const members = fieldsOf(inside)
      return orNull((value) => {
        const { tag, value: content } = value as { tag: string; value: unknown }
        return { tag, value: (members.get(tag) ?? same)(content) }
      })
    }
    case 'STRUCT': {
      const fields = [...fieldsOf(inside)].filter((field): field is [string, Convert] => field[1] !== undefined)
      if (fields.length === 0) return undefined
      return orNull((value) => {
        const struct = value as Record<string, unknown>
        for (const [name, convert] of fields) struct[name] = convert(struct[name])
        return struct
      })
    }
    default:
      return undefined
  }
}

const same: Convert = (value) => value
const large: Convert = (value) => (typeof value === 'string' ? BigInt(value) : value)

function orNull(convert: Convert): Convert {
  return (value) => (value === null ? null : convert(value))
}

/** The fields within `STRUCT(…)`: a name, in quotes when it is no plain word, and a type. */
function fieldsOf(inside: string | undefined): Map<string, Convert | undefined> {
  return new Map(
    split(inside).map((field) => {
      const [all, text = ''] = /^("(?:[^"]|"")*"|\S+)\s+/.exec(field) ?? ['']
      const name = text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text
      return [name, converterOf(field.slice(all.length))]
    }),
  )
}

/** What stands between commas, those within parentheses and quotes aside. */
function split(text = ''): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (const { 0: token, index } of text.matchAll(/"(?:[^"]|"")*"|'(?:[^']|'')*'|[(),]/g)) {
    if (token === '(') depth++
    else if (token === ')') depth--
    else if (token === ',' && depth === 0) {
      parts.push(text.slice(start, index).trim())
      start = index + 1
    }
  }
  return [...parts, text.slice(start).trim()]
}

function toBase64(bytes: Uint8Array): string {
  let text = ''
  // As many as a call takes arguments.
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(text)
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
}
