import { type Field, fieldsOf, type Shape } from './shape.ts'
import { isJsonType, toBase64, toText, valuesOf } from './values.ts'

/** A JSON object. */
export type JsonObject = { [name: string]: unknown }

/** How {@link toJson} writes. */
export interface ToJsonOptions {
  /** Leaves out what {@link fromJson} would put there by itself: zeros, `false`, empty lists and maps. For requests. Default false. */
  readonly sparse?: boolean
  /** Reads the JSON of payloads. Default `JSON.parse`. */
  readonly parse?: (text: string) => unknown
}

const bytesType = 'application/octet-stream'

/**
 * Turns a message into what JSON holds. Every field is there but those that are not set: absent messages, times and
 * optional values, empty texts and payloads, unspecified values of enums.
 *
 * @param shape - what the message looks like.
 * @param message - a complete message.
 */
export function toJson<T>(shape: Shape<T>, message: T, options: ToJsonOptions = {}): JsonObject {
  const json: JsonObject = {}
  const from = message as JsonObject
  for (const field of fieldsOf(shape)) {
    const { name, kind, many, companion, oneof } = field
    let value = from[name]
    if (oneof) {
      const chosen = from[oneof] as { readonly $case: string; readonly value: unknown } | undefined
      value = chosen?.$case === name ? chosen.value : undefined
    }
    if (value === undefined) continue
    if (many === '*') {
      const list = value as readonly unknown[]
      if (!options.sparse || list.length > 0) json[name] = list.map((item) => toValue(field, item, options))
    } else if (many === '%') {
      const entries = Object.entries(value as object)
      if (!options.sparse || entries.length > 0) {
        json[name] = Object.fromEntries(entries.map(([key, item]) => [key, toValue(field, item, options)]))
      }
    } else if (!many && !oneof && isUnset(kind, value, options.sparse)) {
    } else if (companion) {
      const bytes = value as Uint8Array
      const payload = isJsonType(String(from[companion])) ? parsePayload(bytes, options) : undefined
      if (payload) json[name] = payload.value
      else {
        json[name] = toBase64(bytes)
        // What says that it is JSON and is not goes as the bytes that it is.
        if (isJsonType(String(from[companion]))) json[companion] = bytesType
      }
    } else json[name] = toValue(field, value, options)
  }
  return json
}

function isUnset(kind: string, value: unknown, sparse: boolean | undefined): boolean {
  if (kind === 'b') return (value as Uint8Array).length === 0
  if (kind === 's' || kind === 'e') return !value
  return sparse === true && (value === 0 || value === false)
}

function parsePayload(bytes: Uint8Array, { parse = JSON.parse }: ToJsonOptions): { readonly value: unknown } | undefined {
  try {
    return { value: parse(toText(bytes)) }
  } catch {
    return undefined
  }
}

function toValue({ kind, message, names }: Field, value: unknown, options: ToJsonOptions): unknown {
  if (kind === 'm') return toJson(message!, value, options)
  if (kind === 'e') return valuesOf(names).get(value as number) ?? value
  if (kind === 't') return (value as Date).toISOString()
  if (kind === 'b') return toBase64(value as Uint8Array)
  return kind === 'd' && !Number.isFinite(value) ? String(value) : value
}
