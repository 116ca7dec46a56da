import { setTimeout as sleep } from 'node:timers/promises'
import type { S3 } from '@aws-sdk/client-s3'
import type { Span } from '../../../domain/objects/backend.ts'
import { faultOf, storageError } from './errors.ts'
import type { Target } from './upload.ts'

/** How often in a row an answer may break off before its first byte. */
const attempts = 4
/** Wait after the first; twice as long after each further one. */
const againMs = 100

/**
 * Reads a part of an object, as fast as it is asked for. An answer that breaks off goes on in another one; so does one that stood still
 * for `stillMs`, be it that nothing came or that nobody read on: a reader that pauses holds no connection.
 */
export async function* download(
  s3: S3,
  target: Target,
  { start, length }: Span,
  stillMs: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const end = start + length
  let failures = 0
  for (let at = start; at < end; ) {
    const body = await open(s3, target, at, end)
    const still = setTimeout(() => body.destroy(new Error(`Nothing moved for ${stillMs} ms`)), stillMs)
    let fault: unknown = new Error('The answer ended early')
    try {
      for await (const chunk of body) {
        const bytes = (chunk as Uint8Array).subarray(0, end - at)
        still.refresh()
        at += bytes.length
        failures = 0
        if (bytes.length > 0) yield bytes
        still.refresh()
        // The end is waited for: then the connection is good for the next request.
        if (bytes.length < chunk.length) break
      }
    } catch (error) {
      fault = error
    } finally {
      clearTimeout(still)
    }
    if (at === end) return
    if (++failures >= attempts) throw storageError(fault)
    if (failures > 1) await sleep(againMs * 2 ** (failures - 2))
  }
}

async function open(s3: S3, target: Target, at: number, end: number) {
  const answer = await s3.getObject({ ...target, Range: `bytes=${at}-${end - 1}` }).catch((error: unknown) => {
    if (faultOf(error) === 'NoSuchKey' || faultOf(error) === 'InvalidRange') {
      throw new Error(`The object ${target.Key} of the bucket ${target.Bucket} is not there, or shorter than it should be`)
    }
    throw storageError(error)
  })
  const body = answer.Body
  if (!body || !('destroy' in body)) throw new Error(`S3 answered without a body for ${target.Key}`)
  if (at > 0 && !answer.ContentRange?.startsWith(`bytes ${at}-`)) {
    body.destroy()
    throw new Error('The S3 server takes no ranges, which objects need')
  }
  return body
}
