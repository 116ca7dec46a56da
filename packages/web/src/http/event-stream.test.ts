import { expect, test } from 'vitest'
import { readEvents, type ServerEvent } from './event-stream.ts'

/** What is read of text that comes in these pieces. */
async function read(...pieces: readonly (string | Uint8Array)[]) {
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(typeof piece === 'string' ? encoder.encode(piece) : piece)
      controller.close()
    },
  })
  const events: ServerEvent[] = []
  const retries: number[] = []
  let signs = 0
  const listener = { alive: () => void signs++, retry: (ms: number) => void retries.push(ms) }
  for await (const event of readEvents(body.getReader(), listener)) events.push(event)
  return { events, retries, signs }
}

const message = (data: string) => ({ type: 'message', data })

test('events have a type and data of one line or several', async () => {
  const { events } = await read('data: one\n\n', 'event: end\ndata:{}\n\ndata: a\ndata\ndata:  b\n\n')
  expect(events).toEqual([message('one'), { type: 'end', data: '{}' }, message('a\n\n b')])
})

test('heartbeats are signs of life and no events; waits are told; unknown fields and events without data are passed over', async () => {
  const { events, retries, signs } = await read(
    'retry: 1500\n\n',
    ':\n\n',
    ': hello\n\n',
    'retry: soon\nid: 5\nfoo: bar\nevent: x\n\n',
    'data: 1\n\n',
  )
  expect(events).toEqual([message('1')])
  expect(retries).toEqual([1500])
  expect(signs).toBe(5)
})

test('an event that did not come whole does not count', async () => {
  expect((await read('data: 1\n\ndata: 2\n')).events).toEqual([message('1')])
})

test.each(['\n', '\r\n', '\r'])('it does not matter where the text is cut, with lines that end in %j', async (end) => {
  const text = `data: häß${end}data: 2${end}${end}:${end}event: end${end}data: {}${end}${end}data: late${end}${end}x`
  const bytes = new TextEncoder().encode(text)
  for (let size = 1; size < bytes.length; size++) {
    const pieces: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size))
    expect((await read(...pieces)).events).toEqual([message('häß\n2'), { type: 'end', data: '{}' }, message('late')])
  }
})

test('a large event in many pieces is read in time that grows with its size alone', async () => {
  const piece = 'x'.repeat(64 << 10)
  const { events } = await read('data: ', ...Array.from({ length: 256 }, () => piece), '\n\n')
  expect(events[0]!.data).toHaveLength(256 * piece.length)
})

test('an event without end is not gathered for ever', async () => {
  const piece = 'x'.repeat(4 << 20)
  await expect(read(...Array.from({ length: 18 }, () => piece))).rejects.toThrow(RangeError)
  await expect(read(...Array.from({ length: 18 }, () => `data: ${piece}\n`))).rejects.toThrow(RangeError)
})
