import { expect } from 'vitest'
import type { StreamBatch, StreamMessage, StreamState } from '../stream-port.ts'
import { plainTraits, type StreamTraits } from '../trait-port.ts'
import type { Case, Harness } from './harness.ts'

const texts = (...payloads: string[]): StreamMessage[] =>
  payloads.map((payload) => ({ payload: Buffer.from(payload), contentType: 'text/plain', headers: {}, key: '' }))

function create(t: Harness, stream: string, traits: Partial<StreamTraits> = {}, messages: readonly StreamMessage[] = []) {
  return t.store.streams.create({ scope: t.scope, stream, traits: { ...plainTraits, ...traits }, messages, now: t.clock.now() })
}

/** Makes a fork of a stream at an offset. */
async function fork(t: Harness, stream: string, of: string, inherited: number, ...own: string[]) {
  const source = (await state(t, of)).number
  return create(t, stream, { fork: { source, inherited, sub: 0, depth: 3 } }, texts(...own))
}

async function state(t: Harness, stream: string): Promise<StreamState> {
  return (await t.store.streams.state(t.scope, stream))!
}

async function write(t: Harness, stream: string, batch: Partial<StreamBatch>, to?: number) {
  const batches = [{ messages: [], ...batch }]
  return (await t.store.streams.write({ scope: t.scope, stream, batches, requestId: '', to, now: t.clock.now() }))[0]!
}

/** What is in a stream from an offset on, a message at a time. */
async function read(t: Harness, stream: string, offset = 0): Promise<string> {
  let all = ''
  for (let from = offset; ; ) {
    const { slices, next } = await t.store.streams.read(t.scope, stream, 0, { offset: from, maxMessages: 2, maxBytes: 1 << 20 })
    if (slices.length === 0) return all
    for (const { messages } of slices) for (const { payload } of messages) all += Buffer.from(payload).toString()
    from = next
  }
}

/** What streams are beside their messages: closed, ending, forked. */
export const streamLifecycleCases: readonly Case[] = [
  {
    name: 'a stream is created with what it is and its first messages, once',
    async run(t) {
      const traits = { contentType: 'text/plain', ttlMs: 5000, expiresAt: t.clock.now() + 5000, closed: true }
      const first = await create(t, 's', traits, texts('a', 'b'))
      expect(first).toMatchObject({ created: true, state: { ...traits, order: '', gone: false, partitions: 1, next: 2 } })
      expect(await create(t, 's', {}, texts('c'))).toEqual({ created: false, state: first.state })
      await t.reopen()
      expect(await state(t, 's')).toEqual(first.state)
      expect(await read(t, 's')).toBe('ab')
      await write(t, 'plain', { messages: texts('x') })
      expect(await state(t, 'plain')).toMatchObject({ ...plainTraits, next: 1 })
      await expect(t.store.streams.put(t.scope, 's', { partitions: 2 }, t.clock.now())).rejects.toMatchObject({
        reason: 'FAILED_PRECONDITION',
      })
      expect(await t.store.streams.state(t.otherNamespace, 's')).toBeUndefined()
      expect(await t.store.streams.state(t.otherTenant, 's')).toBeUndefined()
    },
  },
  {
    name: 'a closed stream takes nothing more, and tells those who wait for it',
    async run(t) {
      await create(t, 's')
      const told: string[] = []
      t.store.streams.listen({ written: ({ stream }) => told.push(stream), regrouped() {}, missed() {} })
      const by = (seq: number, id = 'p') => ({ producer: { id, epoch: 0, seq } })
      await write(t, 's', { messages: texts('a'), ...by(0) })
      expect(await write(t, 's', { closes: true, ...by(1) })).toEqual({ partitions: [], offsets: [] })
      expect(told).toEqual(['s', 's'])
      await t.reopen()
      expect((await state(t, 's')).closed).toBe(true)
      const refused = { error: { reason: 'FAILED_PRECONDITION' } }
      expect(await write(t, 's', { messages: texts('b') })).toMatchObject(refused)
      expect(await write(t, 's', { messages: texts('b'), ...by(2) })).toMatchObject(refused)
      expect(await write(t, 's', { closes: true, ...by(0, 'q') })).toMatchObject(refused)
      expect(await write(t, 's', { closes: true })).toEqual({ partitions: [], offsets: [] })
      expect(await write(t, 's', { closes: true, ...by(1) })).toMatchObject({ repeatOf: 1 })
      expect(await read(t, 's')).toBe('a')
    },
  },
  {
    name: 'orders only grow, and a write meant for another stream of the name is refused',
    async run(t) {
      const { number } = (await create(t, 's')).state
      await write(t, 's', { messages: texts('a'), order: '09' }, number)
      for (const order of ['09', '080'])
        expect(await write(t, 's', { messages: texts('x'), order })).toMatchObject({ error: { reason: 'CONFLICT' } })
      await t.reopen()
      await write(t, 's', { messages: texts('b'), order: '10' }, number)
      expect(await write(t, 's', { messages: texts('x') }, number + 1)).toMatchObject({ error: { reason: 'NOT_FOUND' } })
      expect(await write(t, 'none', { messages: texts('x') }, number)).toMatchObject({ error: { reason: 'NOT_FOUND' } })
      expect(await read(t, 's')).toBe('ab')
      expect(await t.store.streams.state(t.scope, 'none')).toBeUndefined()
    },
  },
  {
    name: 'a stream that is not used ends, and its name is free',
    async run(t) {
      const { streams } = t.store
      await create(t, 'idle', { ttlMs: 1000, expiresAt: t.clock.now() + 1000 }, texts('old'))
      await create(t, 'fixed', { expiresAt: t.clock.now() + 1000 })
      for (const stream of ['read', 'written']) await create(t, stream, { ttlMs: 1000, expiresAt: t.clock.now() + 1000 })
      await t.clock.advance(900)
      await streams.use(t.scope, 'read', await state(t, 'read'), t.clock.now())
      await streams.use(t.scope, 'fixed', await state(t, 'fixed'), t.clock.now())
      await write(t, 'written', { messages: texts('a') })
      await t.reopen()
      expect(await t.store.streams.expire(t.clock.now(), 10)).toBe(0)
      await t.clock.advance(100)
      expect(await create(t, 'idle', {}, texts('new'))).toMatchObject({ created: true, state: { next: 1 } })
      expect(await t.store.streams.expire(t.clock.now(), 10)).toBe(1)
      expect(await t.store.streams.state(t.scope, 'fixed')).toBeUndefined()
      await t.clock.advance(900)
      expect(await t.store.streams.expire(t.clock.now(), 10)).toBe(0)
      await t.clock.advance(200)
      expect(await t.store.streams.expire(t.clock.now(), 10)).toBe(2)
      expect(await read(t, 'idle')).toBe('new')
    },
  },
  {
    name: 'a fork has what its source had, and goes its own way',
    async run(t) {
      await create(t, 'a', {}, texts('0', '1', '2', '3'))
      await fork(t, 'b', 'a', 3, 'x')
      await fork(t, 'c', 'b', 2, 'y', 'z')
      await fork(t, 'd', 'b', 4)
      await write(t, 'a', { messages: texts('4') })
      await write(t, 'b', { messages: texts('w') })
      await t.reopen()
      const all = async () => Promise.all(['a', 'b', 'c', 'd'].map((stream) => read(t, stream)))
      expect(await all()).toEqual(['01234', '012xw', '01yz', '012x'])
      expect(await write(t, 'd', { messages: texts('!') })).toMatchObject({ offsets: [4] })
      expect([await read(t, 'c', 1), await read(t, 'c', 3), await read(t, 'd', 3)]).toEqual(['1yz', 'z', 'x!'])
      expect(await t.store.streams.describe(t.scope, 'c')).toMatchObject({ partitions: [{ earliest: 0, latest: 3 }] })
      expect(await t.store.streams.offsetAt(t.scope, 'c', 0, 0)).toBe(0)
      expect(await t.store.streams.offsetAt(t.scope, 'c', 0, t.clock.now() + 1)).toBe(4)
    },
  },
  {
    name: 'a deleted stream keeps its messages for its forks, and its name until they are deleted',
    async run(t) {
      const { streams } = t.store
      await create(t, 'a', {}, texts('0', '1'))
      await fork(t, 'b', 'a', 2)
      await fork(t, 'c', 'b', 1)
      for (const stream of ['a', 'b']) expect(await streams.delete(t.scope, stream)).toBe(true)
      expect(await streams.delete(t.scope, 'a')).toBe(false)
      while ((await streams.trim(t.clock.now(), 10)) > 0);
      await t.reopen()
      expect([await read(t, 'c'), (await state(t, 'a')).gone, (await state(t, 'b')).gone]).toEqual(['0', true, true])
      await expect(read(t, 'a')).rejects.toMatchObject({ reason: 'NOT_FOUND' })
      expect(await t.store.streams.list(t.scope, { limit: 9, after: '' })).toMatchObject([{ name: 'c' }])
      expect(await create(t, 'a')).toMatchObject({ created: false, state: { gone: true } })
      const gone = { reason: 'FAILED_PRECONDITION' }
      await expect(t.store.streams.put(t.scope, 'a', { partitions: 2 }, t.clock.now())).rejects.toMatchObject(gone)
      expect(await write(t, 'a', { messages: texts('x') }).catch((error) => ({ error }))).toMatchObject({ error: gone })
      const source = (await state(t, 'a')).number
      await expect(create(t, 'd', { fork: { source, inherited: 1, sub: 0, depth: 1 } })).rejects.toMatchObject({ reason: 'NOT_FOUND' })
      expect(await t.store.streams.delete(t.scope, 'c')).toBe(true)
      expect([await t.store.streams.state(t.scope, 'a'), await t.store.streams.state(t.scope, 'b')]).toEqual([undefined, undefined])
      expect(await create(t, 'a', {}, texts('new'))).toMatchObject({ created: true })
      while ((await t.store.streams.trim(t.clock.now(), 10)) > 0);
      expect(await read(t, 'a')).toBe('new')
    },
  },
  {
    name: 'what a source dropped is dropped for its forks',
    async run(t) {
      await t.store.streams.put(t.scope, 'a', { retention: { maxAgeMs: 1000, maxBytes: 0 } }, t.clock.now())
      await write(t, 'a', { messages: texts('0', '1') })
      await t.clock.advance(600)
      await write(t, 'a', { messages: texts('2') })
      await fork(t, 'b', 'a', 3, 'x')
      await fork(t, 'c', 'a', 1, 'y')
      await t.clock.advance(600)
      await t.store.streams.trim(t.clock.now(), 10)
      expect([await read(t, 'a'), await read(t, 'b'), await read(t, 'c'), await read(t, 'b', 1)]).toEqual(['2', '2x', 'y', '2x'])
      expect(await t.store.streams.offsetAt(t.scope, 'c', 0, 0)).toBe(1)
    },
  },
]
