import type { Span } from '../domain/objects/backend.ts'
import { invalid, MillraceError } from '../errors.ts'

/** Bytes of an object in one message at most: large enough that a message's own cost vanishes, small enough to wait in a few buffers. */
const messageBytes = 128 * 1024

/** What a stream that begins with a header is made of. */
interface Message<H> {
  readonly message:
    | { readonly $case: 'header'; readonly value: H }
    | { readonly $case: 'data'; readonly value: Uint8Array }
    | { readonly $case: 'sha256'; readonly value: string }
    | undefined
}

/** A header, and the bytes that follow it. */
export class Incoming<H> implements AsyncIterable<Uint8Array> {
  readonly header: H
  /** The digest that came after the bytes; '' when none did. */
  sha256 = ''
  readonly #messages: AsyncIterator<Message<H>>
  readonly #signal: AbortSignal

  constructor(header: H, messages: AsyncIterator<Message<H>>, signal: AbortSignal) {
    this.header = header
    this.#messages = messages
    this.#signal = signal
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const { message } of { [Symbol.asyncIterator]: () => this.#messages }) {
      this.#signal.throwIfAborted()
      if (message?.$case === 'data' && this.sha256 === '') yield message.value
      else if (message?.$case === 'sha256') this.sha256 = message.value
      else throw invalid('data', 'must come after the header, and before the digest')
    }
    // A peer that has gone ends its stream, too: what it sent is not all there is.
    this.#signal.throwIfAborted()
  }
}

/**
 * Takes the header off a stream.
 *
 * @param signal - aborts when nobody waits for the answer.
 * @throws VALIDATION when there is none.
 */
export async function readHeader<H>(messages: AsyncIterable<Message<H>>, signal: AbortSignal): Promise<Incoming<H>> {
  const iterator = messages[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done || first.value.message?.$case !== 'header') throw invalid('header', 'must be the first message; the bytes follow it')
  return new Incoming(first.value.message.value, iterator, signal)
}

/** Cuts bytes into messages. */
export async function* messagesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of bytes) {
    for (let at = 0; at < chunk.length; at += messageBytes) yield chunk.subarray(at, at + messageBytes)
  }
}

/**
 * Which bytes of an object are asked for.
 *
 * @throws VALIDATION when it has none of them.
 */
export function spanOf(size: number, offset: number, length: number | undefined): Span {
  const start = offset < 0 ? Math.max(size + offset, 0) : offset
  if (start > size || (start === size && size > 0)) {
    throw new MillraceError('VALIDATION', `offset: the object has ${size} bytes, so none from ${start} on`, {
      fields: [{ path: 'offset', message: `is ${offset}; the object has ${size} bytes` }],
    })
  }
  return { start, length: Math.min(offset < 0 ? Infinity : (length ?? Infinity), size - start) }
}
