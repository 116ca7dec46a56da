import type { S3 } from '@aws-sdk/client-s3'
import type { Slots } from '../../slots.ts'
import { faultOf, rethrow } from './errors.ts'
import { inParts, partSize } from './parts.ts'

/** Parts of one writer that are sent at a time, while the next one is gathered: what a writer holds in memory. */
const atATime = 2
/** Longest time in which S3 puts parts together. */
const completeMs = 5 * 60_000

/** An object of a bucket. */
export interface Target {
  readonly Bucket: string
  readonly Key: string
}

/**
 * Writes an object of any size: one that fits into a part at once, a larger one part by part.
 *
 * @param slots - what all writers' requests share.
 * @param most - bytes that may come at most.
 */
export async function upload(s3: S3, slots: Slots, target: Target, source: AsyncIterable<Uint8Array>, most: number): Promise<void> {
  const size = partSize(most)
  const parts = inParts(source, size)
  try {
    const { value: first } = await parts.next()
    if (first!.length < size) await slots.run(() => s3.putObject({ ...target, Body: first! })).catch(rethrow)
    else await uploadParts(s3, slots, target, first!, parts)
  } finally {
    // The source hears that nobody reads on.
    await parts.return()
  }
}

async function uploadParts(s3: S3, slots: Slots, target: Target, first: Uint8Array, rest: AsyncIterable<Uint8Array>): Promise<void> {
  const { UploadId } = await s3.createMultipartUpload(target).catch(rethrow)
  const multipart = { ...target, UploadId }
  const stop = new AbortController()
  const sending = new Set<Promise<void>>()
  const sent: { readonly PartNumber: number; readonly ETag: string | undefined }[] = []
  let bytes = 0
  const sendOne = async (PartNumber: number, Body: Uint8Array) => {
    const abortSignal = stop.signal
    const { ETag } = await slots.run(() => s3.uploadPart({ ...multipart, PartNumber, Body }, { abortSignal })).catch(rethrow)
    sent[PartNumber - 1] = { PartNumber, ETag }
  }
  const send = async (part: Uint8Array) => {
    while (sending.size >= atATime) await Promise.race(sending)
    stop.signal.throwIfAborted()
    bytes += part.length
    const one = sendOne(sent.push({ PartNumber: 0, ETag: undefined }), part).finally(() => sending.delete(one))
    one.catch((error: unknown) => stop.abort(error))
    sending.add(one)
  }
  try {
    await send(first)
    for await (const part of rest) await send(part)
    await Promise.all(sending)
    await complete(s3, target, { UploadId, bytes, Parts: sent }).catch(rethrow)
  } catch (error) {
    // The first part that failed is the reason for what the others say.
    const reason: unknown = stop.signal.aborted ? stop.signal.reason : error
    stop.abort()
    await Promise.allSettled(sending)
    // What is left when this fails, too, is collected with the blob.
    await s3.abortMultipartUpload(multipart).catch(() => undefined)
    throw reason
  }
}

async function complete(
  s3: S3,
  target: Target,
  { UploadId, bytes, Parts }: { readonly UploadId: string | undefined; readonly bytes: number; readonly Parts: object[] },
): Promise<void> {
  try {
    await s3.completeMultipartUpload({ ...target, UploadId, MultipartUpload: { Parts } }, { abortSignal: AbortSignal.timeout(completeMs) })
  } catch (error) {
    // An answer that was lost: the client asked again for what S3 had done.
    const isDone = faultOf(error) === 'NoSuchUpload' && (await s3.headObject(target).catch(() => undefined))?.ContentLength === bytes
    if (!isDone) throw error
  }
}
