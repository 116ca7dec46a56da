import { invalid } from './errors/errors.ts'

/** A value on the wire: bytes and what they are. */
export interface EncodedPayload {
  /** The bytes. */
  readonly payload: Uint8Array
  /** Media type; empty means `application/json`. */
  readonly contentType: string
}

const bytesType = 'application/octet-stream'
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
const nothing: EncodedPayload = { payload: new Uint8Array(0), contentType: '' }

/**
 * Encodes any JSON value, or bytes as they are. `undefined` is encoded as nothing and comes back as `undefined`.
 *
 * @param path - name of the value, for the error.
 * @throws ValidationError when JSON cannot hold the value (a cycle, a bigint, a function).
 */
export function encodePayload(path: string, value: unknown): EncodedPayload {
  if (value === undefined) return nothing
  if (value instanceof Uint8Array) return { payload: value, contentType: bytesType }
  return { payload: encoder.encode(stringify(path, value)), contentType: '' }
}

function stringify(path: string, value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw invalid(path, `cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (text === undefined) throw invalid(path, `a ${typeof value} cannot be written as JSON. Give a JSON value or a Uint8Array.`)
  return text
}

/**
 * Decodes what {@link encodePayload} encoded. Content of other kinds than JSON comes back as bytes.
 *
 * @throws ValidationError when it says it is JSON and is not.
 */
export function decodePayload(path: string, payload: Uint8Array, contentType: string): unknown {
  // A copy, so that the value does not keep the whole message it came in alive.
  if (contentType !== '' && !contentType.startsWith('application/json')) return new Uint8Array(payload)
  if (payload.length === 0) return undefined
  try {
    return JSON.parse(decoder.decode(payload))
  } catch (error) {
    throw invalid(path, `is not valid JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}
