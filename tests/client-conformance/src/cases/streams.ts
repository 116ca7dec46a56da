import { type Case, collect, failureOf, sleep } from '../kit.ts'

export const streamCases: readonly Case[] = [
  {
    name: 'messages are written, read and subscribed to in order',
    expected: {
      offsets: [0, 1, 2],
      read: [
        [0, { n: 0 }, { a: 'b' }],
        [1, { n: 1 }, {}],
        [2, { n: 2 }, {}],
      ],
      date: true,
      subscribed: [0, 1, 2, 3],
      latest: 3,
    },
    async run(kit) {
      const s = kit.client().stream<{ n: number }>('orders')
      await s.create({ partitions: 1 })
      const offsets = await s.write([{ payload: { n: 0 }, headers: { a: 'b' } }, { payload: { n: 1 } }, { payload: { n: 2 } }])
      const messages = await s.read({ partition: 0, offset: 0, max: 10 })
      const subscribed: number[] = []
      const reading = (async () => {
        for await (const { payload } of s.subscribe({ group: 'g', partition: 0, from: 'earliest' }))
          if (subscribed.push(payload.n) === 4) break
      })()
      await sleep(200)
      await s.write([{ payload: { n: 3 } }])
      await reading
      return {
        offsets,
        read: messages.map(({ offset, payload, headers }) => [offset, payload, headers]),
        date: messages[0]!.timestamp instanceof Date,
        subscribed,
        latest: await s.latest(0),
      }
    },
  },
  {
    name: 'a group goes on after what it committed',
    expected: {
      before: -1,
      committed: 1,
      lag: 1,
      next: 2,
      streams: ['orders'],
      missing: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404 },
    },
    async run(kit) {
      const mr = kit.client()
      const s = mr.stream<number>('orders')
      await s.create({ partitions: 1 })
      await s.write([0, 1, 2].map((payload) => ({ payload })))
      const before = await s.committed('g', 0)
      await s.commit('g', 0, 1)
      const { lag } = await s.group('g').state(0)
      let next = -1
      for await (const { payload } of s.subscribe({ group: 'g', partition: 0, from: 'committed' })) {
        next = payload
        break
      }
      const streams = (await collect(mr.streams.list())).map(({ name }) => name)
      const failure = (await failureOf(mr.stream('none').read({ partition: 0, offset: 0, max: 1 }))) as Record<string, unknown>
      const { name, code, statusCode } = failure
      return { before, committed: await s.committed('g', 0), lag, next, streams, missing: { name, code, statusCode } }
    },
  },
  {
    name: 'a replay delivers a range once more to a group of its own',
    expected: {
      created: { group: 'sandbox', state: 'ready', speed: 'full', total: 2, processed: 0, partitions: [{ from: 1, to: 3, committed: -1 }] },
      seen: [1, 2],
      after: { state: 'stopped', processed: 2 },
      groups: ['sandbox'],
      deleted: [true, false],
    },
    async run(kit) {
      const s = kit.client().stream<number>('orders')
      await s.create({ partitions: 1 })
      await s.write([0, 1, 2, 3].map((payload) => ({ payload })))
      const { createdAt: _, ...created } = await s.replay.create({ group: 'sandbox', from: 1, to: 3 })
      await s.replay.start('sandbox')
      const seen: number[] = []
      for await (const message of s.replay.subscribe('sandbox')) {
        seen.push(message.payload)
        await message.commit()
      }
      const { state, processed } = await s.replay.stop('sandbox')
      const groups = (await s.replay.list()).map(({ group }) => group)
      const deleted = [await s.replay.delete('sandbox'), await s.replay.delete('sandbox')]
      return { created, seen, after: { state, processed }, groups, deleted }
    },
  },
]
