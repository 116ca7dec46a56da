import { GetObjectResponse, PutObjectRequest, PutPartRequest } from './gen/millrace/v1/object_service.ts'

/** Messages of which most are nothing but `data`, which is the field 2 in each. */
const chunked: ReadonlySet<unknown> = new Set([GetObjectResponse, PutObjectRequest, PutPartRequest])
const tag = (2 << 3) | 2

/**
 * Encodes a message that is nothing but bytes, with one copy of them. The generated code makes three, and room for twice as many: every
 * few megabytes of that cost a collection of garbage.
 *
 * @param type - the message's type, as it was generated.
 * @returns undefined for all other messages.
 */
export function encodeChunk(type: unknown, message: unknown): Uint8Array | undefined {
  if (!chunked.has(type)) return undefined
  const field = (message as GetObjectResponse | PutObjectRequest | PutPartRequest).message
  return field?.$case === 'data' ? withTag(field.value) : undefined
}

function withTag(bytes: Uint8Array): Uint8Array {
  const head = [tag]
  let length = bytes.length
  for (; length > 127; length >>>= 7) head.push((length & 127) | 128)
  head.push(length)
  const encoded = new Uint8Array(head.length + bytes.length)
  encoded.set(head)
  encoded.set(bytes, head.length)
  return encoded
}
