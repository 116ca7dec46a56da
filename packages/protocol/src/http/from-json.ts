import { type Field, fieldsOf, type Shape } from './shape.ts'
import type { JsonObject } from './to-json.ts'
import { enumNumber, fromBase64, isJsonType, toBytes } from './values.ts'

/**
 * Turns JSON into a complete message: what is missing gets its default. Fields that the shape does not know are passed
 * over. It trusts the kinds of values; what comes from somebody unknown is checked by {@link checkJson} first.
 *
 * @param shape - what the message looks like.
 * @param json - a JSON object.
 */
export function fromJson<T>(shape: Shape<T>, json: unknown): T {
  const from = json as JsonObject
  const message: JsonObject = {}
  for (const field of fieldsOf(shape)) {
    const { name, many, companion, oneof } = field
    const given = Object.hasOwn(from, name) ? from[name] : undefined
    // Elsewhere null is nothing; a payload may be null.
    const value = given === null && !companion ? undefined : given
    if (oneof) {
      message[oneof] = value === undefined ? message[oneof] : { $case: name, value: fromValue(field, value) }
    } else if (many === '*') {
      message[name] = ((value as unknown[] | undefined) ?? []).map((item) => fromValue(field, item))
    } else if (many === '%') {
      message[name] = Object.fromEntries(Object.entries(value ?? {}).map(([key, item]) => [key, fromValue(field, item)]))
    } else if (value === undefined) {
      message[name] = many ? undefined : defaultOf(field.kind)
    } else if (companion) {
      const isJson = isJsonType((from[companion] as string | undefined) ?? '')
      message[name] = isJson ? toBytes(JSON.stringify(value)) : fromBase64(value as string)
    } else message[name] = fromValue(field, value)
  }
  return message as T
}

function defaultOf(kind: string): unknown {
  if (kind === 's') return ''
  if (kind === 'z') return false
  if (kind === 'b') return new Uint8Array(0)
  return kind === 'm' || kind === 't' ? undefined : 0
}

function fromValue({ kind, message, names }: Field, value: unknown): unknown {
  if (kind === 'm') return fromJson(message!, value)
  // A name that a newer server may have is the value that stands for those.
  if (kind === 'e') return typeof value === 'string' ? (enumNumber(names, value) ?? -1) : value
  if (kind === 't') return new Date(value as string)
  if (kind === 'b') return fromBase64(value as string)
  // A number may come as text, as those of 64 bits do elsewhere, or as `JSON.rawJSON`.
  return kind === 's' || kind === 'z' ? value : Number((value as { readonly rawJSON?: string }).rawJSON ?? value)
}
