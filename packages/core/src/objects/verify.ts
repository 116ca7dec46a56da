import type * as wire from '@millrace/protocol'
import { InternalError } from '../errors/errors.ts'
import type { Hasher } from '../transport.ts'

/** Passes on the bytes of an object; all of them are checked against what the server says that was written. */
export async function* verified(
  { object, length, parts }: wire.GetObjectHeader,
  bytes: AsyncIterable<Uint8Array>,
  createHasher: (() => Hasher) | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const isWhole = createHasher !== undefined && parts.length > 0 && length === object?.size
  const left = isWhole ? [...parts] : []
  let hasher = createHasher?.()
  let ofPart = 0
  let came = 0
  for await (const chunk of bytes) {
    came += chunk.length
    for (let at = 0; at < chunk.length && left.length > 0; ) {
      const [part] = left
      const piece = chunk.subarray(at, at + part!.size - ofPart)
      hasher!.update(piece)
      at += piece.length
      ofPart += piece.length
      if (ofPart < part!.size) break
      if (hasher!.digest() !== part!.sha256) throw damaged(object)
      left.shift()
      hasher = createHasher?.()
      ofPart = 0
    }
    yield chunk
  }
  if (came !== length) throw damaged(object)
}

/** What arrived is not what was written. */
function damaged(object: wire.StoredObject | undefined): InternalError {
  const message = `The bytes of the object ${JSON.stringify(object?.key)} are not those that were written: read it again, and tell the operator when it stays so.`
  return new InternalError({ reason: 'INTERNAL', message })
}
