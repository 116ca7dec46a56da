import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'

const brotli = promisify(brotliCompress)
const zip = promisify(gzip)

/** Characters from which an answer is worth compressing: below, it fits one packet anyway. */
const leastLength = 1024

/**
 * How an answer is to be compressed; undefined when it is not.
 *
 * @param accepted - the caller's `Accept-Encoding`.
 * @param length - characters, or bytes, of the answer.
 */
export function acceptedCoding(accepted: string | undefined, length: number): 'br' | 'gzip' | undefined {
  if (!accepted || length < leastLength) return undefined
  const refused = /\b(br|gzip) *; *q=0(\.0*)? *(,|$)/.exec(accepted)?.[1]
  return (['br', 'gzip'] as const).find((coding) => coding !== refused && new RegExp(`\\b${coding}\\b`).test(accepted))
}

/** Compresses an answer, beside the event loop. */
export function compress(coding: 'br' | 'gzip', body: string | Buffer): Promise<Buffer> {
  // The default quality of brotli is for files that are compressed once.
  return coding === 'br' ? brotli(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }) : zip(body)
}
