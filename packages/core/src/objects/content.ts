import { join } from './body.ts'
import type { Received } from './carrier.ts'
import { fromObject } from './convert.ts'
import type { ObjectInfo } from './types.ts'

/**
 * An object that is being read. Its bytes come as fast as they are asked for, and can be asked for once: by iterating, or with
 * `stream()`, `bytes()`, `text()` or `json()`. Whoever wants none of them calls `cancel()`, or the call stays open.
 */
export class ObjectContent implements AsyncIterable<Uint8Array> {
  readonly #received: Received
  /** What the object is. */
  readonly info: ObjectInfo
  /** Which byte comes first, from 0. */
  readonly offset: number
  /** How many bytes come. */
  readonly length: number

  /** @internal */
  constructor(received: Received) {
    const { object, offset, length } = received.header
    this.#received = received
    this.info = fromObject(object)
    this.offset = offset
    this.length = length
  }

  /** The bytes, chunk by chunk. A whole object is checked against its SHA-256 on the way (over gRPC). */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, void, undefined> {
    return this.#received.bytes[Symbol.asyncIterator]()
  }

  /** The bytes as a stream of the platform. */
  stream(): ReadableStream<Uint8Array> {
    const chunks = this[Symbol.asyncIterator]()
    return new ReadableStream(
      {
        async pull(controller) {
          const { value, done } = await chunks.next()
          if (done) controller.close()
          else controller.enqueue(value)
        },
        async cancel() {
          await chunks.return?.()
        },
      },
      { highWaterMark: 0 },
    )
  }

  /** All bytes at once. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of this) {
      chunks.push(chunk)
      length += chunk.length
    }
    return join(chunks, length)
  }

  /** All bytes as text in UTF-8. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes())
  }

  /** All bytes as JSON. @throws SyntaxError when they are none. */
  async json<T = unknown>(): Promise<T> {
    return JSON.parse(await this.text()) as T
  }

  /** Ends the call; for who does not want the bytes. */
  cancel(): Promise<void> {
    return this.#received.cancel()
  }
}
