import { ConflictError, NotFoundError, type ReceivedMessage, type Stream, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()
const newStream = <T = unknown>() => fixture.client().stream<T>(freshName('stream'))
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => ({ payload: from + i }))

/** Takes so many messages of a subscription and ends it. */
async function take<T>(messages: AsyncIterableIterator<ReceivedMessage<T>>, count: number): Promise<ReceivedMessage<T>[]> {
  const taken: ReceivedMessage<T>[] = []
  for await (const message of messages) if (taken.push(message) === count) break
  return taken
}

describe('write and read', () => {
  test('events with headers give offsets, and come back', async () => {
    const orders = newStream()
    const order = { payload: { order_id: '123', amount: 99.99 }, headers: { event_type: 'order.created' }, key: '123' }
    expect(await orders.write([order, { payload: Uint8Array.of(0, 255) }])).toEqual([0, 1])
    const [first, second] = await orders.read({ partition: 0, offset: 0, max: 10 })
    expect(first).toMatchObject({ ...order, offset: 0, partition: 0 })
    expect(Math.abs(first!.timestamp.getTime() - Date.now())).toBeLessThan(10_000)
    expect(second).toMatchObject({ offset: 1, payload: Uint8Array.of(0, 255), headers: {} })
    expect(await orders.read({ offset: 2 })).toEqual([])
  })

  test('thousands of concurrent writes: each has its offset, in the order of the calls, without holes', async () => {
    const stream = newStream<number>()
    const offsets = await Promise.all(numbers(5000).map((message) => stream.write([message])))
    expect(offsets.flat()).toEqual(Array.from({ length: 5000 }, (_, i) => i))
    const all: number[] = []
    while (all.length < 5000) all.push(...(await stream.read({ offset: all.length, max: 10_000 })).map(({ payload }) => payload))
    expect(all).toEqual(Array.from({ length: 5000 }, (_, i) => i))
  })

  test('a wrong write does not hurt those that travel with it', async () => {
    const stream = newStream()
    const [a, wrong, b] = await Promise.allSettled([
      stream.write(numbers(2)),
      stream.write([{ payload: 1 }, { payload: 2, partition: 7 }]),
      stream.write(numbers(1)),
    ])
    expect([a, b]).toMatchObject([{ value: [0, 1] }, { value: [2] }])
    expect(wrong.status === 'rejected' && wrong.reason).toBeInstanceOf(ValidationError)
  })

  test('a producer that begins anew writes nothing twice', async () => {
    const stream = newStream<number>()
    await stream.create({ partitions: 2 })
    /** Writes lines of a file from its beginning, as after a crash. */
    const produce = async (lines: number) => {
      const offsets: number[][] = []
      for (let line = 0; line < lines; line++) {
        offsets.push(await stream.write([{ payload: line }, { payload: -line }], { idempotencyKey: `file-7:${line}` }))
      }
      return offsets
    }
    const first = await produce(5)
    await fixture.server.kill()
    await fixture.server.restart()
    const second = await produce(8)
    expect(second.slice(0, 5)).toEqual(first)
    const { partitions } = await stream.info()
    expect(partitions.reduce((sum, { latestOffset }) => sum + latestOffset + 1, 0)).toBe(16)
  })

  test('a producer that counts its writes repeats none, over crashes, and one that was replaced writes nothing', async () => {
    const stream = newStream<string>()
    const write = (seq: number, payload: string, epoch = 0) => stream.write([{ payload }], { producer: { id: 'p', seq, epoch } })
    // At once: they travel together, in order.
    expect(await Promise.all([write(0, 'a'), write(1, 'b'), write(1, 'b again'), write(2, 'c')])).toEqual([[0], [1], [1], [2]])
    await fixture.server.kill()
    await fixture.server.restart()
    expect(await write(2, 'c again')).toEqual([2])
    await expect(write(5, 'too early')).rejects.toThrow(ConflictError)
    expect(await write(0, 'd', 1)).toEqual([3])
    await expect(write(3, 'of the one before')).rejects.toThrow(/epoch 1/)
    expect(await stream.write([{ payload: 'e' }], { producer: { id: 'another', seq: 0 } })).toEqual([4])
    expect((await stream.read()).map(({ payload }) => payload)).toEqual(['a', 'b', 'c', 'd', 'e'])
    await expect(write(-1, 'wrong')).rejects.toThrow(ValidationError)
  })

  test('by time', async () => {
    const stream = newStream()
    await stream.write(numbers(3))
    const [message] = await stream.read({ from: new Date(Date.now() - 60_000), max: 1 })
    expect(message).toMatchObject({ offset: 0 })
    expect(await stream.read({ from: new Date(Date.now() + 60_000) })).toEqual([])
  })
})

describe('subscribe', () => {
  test('from latest: what is written from now on', async () => {
    const stream = newStream<number>()
    await stream.write(numbers(3))
    const messages = take(stream.subscribe({ from: 'latest' }), 2)
    const writing = setInterval(() => void stream.write([{ payload: 7 }]).catch(() => undefined), 20)
    const [first, second] = await messages
    clearInterval(writing)
    expect(first!.offset).toBeGreaterThanOrEqual(3)
    expect(second!.offset).toBe(first!.offset + 1)
  })

  test('from earliest, an offset and a time', async () => {
    const stream = newStream<number>()
    await stream.write(numbers(10))
    const offsets = async (from: 'earliest' | number | Date) => (await take(stream.subscribe({ from }), 2)).map(({ offset }) => offset)
    expect(await offsets('earliest')).toEqual([0, 1])
    expect(await offsets(5)).toEqual([5, 6])
    expect(await offsets(new Date(0))).toEqual([0, 1])
  })

  test('from committed: the next after the last processed', async () => {
    const stream = newStream<number>()
    await stream.write(numbers(5))
    for await (const message of stream.subscribe({ group: 'billing' })) {
      await message.commit()
      if (message.offset === 2) break
    }
    expect((await take(stream.subscribe({ group: 'billing', from: 'committed' }), 2)).map(({ offset }) => offset)).toEqual([3, 4])
    expect(await stream.group('billing').state(0)).toEqual({ committedOffset: 2, latestOffset: 4, lag: 2 })
    expect(await stream.group('others').state(0)).toEqual({ committedOffset: -1, latestOffset: 4, lag: 5 })
  })

  test('goes on where it was over crashes of the server: none is missed, none comes twice', async () => {
    const stream = newStream<number>()
    await stream.write(numbers(1))
    const seen: number[] = []
    const stop = new AbortController()
    const reading = (async () => {
      for await (const { payload } of stream.subscribe({ from: 'earliest', signal: stop.signal })) seen.push(payload)
    })().catch((error: Error) => error.name)
    for (let round = 0; round < 3; round++) {
      await fixture.server.kill()
      await fixture.server.restart()
      await stream.write(numbers(100, 1 + round * 100))
      await until('all came', () => seen.length === 101 + round * 100)
    }
    stop.abort()
    expect(await reading).toBe('AbortError')
    expect(seen).toEqual(Array.from({ length: 301 }, (_, i) => i))
  })

  test('a reader that is far behind gets everything', async () => {
    const stream = newStream<string>()
    const text = 'x'.repeat(200)
    for (let i = 0; i < 20; i++) await stream.write(Array.from({ length: 1000 }, () => ({ payload: text })))
    let next = 0
    for await (const { offset } of stream.subscribe({ from: 'earliest' })) {
      expect(offset).toBe(next++)
      if (next === 20_000) break
    }
  })
})

describe('filters', () => {
  const orders = numbers(100).map(({ payload }) => ({ payload: { amount: payload }, headers: { type: payload % 2 ? 'odd' : 'even' } }))

  test('by payload and headers, of reads and subscriptions', async () => {
    const stream = newStream<{ amount: number }>()
    await stream.write(orders)
    const filter = 'payload.amount > 90 && headers.type == "even"'
    expect((await stream.read({ filter })).map(({ offset }) => offset)).toEqual([92, 94, 96, 98])
    for (const group of [undefined, 'g']) {
      const found = await take(stream.subscribe({ from: 'earliest', filter, ...(group && { group }) }), 4)
      expect(found.map(({ payload }) => payload.amount)).toEqual([92, 94, 96, 98])
    }
    const later = take(stream.subscribe({ from: 95, filter: 'payload.amount > 1000' }), 1)
    await stream.write([{ payload: { amount: 1 } }, { payload: { amount: 1001 } }])
    expect(await later).toMatchObject([{ offset: 101 }])
  })

  test('a wrong one is refused, with its position', async () => {
    const stream = newStream()
    await stream.write(numbers(1))
    const wrong = { fields: [{ path: 'filter', message: expect.stringContaining('line 1, column 16') }] }
    for (const call of [() => stream.read({ filter: 'payload.amount >' }), () => stream.subscribe({ filter: 'payload.amount >' }).next()]) {
      await expect(call()).rejects.toMatchObject(wrong)
    }
    await expect(stream.subscribe({ group: 'g', filter: 'amount > 1' }).next()).rejects.toBeInstanceOf(ValidationError)
  })
})

describe('partitions', () => {
  test('same key, same partition, in order', async () => {
    const stream = newStream<number>()
    await stream.create({ partitions: 3 })
    const keys = ['a', 'b', 'c', 'd', 'e']
    await Promise.all(numbers(50).map(({ payload }) => stream.write([{ payload, key: keys[payload % 5]! }])))
    const byKey = new Map<string, Set<number>>()
    for (const partition of [0, 1, 2]) {
      const found = await stream.read({ partition })
      expect(found.map(({ offset }) => offset)).toEqual(found.map((_, i) => i))
      for (const { key } of found) byKey.set(key!, (byKey.get(key!) ?? new Set()).add(partition))
      for (const key of keys) {
        const payloads = found.filter((message) => message.key === key).map(({ payload }) => payload)
        expect(payloads).toEqual([...payloads].sort((a, b) => a - b))
      }
    }
    expect([...byKey.values()].map(({ size }) => size)).toEqual([1, 1, 1, 1, 1])
  })

  test('become more, never fewer', async () => {
    const stream = newStream()
    expect((await stream.create({ partitions: 2, retention: { maxAge: '7d', maxBytes: 1e9 } })).retention).toEqual({
      maxAge: 604_800_000,
      maxBytes: 1e9,
    })
    await expect(stream.create({ partitions: 1 })).rejects.toBeInstanceOf(ConflictError)
    expect((await stream.create({ partitions: 4 })).partitions).toHaveLength(4)
    expect(await stream.latest(3)).toBe(-1)
  })
})

describe('compaction', () => {
  test('is switched on and off, stays as it is otherwise, and what was just written is all there', async () => {
    const prices = newStream<{ cents: number } | null>()
    expect(await prices.create({ compaction: true })).toMatchObject({ compaction: true, partitions: [{ latestOffset: -1 }] })
    for (const payload of [{ cents: 250 }, { cents: 270 }, null]) await prices.write([{ key: 'tea', payload }])
    expect((await prices.read()).map(({ payload }) => payload)).toEqual([{ cents: 250 }, { cents: 270 }, null])
    expect((await prices.create({ partitions: 2 })).compaction).toBe(true)
    expect((await prices.create({ compaction: false })).compaction).toBe(false)
    expect((await prices.info()).compaction).toBe(false)
  })
})

describe('streams', () => {
  test('are listed, described and deleted', async () => {
    const mr = fixture.client()
    for (const name of ['b', 'a']) await mr.stream(name).write(numbers(2))
    expect((await mr.streams.list()).items).toMatchObject([
      { name: 'a', partitions: [{ earliestOffset: 0, latestOffset: 1 }] },
      { name: 'b' },
    ])
    await mr.stream('a').delete()
    expect((await mr.streams.list()).items.map(({ name }) => name)).toEqual(['b'])
    await expect(mr.stream('a').delete()).rejects.toBeInstanceOf(NotFoundError)
  })

  test('a subscription to a stream that is deleted ends', async () => {
    const stream = newStream()
    await stream.write(numbers(1))
    const messages = stream.subscribe({ from: 'earliest' })
    await messages.next()
    await Promise.all([expect(messages.next()).rejects.toBeInstanceOf(NotFoundError), stream.delete()])
  })
})

describe('bad input', () => {
  test('an unknown stream', async () => {
    const stream = newStream()
    const calls: ((s: Stream) => Promise<unknown>)[] = [
      (s) => s.read(),
      (s) => s.info(),
      (s) => s.subscribe({ from: 'earliest' }).next(),
      (s) => s.commit('g', 0, 0),
      (s) => s.committed('g'),
      (s) => s.latest(),
    ]
    for (const call of calls)
      await expect(call(stream)).rejects.toMatchObject({ name: 'NotFoundError', resource: 'stream', id: stream.name })
  })

  test.each<[string, (s: Stream) => Promise<unknown>, string]>([
    ['a negative offset', (s) => s.read({ offset: -1 }), 'offset'],
    ['a negative partition', (s) => s.read({ partition: -1 }), 'partition'],
    ['a partition out of range', (s) => s.read({ partition: 1 }), 'partition'],
    ['a subscription to one', (s) => s.subscribe({ partition: 1 }).next(), 'partition'],
    ['too many messages at once', (s) => s.read({ max: 10_001 }), 'maxMessages'],
    ['a commit of what was not written', (s) => s.commit('g', 0, 1), 'offset'],
    ['a commit of a negative offset', (s) => s.commit('g', 0, -1), 'offset'],
    ['a group with a blank', (s) => s.commit('a b', 0, 0), 'group'],
    ['257 partitions', (s) => s.create({ partitions: 257 }), 'partitions'],
    ['a negative size', (s) => s.create({ retention: { maxBytes: -1 } }), 'retention.maxBytes'],
    ['a size that is no number', (s) => s.create({ retention: { maxBytes: Number.NaN } }), 'retention.maxBytes'],
    ['half a byte', (s) => s.create({ retention: { maxBytes: 1.5 } }), 'retention.maxBytes'],
    ['compaction that is neither on nor off', (s) => s.create({ compaction: 'off' as never }), 'compaction'],
    ['a message that is none', (s) => s.write([{ payload: 1 }, null as never]), 'messages[1]'],
    ['a key with a control character', (s) => s.write([{ payload: 1, key: 'a\u0001' }]), 'key'],
    ['a payload over the limit', (s) => s.write([{ payload: 'x'.repeat(5 << 20) }]), 'payload'],
    ['10,001 messages', (s) => s.write(numbers(10_001)), 'messages'],
    ['committed without a group', (s) => s.subscribe({ from: 'committed' }).next(), 'group'],
  ])('%s', async (_, call, path) => {
    const stream = newStream()
    await stream.write(numbers(1))
    const error = await (async () => call(stream))().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ValidationError)
    expect((error as ValidationError).fields[0]!.path).toContain(path)
  })
})
