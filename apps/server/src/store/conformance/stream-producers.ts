import { expect } from 'vitest'
import type { Case } from './harness.ts'
import { messages, read, write } from './streams.ts'

/** Writes that may be repeated. */
export const streamProducerCases: readonly Case[] = [
  {
    name: 'what a producer repeats is answered as it was and not written again, also after a restart',
    async run(t) {
      await t.store.streams.put(t.scope, 's', { partitions: 2 }, t.clock.now())
      const by = (seq: number, epoch = 0, id = 'p') => ({ producer: { id, epoch, seq } })
      const one = messages('a', 'b').map((message) => ({ ...message, partition: 1 }))
      const first = await write(t, one, by(0))
      expect(first).toEqual({ partitions: [1, 1], offsets: [0, 1] })
      // Those under way together, in one transaction.
      const more = await Promise.all([1, 2, 3, 4].map((seq) => write(t, messages(String(seq)), by(seq))))
      await t.reopen()
      expect(await write(t, messages('other', 'words'), by(0))).toEqual({ ...first, repeatOf: 4 })
      for (const [i, answer] of more.entries()) expect(await write(t, messages('x'), by(i + 1))).toEqual({ ...answer, repeatOf: 4 })
      await write(t, messages('5'), by(5))
      expect(await write(t, one, by(0))).toEqual({ partitions: [], offsets: [], repeatOf: 5 })
      expect(await write(t, messages('6'), { ...by(0), stream: 'another' })).toEqual({ partitions: [0], offsets: [0] })
      expect(await write(t, messages('7'), { ...by(0), scope: t.otherNamespace })).toEqual({ partitions: [0], offsets: [0] })
      expect(await write(t, messages('8'), by(0, 0, 'q'))).toMatchObject({ offsets: [expect.any(Number)] })
      const payloads = [...(await read(t, 0)), ...(await read(t, 1))].map((line) => line.split(' ')[1]).sort()
      expect(payloads).toEqual(['1', '2', '3', '4', '5', '8', 'a', 'b'])
    },
  },
  {
    name: 'a producer that was replaced, or leaves out a write, writes nothing',
    async run(t) {
      const by = (epoch: number, seq: number) => ({ producer: { id: 'p', epoch, seq } })
      expect(await write(t, messages('x'), by(0, 1))).toMatchObject({ error: { reason: 'CONFLICT', expected: 0 } })
      await write(t, messages('a'), by(0, 0))
      expect(await write(t, messages('x'), by(0, 2))).toMatchObject({ error: { reason: 'CONFLICT', expected: 1, epoch: undefined } })
      expect(await write(t, messages('x'), by(7, 1))).toMatchObject({ error: { reason: 'VALIDATION', fields: [{ path: 'producer.seq' }] } })
      await write(t, messages('b'), by(7, 0))
      await t.reopen()
      expect(await write(t, messages('x'), by(0, 1))).toMatchObject({ error: { reason: 'CONFLICT', epoch: 7, expected: undefined } })
      // A write that fails for another reason is not counted.
      const wrong = { ...messages('x')[0]!, partition: 9 }
      expect(await write(t, [wrong], by(7, 1))).toMatchObject({ error: { reason: 'VALIDATION' } })
      await write(t, messages('c'), by(7, 1))
      expect(await read(t)).toEqual(['0 a', '1 b', '2 c'])
      await t.store.streams.delete(t.scope, 's')
      expect(await write(t, messages('new'), by(0, 0))).toEqual({ partitions: [0], offsets: [0] })
    },
  },
  {
    name: 'a producer that wrote nothing for thirty days is forgotten in time',
    async run(t) {
      const by = (id: string, seq: number) => ({ producer: { id, epoch: 0, seq } })
      for (const id of ['a', 'b', 'c']) await write(t, messages(id), by(id, 0))
      await t.clock.advance(29 * 24 * 3600_000)
      await write(t, messages('again'), by('b', 1))
      await write(t, messages('early'), by('x', 0))
      expect(await write(t, messages('a'), by('a', 0))).toMatchObject({ repeatOf: 0 })
      await t.clock.advance(24 * 3600_000)
      await write(t, messages('new'), by('y', 0))
      await t.reopen()
      expect(await write(t, messages('a'), by('a', 1))).toMatchObject({ error: { reason: 'CONFLICT', expected: 0 } })
      expect(await write(t, messages('b'), by('b', 1))).toMatchObject({ repeatOf: 1 })
      expect(await write(t, messages('c'), by('c', 0))).toMatchObject({ offsets: [6] })
      expect(await read(t)).toHaveLength(7)
    },
  },
]
