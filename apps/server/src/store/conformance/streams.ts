import { expect } from 'vitest'
import type { Scope } from '../ports.ts'
import type { NewStreamMessage, StreamName, StreamProducer, StreamWriteOutcome } from '../stream-port.ts'
import type { Case, Harness } from './harness.ts'

const everything = { maxMessages: 10_000, maxBytes: 1 << 30 }
const none = { headers: {}, contentType: '', key: '' }
const text = (value: Uint8Array) => Buffer.from(value).toString()

/** Messages with these payloads. */
export function messages(...payloads: string[]): NewStreamMessage[] {
  return payloads.map((payload) => ({ ...none, payload: Buffer.from(payload) }))
}

/** Writes a batch. */
export function write(
  t: Harness,
  batch: readonly NewStreamMessage[],
  options: { stream?: string; scope?: Scope; requestId?: string; producer?: StreamProducer } = {},
): Promise<StreamWriteOutcome> {
  const { stream = 's', scope = t.scope, requestId = '', producer } = options
  return t.store.streams
    .write({ scope, stream, batches: [{ messages: batch, producer }], requestId, now: t.clock.now() })
    .then(([outcome]) => outcome!)
}

/** What is in a partition from an offset on, as `offset payload`. */
export async function read(t: Harness, partition = 0, offset = 0, limits = everything): Promise<string[]> {
  const all: string[] = []
  for (let from = offset; ; ) {
    const { slices, next } = await t.store.streams.read(t.scope, 's', partition, { offset: from, ...limits })
    for (const slice of slices)
      for (const [i, { payload }] of slice.messages.entries()) all.push(`${slice.firstOffset + i} ${text(payload)}`)
    if (slices.length === 0) return all
    from = next
  }
}

const committed = (t: Harness, group = 'g') => t.store.streams.committed(t.scope, 's', group)
const commit = async (t: Harness, partition: number, offset: number, group = 'g') =>
  (await t.store.streams.commit(t.scope, 's', [{ group, partition, offset }], t.clock.now()))[0]!
const describe = async (t: Harness) => (await t.store.streams.describe(t.scope, 's'))!

/** Streams of messages. */
export const streamCases: readonly Case[] = [
  {
    name: 'a first write that is refused leaves no stream behind, unless another writes to it',
    async run(t) {
      const refused = messages('x').map((message) => ({ ...message, partition: 9 }))
      const names = async () => (await t.store.streams.list(t.scope, { limit: 10, after: '' })).map(({ name }) => name)
      expect(await write(t, refused)).toMatchObject({ error: { reason: 'VALIDATION' } })
      const gap = { id: 'p', epoch: 0, seq: 1 }
      expect(await write(t, messages('x'), { producer: gap })).toMatchObject({ error: { reason: 'CONFLICT', expected: 0 } })
      for (let i = 0; i < 2; i++) expect(await write(t, refused, { requestId: 'r' })).toMatchObject({ error: { reason: 'VALIDATION' } })
      expect(await t.store.streams.describe(t.scope, 's')).toBeUndefined()
      await t.reopen()
      expect(await names()).toEqual([])
      const both = [{ messages: refused }, { messages: messages('a') }]
      const [no, yes] = await t.store.streams.write({ scope: t.scope, stream: 's', batches: both, requestId: '', now: t.clock.now() })
      expect([no, yes]).toMatchObject([{ error: { reason: 'VALIDATION' } }, { offsets: [0] }])
      // Those under way together.
      const together = ['1', '2'].flatMap((stream) => [write(t, refused, { stream }), write(t, messages('a'), { stream })])
      const reversed = ['3', '4'].flatMap((stream) => [write(t, messages('a'), { stream }), write(t, refused, { stream })])
      await Promise.all([...together, ...reversed, write(t, refused, { stream: '5' })])
      await t.store.streams.put(t.scope, 'made', {}, t.clock.now())
      await write(t, refused, { stream: 'made' })
      expect(await names()).toEqual(['1', '2', '3', '4', 'made', 's'])
      await t.reopen()
      expect(await names()).toEqual(['1', '2', '3', '4', 'made', 's'])
      expect(await write(t, messages('b'))).toMatchObject({ offsets: [1] })
      expect(await write(t, messages('first'), { stream: '5' })).toMatchObject({ partitions: [0], offsets: [0] })
    },
  },
  {
    name: 'messages come back as they went in, with offsets from 0 without holes, also after a restart',
    async run(t) {
      const payload = Uint8Array.from({ length: 256 }, (_, i) => i)
      const rich = { payload, contentType: 'application/x', headers: { a: 'ü', b: '' }, key: 'schlüssel' }
      expect(await write(t, [rich, ...messages('', 'b')])).toEqual({ partitions: [0, 0, 0], offsets: [0, 1, 2] })
      await t.clock.advance(5)
      await Promise.all([write(t, messages('c')), write(t, messages('d', 'e'))])
      await t.reopen()
      expect(await write(t, messages('f'))).toEqual({ partitions: [0], offsets: [6] })
      const { slices, next, latest } = await t.store.streams.read(t.scope, 's', 0, { offset: 0, ...everything })
      expect({ next, latest }).toEqual({ next: 7, latest: 6 })
      expect(slices[0]).toMatchObject({
        firstOffset: 0,
        timestamp: t.clock.now() - 5,
        messages: [{ ...rich, payload: expect.anything() }, none, none],
      })
      expect(Buffer.compare(slices[0]!.messages[0]!.payload, payload)).toBe(0)
      expect((await read(t)).slice(2)).toEqual(['2 b', '3 c', '4 d', '5 e', '6 f'])
      expect(await read(t, 0, 5)).toEqual(['5 e', '6 f'])
      expect(await read(t, 0, 7)).toEqual([])
      expect(await read(t, 0, 700)).toEqual([])
    },
  },
  {
    name: 'reads begin and end at any offset, however messages were cut into rows',
    async run(t) {
      const payloads = Array.from({ length: 3000 }, (_, i) => `${i}-`.padEnd(100, 'x'))
      for (let i = 0; i < 3000; i += 1000) await write(t, messages(...payloads.slice(i, i + 1000)))
      for (const offset of [0, 1, 999, 1000, 1234, 2999]) {
        const { slices, next } = await t.store.streams.read(t.scope, 's', 0, { offset, maxMessages: 7, maxBytes: 1 << 20 })
        const found = slices.flatMap((slice) => slice.messages.map(({ payload }) => text(payload)))
        expect(found).toEqual(payloads.slice(offset, offset + 7))
        expect(next).toBe(Math.min(offset + 7, 3000))
      }
      expect((await read(t, 0, 0, { maxMessages: 10_000, maxBytes: 1 })).map((line) => line.split(' ')[1])).toEqual(payloads)
    },
  },
  {
    name: 'a message goes to its partition, by its key, or in turn',
    async run(t) {
      await t.store.streams.put(t.scope, 's', { partitions: 4 }, t.clock.now())
      const named = await write(t, [
        { ...messages('a')[0]!, partition: 3 },
        { ...messages('b')[0]!, partition: 1 },
      ])
      expect(named).toEqual({ partitions: [3, 1], offsets: [0, 0] })
      const keyed = (key: string) => ({ ...messages(key)[0]!, key })
      const keys = Array.from({ length: 100 }, (_, i) => `key ${i}`)
      const first = await write(t, keys.map(keyed))
      await t.reopen()
      const second = await write(t, keys.map(keyed))
      expect('partitions' in second && second.partitions).toEqual('partitions' in first && first.partitions)
      expect(new Set('partitions' in first ? first.partitions : []).size).toBe(4)
      const turns = await Promise.all(Array.from({ length: 8 }, () => write(t, messages('x', 'y'))))
      const places = turns.map((turn) => ('partitions' in turn ? turn.partitions : []))
      expect(places.every(([a, b]) => a === b)).toBe(true)
      expect(places.map(([a]) => a).sort()).toEqual([0, 0, 1, 1, 2, 2, 3, 3])
    },
  },
  {
    name: 'a batch is written whole or not at all, and a refused one does not hurt the others',
    async run(t) {
      const wrong = [...messages('b'), { ...messages('c')[0]!, partition: 1 }]
      const batches = [messages('a'), wrong, messages('d')].map((messages) => ({ messages }))
      const outcomes = await t.store.streams.write({ scope: t.scope, stream: 's', batches, requestId: '', now: t.clock.now() })
      expect(outcomes).toMatchObject([
        { offsets: [0] },
        { error: { reason: 'VALIDATION', fields: [{ path: 'messages[1].partition' }] } },
        { offsets: [1] },
      ])
      expect(await read(t)).toEqual(['0 a', '1 d'])
    },
  },
  {
    name: 'a repeated write answers as the first did and writes nothing',
    async run(t) {
      await t.store.streams.put(t.scope, 's', { partitions: 2 }, t.clock.now())
      const batch = [{ ...messages('a')[0]!, partition: 1 }, ...messages('b', 'c')]
      const first = await write(t, batch, { requestId: 'r' })
      await t.reopen()
      expect(await write(t, batch, { requestId: 'r' })).toEqual(first)
      expect([...(await read(t, 0)), ...(await read(t, 1))]).toHaveLength(3)
      await write(t, batch, { requestId: 'r', scope: t.otherNamespace })
      await write(t, messages('a'), { requestId: 'r', stream: 'another' })
      await t.store.streams.delete(t.scope, 's')
      expect(await write(t, batch, { requestId: 'r' })).toEqual(first)
      expect(await t.store.streams.describe(t.scope, 's')).toBeUndefined()
    },
  },
  {
    name: 'finds the first message of a time',
    async run(t) {
      const start = t.clock.now()
      for (let i = 0; i < 20; i++) {
        await write(t, messages(...Array.from({ length: 1 + (i % 3) }, () => String(i))))
        await t.clock.advance(100)
      }
      const at = (time: number) => t.store.streams.offsetAt(t.scope, 's', 0, time)
      const all = await read(t)
      for (let i = 0; i < 20; i++) {
        const first = all.findIndex((line) => line.endsWith(` ${i}`))
        expect(await at(start + i * 100)).toBe(first)
        expect(await at(start + i * 100 - 99)).toBe(first)
      }
      expect(await at(0)).toBe(0)
      expect(await at(t.clock.now())).toBe(all.length)
    },
  },
  {
    name: 'a committed offset is -1 at first, never goes back, and stays after a restart',
    async run(t) {
      await t.store.streams.put(t.scope, 's', { partitions: 2 }, t.clock.now())
      for (const partition of [0, 1])
        await write(
          t,
          messages('a', 'b', 'c').map((message) => ({ ...message, partition })),
        )
      expect(await committed(t)).toEqual([-1, -1])
      expect(await commit(t, 0, 1)).toEqual({ committed: 1 })
      expect(await commit(t, 0, 0)).toEqual({ committed: 1 })
      const many = [2, 0, 1].map((offset) => ({ group: 'g', partition: 1, offset }))
      expect(await t.store.streams.commit(t.scope, 's', many, t.clock.now())).toEqual([
        { committed: 2 },
        { committed: 2 },
        { committed: 2 },
      ])
      await commit(t, 0, 0, 'other')
      await t.reopen()
      expect(await committed(t)).toEqual([1, 2])
      expect(await committed(t, 'other')).toEqual([0, -1])
      expect(await commit(t, 0, 3)).toMatchObject({ error: { reason: 'VALIDATION', fields: [{ path: 'offset' }] } })
      expect(await commit(t, 2, 0)).toMatchObject({ error: { reason: 'VALIDATION', fields: [{ path: 'partition' }] } })
    },
  },
  {
    name: 'there is nothing of a stream that was not created or written to',
    async run(t) {
      const { streams } = t.store
      expect(await streams.describe(t.scope, 's')).toBeUndefined()
      expect(await streams.delete(t.scope, 's')).toBe(false)
      const missing = { reason: 'NOT_FOUND', resource: 'stream', id: 's' }
      await expect(read(t)).rejects.toMatchObject(missing)
      await expect(committed(t)).rejects.toMatchObject(missing)
      await expect(commit(t, 0, 0)).rejects.toMatchObject(missing)
      await expect(streams.offsetAt(t.scope, 's', 0, 0)).rejects.toMatchObject(missing)
      await write(t, messages('a'))
      await expect(read(t, 1)).rejects.toMatchObject({ reason: 'VALIDATION', fields: [{ path: 'partition' }] })
      await expect(streams.offsetAt(t.scope, 's', 1, 0)).rejects.toMatchObject({ reason: 'VALIDATION' })
    },
  },
  {
    name: 'is created with partitions, which become more and never fewer',
    async run(t) {
      const { streams } = t.store
      const retention = { maxAgeMs: 1000, maxBytes: 5000 }
      const partition = { earliest: 0, latest: -1, bytes: 0 }
      const created = { name: 's', compaction: false, createdAt: t.clock.now(), partitions: [partition, partition] }
      expect(await streams.put(t.scope, 's', { partitions: 2 }, t.clock.now())).toEqual({
        ...created,
        retention: { maxAgeMs: 0, maxBytes: 0 },
      })
      await expect(streams.put(t.scope, 's', { partitions: 1 }, t.clock.now())).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      await t.clock.advance(1)
      await streams.put(t.scope, 's', { retention }, t.clock.now())
      await streams.put(t.scope, 's', { partitions: 3 }, t.clock.now())
      await t.reopen()
      expect(await describe(t)).toEqual({ ...created, partitions: [partition, partition, partition], retention })
    },
  },
  {
    name: 'drops messages past their age, whole rows at a time; offsets go on',
    async run(t) {
      await t.store.streams.put(t.scope, 's', { retention: { maxAgeMs: 1000, maxBytes: 0 } }, t.clock.now())
      await write(t, messages('a', 'b'))
      await t.clock.advance(600)
      await write(t, messages('c'))
      await t.clock.advance(399)
      expect(await t.store.streams.trim(t.clock.now(), 100)).toBe(0)
      await t.clock.advance(1)
      expect(await t.store.streams.trim(t.clock.now(), 100)).toBe(1)
      expect(await read(t)).toEqual(['2 c'])
      expect((await describe(t)).partitions).toMatchObject([{ earliest: 2, latest: 2 }])
      await t.clock.advance(1000)
      expect(await t.store.streams.trim(t.clock.now(), 100)).toBe(1)
      await t.reopen()
      expect((await describe(t)).partitions).toEqual([{ earliest: 3, latest: 2, bytes: 0 }])
      expect(await t.store.streams.offsetAt(t.scope, 's', 0, 0)).toBe(3)
      expect(await write(t, messages('d'))).toMatchObject({ offsets: [3] })
      expect(await read(t)).toEqual(['3 d'])
    },
  },
  {
    name: 'drops the oldest messages of a partition that is too large',
    async run(t) {
      await t.store.streams.put(t.scope, 's', { retention: { maxAgeMs: 0, maxBytes: 5000 } }, t.clock.now())
      for (let i = 0; i < 10; i++) await write(t, messages(`${i}`.padEnd(1000)))
      while ((await t.store.streams.trim(t.clock.now(), 2)) > 0);
      const [partition] = (await describe(t)).partitions
      expect(partition!.latest).toBe(9)
      expect(partition!.bytes).toBeLessThanOrEqual(5000)
      expect(await read(t)).toHaveLength(10 - partition!.earliest)
      expect(partition!.earliest).toBeLessThanOrEqual(6)
    },
  },
  {
    name: 'a deleted stream is gone at once, and a new one of its name begins anew',
    async run(t) {
      for (let i = 0; i < 5; i++) await write(t, messages('old'))
      await commit(t, 0, 3)
      const number = async () => (await t.store.streams.read(t.scope, 's', 0, { offset: 0, ...everything })).number
      const before = await number()
      expect(await number()).toBe(before)
      expect(await t.store.streams.delete(t.scope, 's')).toBe(true)
      expect(await t.store.streams.delete(t.scope, 's')).toBe(false)
      await expect(read(t)).rejects.toMatchObject({ reason: 'NOT_FOUND' })
      expect(await write(t, messages('new'))).toMatchObject({ offsets: [0] })
      expect(await number()).not.toBe(before)
      while ((await t.store.streams.trim(t.clock.now(), 2)) > 0);
      await t.reopen()
      expect(await read(t)).toEqual(['0 new'])
      expect(await committed(t)).toEqual([-1])
      expect(await t.store.streams.list(t.scope, { limit: 10, after: '' })).toMatchObject([{ name: 's' }])
    },
  },
  {
    name: 'streams, namespaces and tenants do not see each other',
    async run(t) {
      await write(t, messages('mine'))
      await write(t, messages('theirs'), { scope: t.otherTenant })
      await write(t, messages('elsewhere'), { scope: t.otherNamespace })
      await write(t, messages('b'), { stream: 'b' })
      expect(await read(t)).toEqual(['0 mine'])
      const names = async (after: string) => (await t.store.streams.list(t.scope, { limit: 1, after })).map(({ name }) => name)
      expect([await names(''), await names('b'), await names('s')]).toEqual([['b'], ['s'], []])
      expect(await t.store.streams.delete(t.otherNamespace, 's')).toBe(true)
      expect(await read(t)).toEqual(['0 mine'])
    },
  },
  {
    name: 'tells of what was written, after it is there',
    async run(t) {
      const heard: (StreamName & { there: Promise<number> })[] = []
      t.store.streams.listen({
        regrouped() {},
        written: (stream) => heard.push({ ...stream, there: read(t).then(({ length }) => length) }),
        missed() {},
      })
      await write(t, messages('a', 'b'))
      expect(heard).toMatchObject([{ ...t.scope, stream: 's' }])
      expect(await heard[0]!.there).toBe(2)
    },
  },
  {
    name: 'members of a group share the partitions evenly; as few as can be move when one joins or leaves',
    async run(t) {
      const { streams } = t.store
      await streams.put(t.scope, 's', { partitions: 5 }, t.clock.now())
      const told: string[] = []
      streams.listen({ written() {}, missed() {}, regrouped: ({ stream }, group) => told.push(`${stream} ${group}`) })
      const until = t.clock.now() + 10_000
      const join = (member: string) => streams.join(t.scope, 's', 'g', member, until)
      const owners = async () => (await streams.owners(t.scope, 's', 'g')).map((owner) => owner ?? '-').join('')
      expect(await owners()).toBe('-----')
      await join('a')
      expect(await owners()).toBe('aaaaa')
      await join('b')
      const two = await owners()
      expect([...two].sort().join('')).toBe('aaabb')
      await join('c')
      const three = await owners()
      expect([...three].sort().join('')).toMatch(/^(aabbc|aabcc|abbcc)$/)
      expect([...three].filter((owner, i) => owner !== 'c' && owner !== two[i])).toEqual([])
      await streams.leave(t.scope, 's', 'g', 'a')
      const again = await owners()
      expect([...again].filter((owner, i) => three[i] !== 'a' && owner !== three[i])).toEqual([])
      expect(again).not.toContain('a')
      await streams.put(t.scope, 's', { partitions: 6 }, t.clock.now())
      expect([...(await owners())].sort().join('')).toBe('bbbccc')
      expect(new Set(told)).toEqual(new Set(['s g']))
      await expect(streams.join(t.scope, 'none', 'g', 'a', until)).rejects.toMatchObject({ reason: 'NOT_FOUND' })
      await expect(streams.owners(t.scope, 'none', 'g')).rejects.toMatchObject({ reason: 'NOT_FOUND' })
    },
  },
  {
    name: 'a member that is not heard of loses its partitions, and its commits are refused',
    async run(t) {
      const { streams } = t.store
      await write(t, messages('a', 'b', 'c'))
      const join = (member: string) => streams.join(t.scope, 's', 'g', member, t.clock.now() + 10_000)
      const commitAs = async (member: string, offset: number) =>
        (await streams.commit(t.scope, 's', [{ group: 'g', partition: 0, offset, member }], t.clock.now()))[0]!
      await join('a')
      expect(await commitAs('a', 0)).toEqual({ committed: 0 })
      expect(await commitAs('b', 1)).toMatchObject({ error: { reason: 'CONFLICT' } })
      await t.clock.advance(5000)
      await join('a') // is heard of
      await join('b')
      await t.clock.advance(9999)
      expect(await streams.expireMembers(t.clock.now(), 10)).toBe(0)
      await streams.join(t.scope, 's', 'g', 'b', t.clock.now() + 10_000)
      await t.clock.advance(1)
      expect(await streams.expireMembers(t.clock.now(), 10)).toBe(1)
      expect(await streams.owners(t.scope, 's', 'g')).toEqual(['b'])
      expect(await commitAs('a', 1)).toMatchObject({ error: { reason: 'CONFLICT' } })
      expect(await committed(t)).toEqual([0])
      expect(await commitAs('b', 1)).toEqual({ committed: 1 })
      expect(await commit(t, 0, 2)).toEqual({ committed: 2 })
    },
  },
]
