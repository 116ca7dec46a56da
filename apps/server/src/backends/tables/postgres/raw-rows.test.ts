import { expect, test } from 'vitest'
import { RowCutter, type RowMessage } from './raw-rows.ts'

/** A message of Postgres's. */
function message(kind: string, content: Buffer): Buffer {
  const head = Buffer.alloc(5, kind)
  head.writeUInt32BE(4 + content.length, 1)
  return Buffer.concat([head, content])
}

function rowOf(values: readonly (string | null)[]): Buffer {
  const int = (value: number, bytes: number) => {
    const buffer = Buffer.alloc(bytes)
    buffer.writeIntBE(value, 0, bytes)
    return buffer
  }
  const fields = values.flatMap((value) => (value === null ? [int(-1, 4)] : [int(Buffer.byteLength(value), 4), Buffer.from(value)]))
  return message('D', Buffer.concat([int(values.length, 2), ...fields]))
}

/** What comes of what was sent, in this order. */
function cut(pieces: readonly Buffer[]): { order: string; rows: RowMessage['fields'][]; others: Buffer } {
  const rows: RowMessage['fields'][] = []
  const others: Buffer[] = []
  let order = ''
  const cutter = new RowCutter({
    onRow: (row) => {
      order += 'r'
      rows.push(row.fields)
    },
    onOthers: (bytes) => {
      for (let at = 0; at < bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) order += String.fromCharCode(bytes[at]!)
      others.push(bytes)
    },
  })
  for (const piece of pieces) cutter.push(piece)
  return { order, rows, others: Buffer.concat(others) }
}

const values = [['1', 'Grüße', null], ['', '{"a":"\\n"}', 'x'.repeat(40)], []]
const others = [message('T', Buffer.from('a row description')), message('C', Buffer.from('SELECT 3\0')), message('Z', Buffer.from('I'))]
const sent = Buffer.concat([others[0]!, ...values.map(rowOf), others[1]!, others[2]!])
const expected = { order: 'TrrrCZ', rows: values, others: Buffer.concat(others) }

test('rows and other messages come in their order', () => {
  expect(cut([sent])).toEqual(expected)
})

test('wherever what is sent is cut into two or three, the same comes of it', () => {
  for (let i = 0; i <= sent.length; i++) {
    for (let j = i; j <= sent.length; j += 3) expect(cut([sent.subarray(0, i), sent.subarray(i, j), sent.subarray(j)])).toEqual(expected)
  }
  expect(cut(Array.from(sent, (_, i) => sent.subarray(i, i + 1)))).toEqual(expected)
})

test('a row of many pieces is put together once', () => {
  const long = 'y'.repeat(4_000_000)
  const bytes = Buffer.concat([rowOf([long]), message('Z', Buffer.from('I'))])
  const pieces = Array.from({ length: Math.ceil(bytes.length / 8192) }, (_, i) => bytes.subarray(i * 8192, (i + 1) * 8192))
  const { order, rows } = cut(pieces)
  expect(order).toBe('rZ')
  expect(rows[0]![0] === long).toBe(true)
})
