import type { StreamMessage } from './stream-port.ts'

/**
 * Messages that follow each other as one row: their number, where each ends, and each with its flags, the parts that the
 * flags say, and the payload. Any message is found without reading those before it. Numbers are little-endian.
 */

const Part = { key: 1, contentType: 2, headers: 4 } as const
const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

/** Bytes of messages at which a row is closed. */
const mostBytes = 128 * 1024
/** Bytes that a message takes beside its parts, about. */
const overhead = 16

/** A row to write. */
export interface Chunk {
  readonly firstOffset: number
  readonly count: number
  readonly data: Buffer
}

/** Cuts messages into rows. */
export function cutIntoChunks(firstOffset: number, messages: readonly StreamMessage[]): Chunk[] {
  const chunks: Chunk[] = []
  let from = 0
  let bytes = 0
  for (let i = 0; i < messages.length; i++) {
    bytes += messages[i]!.payload.length + overhead
    if (bytes < mostBytes && i + 1 < messages.length) continue
    chunks.push({ firstOffset: firstOffset + from, count: i + 1 - from, data: encodeChunk(messages, from, i + 1) })
    from = i + 1
    bytes = 0
  }
  return chunks
}

function encodeChunk(messages: readonly StreamMessage[], from: number, to: number): Buffer {
  const count = to - from
  const headers: string[] = []
  let size = 4 + 4 * count
  for (let i = from; i < to; i++) {
    const message = messages[i]!
    const text = textOf(message.headers)
    headers.push(text)
    size += 1 + message.payload.length
    if (message.key !== '') size += 4 + Buffer.byteLength(message.key)
    if (message.contentType !== '') size += 4 + Buffer.byteLength(message.contentType)
    if (text !== '') size += 4 + Buffer.byteLength(text)
  }
  const data = Buffer.allocUnsafe(size)
  data.writeUInt32LE(count, 0)
  let at = 4 + 4 * count
  for (let i = from; i < to; i++) {
    const { key, contentType, payload } = messages[i]!
    const text = headers[i - from]!
    data[at++] = (key === '' ? 0 : Part.key) | (contentType === '' ? 0 : Part.contentType) | (text === '' ? 0 : Part.headers)
    if (key !== '') at = writeText(data, at, key)
    if (contentType !== '') at = writeText(data, at, contentType)
    if (text !== '') at = writeText(data, at, text)
    data.set(payload, at)
    at += payload.length
    data.writeUInt32LE(at, 4 + 4 * (i - from))
  }
  return data
}

/** Messages of a row, from one to before another, counted from 0. Payloads are views of the row. */
export function decodeChunk(bytes: Uint8Array, from: number, to: number): StreamMessage[] {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = data.readUInt32LE(0)
  const messages: StreamMessage[] = []
  let at = from === 0 ? 4 + 4 * count : data.readUInt32LE(4 * from)
  for (let i = from; i < Math.min(to, count); i++) {
    const end = data.readUInt32LE(4 + 4 * i)
    const parts = data[at++]!
    const take = (part: number) => {
      if ((parts & part) === 0) return ''
      const length = data.readUInt32LE(at)
      at += 4 + length
      return data.toString('utf8', at - length, at)
    }
    const key = take(Part.key)
    const contentType = take(Part.contentType)
    const text = take(Part.headers)
    const headers = text === '' ? noHeaders : (JSON.parse(text) as Record<string, string>)
    messages.push({ payload: bytes.subarray(at, end), contentType, headers, key })
    at = end
  }
  return messages
}

function textOf(headers: Readonly<Record<string, string>>): string {
  for (const _ in headers) return JSON.stringify(headers)
  return ''
}

function writeText(data: Buffer, at: number, text: string): number {
  const length = data.write(text, at + 4)
  data.writeUInt32LE(length, at)
  return at + 4 + length
}
