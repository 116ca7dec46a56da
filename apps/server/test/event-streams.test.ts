import { StartPosition } from '@millrace/protocol'
import { expect, it } from 'vitest'
import { trimEveryMs } from '../src/domain/streams/engine.ts'
import { compactAfterMs } from '../src/store/stream-compaction.ts'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { type Clients, failureOf, startTestServer } from './harness.ts'

const message = { payload: Buffer.from('1'), contentType: '', headers: {}, key: '', partition: undefined }
const write = (streams: Clients['streams'], count: number) =>
  streams.writeMessages({ stream: 's', messages: Array.from({ length: count }, () => message), requestId: '', producer: undefined })

it('messages past their age go by themselves, and a reader goes on with the oldest kept one', async () => {
  const clock = new ManualClock(Date.now())
  const { admin } = await startTestServer({}, clock)
  await admin.streams.putStream({ stream: 's', partitions: 1, retention: { maxAgeMs: 60_000, maxBytes: 0 } })
  await write(admin.streams, 5)
  await clock.advance(30_000)
  await write(admin.streams, 2)
  await clock.advance(30_000 + trimEveryMs)
  const { stream } = await admin.streams.getStream({ stream: 's' })
  expect(stream!.partitions).toMatchObject([{ earliestOffset: 5, latestOffset: 6 }])
  const request = { stream: 's', partition: 0, offset: 2, start: StartPosition.UNSPECIFIED, time: undefined, group: '', filter: '' }
  const { messages } = await admin.streams.readMessages({ ...request, maxMessages: 0 })
  expect(messages.map(({ offset }) => offset)).toEqual([5, 6])
  const subscription = admin.streams.subscribeMessages(request)[Symbol.asyncIterator]()
  expect((await subscription.next()).value).toMatchObject({ messages: [], nextOffset: 2 })
  expect((await subscription.next()).value).toMatchObject({ messages: [{ offset: 5 }, { offset: 6 }], nextOffset: 7 })
  const { offsets } = await admin.streams.getGroup({ stream: 's', group: 'g' })
  expect(offsets).toEqual([{ partition: 0, committedOffset: -1, latestOffset: 6, lag: 2 }])
  await subscription.return!()
})

it('with compaction, what was replaced goes by itself, and readers, filters and groups pass over the holes', async () => {
  const clock = new ManualClock(Date.now())
  const { admin } = await startTestServer({}, clock)
  await admin.streams.putStream({ stream: 's', partitions: 1, retention: undefined, compaction: true })
  const keyed = ['a', 'b', 'a', 'c', 'b', 'a'].map((key) => ({ ...message, key }))
  await admin.streams.writeMessages({ stream: 's', messages: keyed, requestId: '', producer: undefined })
  await clock.advance(compactAfterMs + trimEveryMs)
  const { stream } = await admin.streams.getStream({ stream: 's' })
  expect(stream).toMatchObject({ compaction: true, partitions: [{ earliestOffset: 3, latestOffset: 5 }] })
  await admin.streams.writeMessages({ stream: 's', messages: [{ ...message, key: 'b' }], requestId: '', producer: undefined })
  await clock.advance(compactAfterMs + trimEveryMs)
  const request = { stream: 's', partition: 0, offset: 4, start: StartPosition.UNSPECIFIED, time: undefined, group: '', filter: '' }
  const read = async (filter: string) => {
    const { messages, nextOffset } = await admin.streams.readMessages({ ...request, filter, maxMessages: 0 })
    return { offsets: messages.map(({ offset }) => offset), nextOffset }
  }
  expect(await read('')).toEqual({ offsets: [5, 6], nextOffset: 7 })
  expect(await read('offset == 6')).toEqual({ offsets: [6], nextOffset: 7 })
  const subscription = admin.streams.subscribeMessages(request)[Symbol.asyncIterator]()
  expect((await subscription.next()).value).toMatchObject({ messages: [], nextOffset: 4 })
  expect((await subscription.next()).value).toMatchObject({ messages: [{ offset: 5 }, { offset: 6 }], nextOffset: 7 })
  await subscription.return!()
  await admin.streams.commitOffsets({ stream: 's', commits: [{ group: 'g', partition: 0, offset: 6, member: '' }] })
  expect((await admin.streams.getGroup({ stream: 's', group: 'g' })).offsets).toMatchObject([{ lag: 0 }])
})

it.each(['alone', 'in a group'])(
  'a slow reader of a stream that was made anew meanwhile hears of it, and misses nothing unnoticed: %s',
  async (how) => {
    const { admin } = await startTestServer()
    const large = { ...message, payload: Buffer.alloc(100_000, 'x') }
    for (let i = 0; i < 20; i++) {
      await admin.streams.writeMessages({ stream: 's', messages: [large, large, large, large, large], requestId: '', producer: undefined })
    }
    const request = { stream: 's', partition: 0, offset: 0, start: StartPosition.EARLIEST, time: undefined, group: '', filter: '' }
    const subscription =
      how === 'alone'
        ? admin.streams.subscribeMessages(request)
        : admin.streams.subscribeGroup({ stream: 's', group: 'g', start: StartPosition.EARLIEST, filter: '' })
    const seen: number[] = []
    const readAll = async () => {
      for await (const { messages } of subscription) {
        for (const { payload } of messages) seen.push(payload.length)
        if (messages.length > 0 && seen.length === messages.length) {
          // What is under way to a reader that does not read is much less than all.
          await admin.streams.deleteStream({ stream: 's' })
          await write(admin.streams, 200)
        }
      }
    }
    const { details } = await failureOf(readAll())
    expect(details).toMatchObject({ reason: 'NOT_FOUND', message: expect.stringContaining('made anew') })
    expect(new Set(seen)).toEqual(new Set([100_000]))
  },
)
