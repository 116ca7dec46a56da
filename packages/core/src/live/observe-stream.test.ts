import type { Message, SubscribeMessagesResponse } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { down } from '../testing/follow.ts'
import { json, setUp } from '../testing/setup.ts'
import { observeStream } from './observe-stream.ts'

function message(offset: number): Message {
  return { offset, payload: json({ n: offset }), contentType: '', headers: {}, key: '', timestampMs: offset, schema: undefined }
}

/** Messages of these offsets, and where to go on. */
function said(nextOffset: number, ...offsets: number[]): SubscribeMessagesResponse {
  return { messages: offsets.map(message), nextOffset }
}

/** A stream whose server says these messages: one list for each time that it is opened, which a break ends. */
function setUpStream(...openings: SubscribeMessagesResponse[][]) {
  const { clock, transport, mr } = setUp()
  let opened = 0
  transport.onStream('StreamService/SubscribeMessages', async function* () {
    yield* openings[opened++] ?? []
    if (opened < openings.length) throw down()
    await new Promise(() => undefined)
  })
  return { clock, transport, mr, requests: () => transport.requests('StreamService/SubscribeMessages') }
}

const offsets = (observer: ReturnType<typeof observeStream>) => observer.getSnapshot().data?.messages.map(({ offset }) => offset)

test('the messages from now on are seen, the last ones; that there are none yet is known', async () => {
  const { clock, mr, requests } = setUpStream([said(7), said(9, 7, 8), said(12, 9, 10, 11)])
  const observer = observeStream<{ n: number }>(mr, 'orders', { limit: 4 })
  const seen: unknown[] = []
  observer.subscribe(() => seen.push(offsets(observer)))
  await clock.advance(0)
  expect(requests()).toMatchObject([{ stream: 'orders', partition: 0, start: 2 }])
  expect(seen).toEqual([undefined, [], [7, 8], [8, 9, 10, 11]])
  expect(observer.getSnapshot().data?.messages[0]).toMatchObject({ offset: 8, partition: 0, payload: { n: 8 } })
})

test('after a break it goes on where it was, without a gap or a repeat', async () => {
  const { clock, mr, requests } = setUpStream([said(3), said(5, 3, 4)], [said(5), said(6, 5)])
  const observer = observeStream(mr, 'orders', { partition: 2, from: 'earliest' })
  observer.subscribe(() => undefined)
  await clock.advance(500)
  expect(requests()).toMatchObject([
    { partition: 2, start: 1 },
    { partition: 2, start: 0, offset: 5 },
  ])
  expect(offsets(observer)).toEqual([3, 4, 5])
  expect(observer.getSnapshot().state).toBe('live')
})

test('of more messages than are kept, the last ones are', async () => {
  const { clock, mr } = setUpStream([said(0), said(2, 0, 1), said(9, 2, 3, 4, 5, 6, 7, 8)])
  const observer = observeStream(mr, 'orders', { from: 0, limit: 3 })
  observer.subscribe(() => undefined)
  await clock.advance(0)
  expect(offsets(observer)).toEqual([6, 7, 8])
})

test('who looks at the same shares it; who begins elsewhere does not', async () => {
  const { clock, mr, requests } = setUpStream([said(0)], [said(0)], [said(0)])
  observeStream(mr, 'orders').subscribe(() => undefined)
  observeStream(mr, 'orders', { from: 'latest', limit: 100 }).subscribe(() => undefined)
  observeStream(mr, 'orders', { from: new Date(5) }).subscribe(() => undefined)
  await clock.advance(0)
  expect(requests()).toHaveLength(2)
  expect(() => observeStream(mr, 'orders', { limit: 0 })).toThrow('limit: 0 is not a whole number from 1 to 10000.')
})
