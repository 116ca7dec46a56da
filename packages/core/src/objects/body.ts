import { invalid } from '../errors/errors.ts'
import type { ObjectBody } from './types.ts'

const encoder = new TextEncoder()

/** A body as transports take it: all of it at once, or bit by bit. */
export interface Body {
  /** Bytes that are in memory, or in a file that the platform reads by itself; undefined: only `chunks` has them. */
  readonly whole: Uint8Array<ArrayBuffer> | Blob | undefined
  /** How many bytes it has; undefined: not known before its end. */
  readonly size: number | undefined
  /** What it is when nobody says so; '' : not known. */
  readonly contentType: string
  /** Its bytes; asked for once. */
  chunks(): AsyncIterable<Uint8Array>
}

/** Makes a body of what a user gave. @throws ValidationError */
export function toBody(body: ObjectBody): Body {
  if (typeof body === 'string') return wholeBody(encoder.encode(body), 'text/plain; charset=utf-8')
  // A view of memory that is shared cannot be sent as it is; the platforms' own calls refuse it likewise.
  if (body instanceof Uint8Array) return wholeBody(body as Uint8Array<ArrayBuffer>, '')
  if (body instanceof ArrayBuffer) return wholeBody(new Uint8Array(body), '')
  if (typeof Blob !== 'undefined' && body instanceof Blob) {
    return { whole: body, size: body.size, contentType: body.type, chunks: () => chunksOf(body.stream()) }
  }
  if (typeof body === 'object' && body !== null && ('getReader' in body || Symbol.asyncIterator in body)) {
    return { whole: undefined, size: undefined, contentType: '', chunks: () => chunksOf(body) }
  }
  throw invalid('body', 'is none of text, Uint8Array, ArrayBuffer, Blob, ReadableStream and AsyncIterable.')
}

function wholeBody(bytes: Uint8Array<ArrayBuffer>, contentType: string): Body {
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    yield bytes
  }
  return { whole: bytes, size: bytes.length, contentType, chunks }
}

async function* chunksOf(
  source: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of 'getReader' in source ? readAll(source) : source) {
    if (typeof chunk === 'string') yield encoder.encode(chunk)
    else if (chunk instanceof Uint8Array) yield chunk
    else throw invalid('body', `gave ${typeof chunk}; give Uint8Arrays or texts.`)
  }
}

/** The chunks of a stream; not every browser iterates over streams. Whoever stops early cancels it. */
export async function* readAll(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader()
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value
  } finally {
    // After the end, or after a failure, there is nothing to cancel.
    await reader.cancel().catch(() => undefined)
  }
}

/** Cuts chunks that are too long for one message, and joins those that are too short to be worth one. */
export async function* evenly(chunks: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const piece = chunk.subarray(at, at + size - length)
      waiting.push(piece)
      length += piece.length
      at += piece.length
      if (length < size) continue
      yield join(waiting, length)
      waiting = []
      length = 0
    }
  }
  if (length > 0) yield join(waiting, length)
}

/** Chunks as one. */
export function join(chunks: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  if (chunks.length === 1) return chunks[0] as Uint8Array<ArrayBuffer>
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}
