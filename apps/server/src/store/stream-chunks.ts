import type { StreamMessage, StreamSlice } from './stream-port.ts'

/**
 * Messages that follow each other as one row: their number, where each ends, and each with its flags, the parts that the
 * flags say, and the payload. Any message is found without reading those before it. Numbers are little-endian.
 * A row of which compaction removed some says so in the highest bit of their number; then the offset of each, less that of
 * the first, comes before the messages.
 */

const Part = { key: 1, contentType: 2, headers: 4 } as const
const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

const sparse = 0x80000000
/** Bytes of messages at which a row is closed. */
const mostBytes = 128 * 1024
/** Bytes that a message takes beside its parts, about. */
const overhead = 16

/** A row to write. */
export interface Chunk {
  readonly firstOffset: number
  /** Offsets from its first message to its last one, both included. */
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

/** @param places - of each message, counted from the first; absent when there are no holes. */
function encodeChunk(messages: readonly StreamMessage[], from: number, to: number, places?: readonly number[]): Buffer {
  const count = to - from
  const headers: string[] = []
  const begin = 4 + (places ? 8 : 4) * count
  let size = begin
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
  data.writeUInt32LE(places ? count + sparse : count, 0)
  places?.forEach((place, i) => void data.writeUInt32LE(place, 4 + 4 * (count + i)))
  let at = begin
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

/** A row as it is read. */
export interface StoredChunk {
  readonly firstOffset: number
  readonly timestamp: number
  readonly data: Uint8Array
}

/** Messages of a row from one offset to before another, at most so many: a slice for each run without holes. Payloads are views of the row. */
export function slicesOf({ firstOffset, timestamp, data: bytes }: StoredChunk, from: number, to: number, most: number): StreamSlice[] {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const head = data.readUInt32LE(0)
  const count = head % sparse
  if (head < sparse) {
    const begin = Math.max(from - firstOffset, 0)
    const end = Math.min(to - firstOffset, count, begin + most)
    return begin < end ? [{ firstOffset: firstOffset + begin, timestamp, messages: decode(bytes, data, begin, end, 4 + 4 * count) }] : []
  }
  const offsetOf = (i: number) => firstOffset + data.readUInt32LE(4 + 4 * (count + i))
  const slices: StreamSlice[] = []
  let left = most
  for (let i = 0; i < count && left > 0; ) {
    const first = offsetOf(i)
    if (first >= to) break
    let end = i + 1
    if (first >= from) {
      while (end < count && end - i < left && offsetOf(end) === first + end - i && offsetOf(end) < to) end++
      slices.push({ firstOffset: first, timestamp, messages: decode(bytes, data, i, end, 4 + 8 * count) })
      left -= end - i
    }
    i = end
  }
  return slices
}

/** A row without the messages of some offsets; undefined when none is left. */
export function without(row: StoredChunk, removed: ReadonlySet<number>): Chunk | undefined {
  const messages: StreamMessage[] = []
  const offsets: number[] = []
  for (const slice of slicesOf(row, 0, Infinity, Infinity)) {
    for (const [i, message] of slice.messages.entries()) {
      if (removed.has(slice.firstOffset + i)) continue
      messages.push(message)
      offsets.push(slice.firstOffset + i)
    }
  }
  if (offsets.length === 0) return undefined
  const firstOffset = offsets[0]!
  const count = offsets.at(-1)! + 1 - firstOffset
  const places = count === offsets.length ? undefined : offsets.map((offset) => offset - firstOffset)
  return { firstOffset, count, data: encodeChunk(messages, 0, messages.length, places) }
}

/** Messages by their places in a row; `begin` is where the first one is. */
function decode(bytes: Uint8Array, data: Buffer, from: number, to: number, begin: number): StreamMessage[] {
  const messages: StreamMessage[] = []
  let at = from === 0 ? begin : data.readUInt32LE(4 * from)
  for (let i = from; i < to; i++) {
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
