import { invalid } from '../../errors.ts'
import type { SqlValue } from './backend.ts'

/** Node's own; TypeScript does not know them yet. */
const exactJson = JSON as unknown as {
  rawJSON(text: string): unknown
  isRawJSON(value: unknown): value is { readonly rawJSON: string }
  parse(text: string, reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown): unknown
}

/** Dimensions of an array in Postgres. */
const mostDimensions = 6
const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads a payload of JSON. Numbers that a double cannot hold stay what was written.
 *
 * @param path - the field, for errors.
 * @returns undefined when there is nothing.
 * @throws VALIDATION
 */
export function readJson(path: string, payload: Uint8Array, contentType: string): unknown {
  const text = readText(path, payload, contentType)
  return text === '' ? undefined : parseExact(path, text)
}

/**
 * Reads the text of a payload of JSON; what is in it may be no JSON.
 *
 * @returns '' when there is nothing.
 * @throws VALIDATION
 */
export function readText(path: string, payload: Uint8Array, contentType: string): string {
  if (payload.length === 0) return ''
  if (contentType !== '' && !contentType.startsWith('application/json')) throw invalid(path, `is '${contentType}', not JSON`)
  try {
    return decoder.decode(payload)
  } catch (error) {
    throw invalid(path, `is not valid JSON: ${(error as Error).message}`)
  }
}

/** What a text of JSON says, its numbers to the digit. @throws VALIDATION */
export function parseExact(path: string, text: string): unknown {
  try {
    if (!/\d{16}|\d[eE.]\d*/.test(text)) return JSON.parse(text)
    return exactJson.parse(text, (_, value, { source }) =>
      typeof value === 'number' && source !== undefined && String(value) !== source ? exactJson.rawJSON(source) : value,
    )
  } catch (error) {
    throw invalid(path, `is not valid JSON: ${(error as Error).message}`)
  }
}

/** True for a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !exactJson.isRawJSON(value)
}

/**
 * A JSON value as Postgres reads it in text: lists are arrays, objects JSON.
 *
 * @param path - the field, for errors.
 * @throws VALIDATION
 */
export function toSqlValue(path: string, value: unknown): SqlValue {
  if (value === null || value === undefined) return null
  if (exactJson.isRawJSON(value)) return value.rawJSON
  const text = Array.isArray(value) ? arrayLiteral(path, value) : typeof value === 'object' ? writeJson(path, value) : String(value)
  if (text.includes('\0')) throw invalid(path, 'contains a zero byte, which text in Postgres cannot')
  return text
}

/** A value as JSON. @throws VALIDATION when what is in it lies too deep to be written. */
export function writeJson(path: string, value: object): string {
  try {
    return JSON.stringify(value)
  } catch {
    throw invalid(path, 'holds values that lie too deep in each other')
  }
}

/** A list as Postgres writes arrays. */
export function arrayLiteral(path: string, list: readonly unknown[], depth = 1): string {
  if (depth > mostDimensions) throw invalid(path, `lies more than ${mostDimensions} lists deep, the most that Postgres's arrays have`)
  const parts = list.map((each) => {
    if (each === null) return 'NULL'
    if (Array.isArray(each)) return arrayLiteral(path, each, depth + 1)
    return `"${toSqlValue(path, each)!.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  })
  return `{${parts.join(',')}}`
}
