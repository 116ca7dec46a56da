import { invalid } from '../../errors.ts'
import type { StreamMessage } from '../../store/stream-port.ts'

/** Bytes as long as a text of JSON may be. */
const decoder = new TextDecoder('utf-8', { fatal: true })
const none = { headers: {}, key: '' } as const

/** Values of one body at most. */
const mostValues = 10_000

/** A content type without its parameters, in lower case. */
export function mediaType(contentType: string): string {
  return contentType.split(';', 1)[0]!.trim().toLowerCase()
}

/** True for streams whose messages are JSON: those that were created so, and those of which nobody said anything. */
export function isJson(contentType: string): boolean {
  return contentType === '' || mediaType(contentType) === 'application/json'
}

/**
 * What a body is in a stream: each value of JSON a message, those of a list one by one; of other types the bytes as one, or as
 * several when they are many.
 *
 * @param largest - bytes of a message at most.
 * @param parse - reads JSON.
 * @throws VALIDATION
 */
export function messagesOf(contentType: string, body: Uint8Array, largest: number, parse: (text: string) => unknown): StreamMessage[] {
  if (!isJson(contentType)) {
    return Array.from({ length: Math.ceil(body.length / largest) }, (_, i) => {
      return { payload: body.subarray(i * largest, (i + 1) * largest), contentType: mediaType(contentType), ...none }
    })
  }
  let values: readonly unknown[]
  try {
    const value = parse(decoder.decode(body))
    values = Array.isArray(value) ? value : [value]
  } catch (error) {
    throw invalid('body', `is not valid JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (values.length > mostValues) throw invalid('body', `has ${values.length} values; ${mostValues} are allowed. Send fewer at a time`)
  return values.map((each, i) => {
    const payload = Buffer.from(textOf(each, i))
    if (payload.length > largest)
      throw invalid(`body[${i}]`, `has ${payload.length} bytes; a value may have ${largest} (the payload limit)`)
    return { payload, contentType: '', ...none }
  })
}

function textOf(value: unknown, i: number): string {
  try {
    return JSON.stringify(value)
  } catch (error) {
    // Writing deeply nested JSON takes more stack than reading it.
    if (error instanceof RangeError) throw invalid(`body[${i}]`, 'is nested too deeply')
    throw error
  }
}

/** Messages as one body. */
export function bodyOf(contentType: string, messages: readonly StreamMessage[]): Buffer {
  if (!isJson(contentType)) return Buffer.concat(messages.map(({ payload }) => payload))
  const parts = messages.flatMap((message, i) => (i === 0 ? [jsonOf(message)] : [comma, jsonOf(message)]))
  return Buffer.concat([open, ...parts, close])
}

const open = Buffer.from('[')
const comma = Buffer.from(',')
const close = Buffer.from(']')

/** A message as a value of JSON: other texts as a string, other bytes as a string in base64. */
function jsonOf({ payload, contentType }: StreamMessage): Uint8Array {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  if (isJson(contentType)) {
    try {
      JSON.parse(decoder.decode(bytes))
      return payload
    } catch {
      // Whoever writes over gRPC may call anything JSON.
      return Buffer.from(JSON.stringify(bytes.toString()))
    }
  }
  return Buffer.from(JSON.stringify(bytes.toString(mediaType(contentType).startsWith('text/') ? 'utf8' : 'base64')))
}
