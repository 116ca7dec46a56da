const mebibyte = 1024 ** 2
/** Parts of an upload at most: S3's rule. */
const mostParts = 10_000
/** Smallest part. S3 takes 5 MiB; fewer requests are faster. */
const leastBytes = 8 * mebibyte

/** How large the parts of a blob are: all the same, as some servers want it, and few enough for as many bytes as may come. */
export function partSize(most: number): number {
  return Math.max(leastBytes, Math.ceil(most / mostParts / mebibyte) * mebibyte)
}

/** Joins and cuts chunks to parts: each of one size but the last, which may be empty when it is the only one. */
export async function* inParts(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  let chunks: Uint8Array[] = []
  let length = 0
  let isFirst = true
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + size - length)
      chunks.push(piece)
      at += piece.length
      length += piece.length
      if (length < size) continue
      const part = Buffer.concat(chunks)
      chunks = []
      length = 0
      isFirst = false
      yield part
    }
  }
  if (length > 0 || isFirst) yield Buffer.concat(chunks)
}
