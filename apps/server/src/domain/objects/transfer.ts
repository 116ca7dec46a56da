import { createHash } from 'node:crypto'
import { invalid } from '../../errors.ts'
import type { Blob } from '../../store/object-port.ts'

/** What is known of bytes before they come. */
export interface Expected {
  /** How many; absent: not known. */
  readonly size?: number
  /** SHA-256 in hex; '' : not known. */
  readonly sha256: string
  /** The same, from what followed the bytes. */
  readonly trailer?: () => string
}

/** Counts and hashes bytes on their way, and refuses what is not as expected before their end is passed on. */
export class Measured implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterable<Uint8Array>
  readonly #expected: Expected
  readonly #most: number
  readonly #onBytes: () => Promise<void>
  readonly #hash = createHash('sha256')
  #size = 0
  #sha256 = ''

  /**
   * @param most - bytes at most.
   * @param onBytes - called as bytes come.
   */
  constructor(source: AsyncIterable<Uint8Array>, expected: Expected, most: number, onBytes: () => Promise<void>) {
    this.#source = source
    this.#expected = expected
    this.#most = most
    this.#onBytes = onBytes
  }

  /** What came, when it has come. */
  result(blob: string): Blob {
    return { blob, size: this.#size, sha256: this.#sha256 }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const { size, sha256, trailer } = this.#expected
    for await (const bytes of this.#source) {
      this.#size += bytes.length
      if (this.#size > (size ?? Infinity)) throw invalid('size', `says ${size} bytes, and more came; nothing was written`)
      if (this.#size > this.#most) throw invalid('data', `has more than ${this.#most} bytes, the most that an object may have here`)
      if (bytes.length === 0) continue
      this.#hash.update(bytes)
      await this.#onBytes()
      yield bytes
    }
    if (size !== undefined && this.#size < size) throw invalid('size', `says ${size} bytes, and ${this.#size} came; nothing was written`)
    this.#sha256 = this.#hash.digest('hex')
    for (const expected of [sha256, trailer?.() ?? '']) {
      if (expected === '' || expected === this.#sha256) continue
      throw invalid('sha256', `is not that of the bytes that came, which is ${this.#sha256}; nothing was written: send them again`)
    }
  }
}

/** The ETag of an object of these parts. */
export function etagOf(parts: readonly Pick<Blob, 'sha256'>[]): string {
  if (parts.length === 1) return parts[0]!.sha256
  const hash = createHash('sha256')
  for (const { sha256 } of parts) hash.update(Buffer.from(sha256, 'hex'))
  return `${hash.digest('hex')}-${parts.length}`
}
