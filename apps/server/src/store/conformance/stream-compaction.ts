import fc from 'fast-check'
import { expect } from 'vitest'
import { compactAfterMs, removalKeptMs } from '../stream-compaction.ts'
import type { NewStreamMessage } from '../stream-port.ts'
import { plainTraits } from '../trait-port.ts'
import type { Case, Harness } from './harness.ts'
import { tryEach } from './tries.ts'

const stream = 's'

/** A message as it should be; without a payload it removes its key. */
interface Known {
  readonly key: string
  readonly text: string
  readonly at: number
}

const messageOf = (key: string, text: string): NewStreamMessage => ({ payload: Buffer.from(text), contentType: '', headers: {}, key })

/** Writes messages such as `a=1`, `a=` (removes a) and `=1` (without a key). */
async function write(t: Harness, ...all: string[]): Promise<void> {
  const messages = all.map((each) => {
    const [key, text] = each.split('=')
    return messageOf(key!, text!)
  })
  await t.store.streams.write({ scope: t.scope, stream, batches: [{ messages }], requestId: '', now: t.clock.now() })
}

/** What is there from an offset on, as `offset key=text`, read so many at a time. */
async function read(t: Harness, offset = 0, maxMessages = 10_000): Promise<string[]> {
  const found: string[] = []
  for (let from = offset; ; ) {
    const { slices, next } = await t.store.streams.read(t.scope, stream, 0, { offset: from, maxMessages, maxBytes: 1 << 20 })
    if (slices.length === 0) return found
    expect(slices.reduce((sum, { messages }) => sum + messages.length, 0)).toBeLessThanOrEqual(maxMessages)
    for (const { firstOffset, messages } of slices)
      for (const [i, { key, payload }] of messages.entries()) found.push(`${firstOffset + i} ${key}=${Buffer.from(payload).toString()}`)
    expect(next).toBeGreaterThan(from)
    from = next
  }
}

async function trim(t: Harness): Promise<void> {
  while ((await t.store.streams.trim(t.clock.now(), 3)) > 0);
}

const put = (t: Harness, compaction: boolean) => t.store.streams.put(t.scope, stream, { compaction }, t.clock.now())
const infoOf = async (t: Harness) => (await t.store.streams.describe(t.scope, stream))!

/** Which messages should be there. */
function expected(all: readonly Known[], now: number): string[] {
  const newest = new Map<string, number>()
  for (const [offset, { key, at }] of all.entries()) if (at <= now - compactAfterMs) newest.set(key, offset)
  return all.flatMap(({ key, text, at }, offset) => {
    const replaced = key !== '' && (newest.get(key) ?? -1) > offset
    const over = key !== '' && text === '' && at + removalKeptMs <= now && offset < all.length - 1
    return replaced || over ? [] : [`${offset} ${key}=${text}`]
  })
}

type Step =
  | { readonly type: 'write'; readonly messages: readonly (readonly [key: string, empty: boolean])[] }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'some' | 'all' | 'reopen' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      messages: fc.array(fc.tuple(fc.constantFrom('', 'a', 'b', 'c', 'd', 'e'), fc.constantFrom(false, false, true)), {
        minLength: 1,
        maxLength: 6,
      }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.constantFrom(1, 30_000, compactAfterMs, removalKeptMs) }),
  },
  { weight: 5, arbitrary: fc.record({ type: fc.constantFrom('some', 'all', 'all', 'reopen') }) },
)

async function play(t: Harness, steps: readonly Step[]): Promise<void> {
  const all: Known[] = []
  let before: string[] = []
  await put(t, true)
  for (const step of steps) {
    if (step.type === 'write') {
      const messages = step.messages.map(([key, empty], i) => ({ key, text: empty ? '' : `${all.length + i}`, at: t.clock.now() }))
      await write(t, ...messages.map(({ key, text }) => `${key}=${text}`))
      all.push(...messages)
      before.push(...messages.map(({ key, text }, i) => `${all.length - messages.length + i} ${key}=${text}`))
    } else if (step.type === 'advance') await t.clock.advance(step.ms)
    else if (step.type === 'reopen') await t.reopen()
    else if (step.type === 'some') await t.store.streams.trim(t.clock.now(), 2)
    else await trim(t)
    const now = expected(all, t.clock.now())
    const found = await read(t)
    if (step.type === 'all') expect(found).toEqual(now)
    expect(before, 'nothing comes back').toEqual(expect.arrayContaining(found))
    expect(found, 'nothing is removed early').toEqual(expect.arrayContaining(now))
    before = found
    const offsets = found.map((text) => Number(text.split(' ')[0]))
    for (const from of [0, 1, Math.floor(all.length / 2), all.length - 1]) {
      for (const most of [1, 2, 100]) expect(await read(t, from, most)).toEqual(found.filter((_, i) => offsets[i]! >= from))
    }
    const time = all[Math.floor(all.length / 2)]?.at ?? 0
    expect(await t.store.streams.offsetAt(t.scope, stream, 0, time)).toBe(offsets.find((offset) => all[offset]!.at >= time) ?? all.length)
    expect((await infoOf(t)).partitions).toMatchObject([{ earliest: offsets[0] ?? all.length, latest: all.length - 1 }])
  }
}

/** Compaction by key. */
export const streamCompactionCases: readonly Case[] = [
  {
    name: 'compaction keeps the newest message of each key, and those without one; offsets stay',
    async run(t) {
      expect(await put(t, true)).toMatchObject({ compaction: true })
      await write(t, 'a=1', 'b=1', '=1', 'a=2')
      await write(t, 'a=3', 'c=1')
      await t.clock.advance(compactAfterMs - 1)
      await trim(t)
      expect(await read(t), 'within the delay').toHaveLength(6)
      await t.clock.advance(1)
      await trim(t)
      const kept = ['1 b=1', '2 =1', '4 a=3', '5 c=1']
      expect([await read(t), await read(t, 3, 1), await read(t, 0, 1)]).toEqual([kept, kept.slice(2), kept])
      await t.reopen()
      await write(t, 'b=2')
      expect(await read(t)).toEqual([...kept, '6 b=2'])
      expect(await infoOf(t)).toMatchObject({ compaction: true, partitions: [{ earliest: 1, latest: 6 }] })
    },
  },
  {
    name: 'an empty message removes its key, and goes itself a day later, when it is not the newest',
    async run(t) {
      await put(t, true)
      await write(t, 'a=1', 'b=1', 'a=', 'b=null')
      await t.clock.advance(compactAfterMs)
      await trim(t)
      expect(await read(t)).toEqual(['2 a=', '3 b=null'])
      await t.clock.advance(removalKeptMs - compactAfterMs - 1)
      await trim(t)
      expect(await read(t)).toHaveLength(2)
      await t.clock.advance(1)
      await trim(t)
      expect(await read(t)).toEqual(['3 b=null'])
      await write(t, 'a=2')
      await trim(t)
      expect(await read(t)).toEqual(['4 a=2'])
      await write(t, 'a=3')
      await t.clock.advance(compactAfterMs)
      await trim(t)
      expect(await read(t)).toEqual(['5 a=3'])
    },
  },
  {
    name: 'compaction takes long rows bit by bit, keeps count of their bytes, and reads pass over holes of any length',
    async run(t) {
      await put(t, true)
      for (let round = 0; round < 5; round++) {
        await write(
          t,
          ...Array.from({ length: 500 }, (_, i) => `${round === 0 || i % 7 > 0 ? `k${i % 100}` : `r${round}-${i}`}=${'x'.repeat(300)}`),
        )
      }
      await write(t, ...Array.from({ length: 100 }, (_, i) => `k${i}=last`))
      const { partitions } = await infoOf(t)
      await t.clock.advance(compactAfterMs)
      expect(await t.store.streams.trim(t.clock.now(), 10)).toBe(10)
      while ((await t.store.streams.trim(t.clock.now(), 400)) > 0);
      const found = await read(t)
      expect(found).toHaveLength(4 * 72 + 100)
      expect(await read(t, 1234, 1)).toEqual(found.filter((text) => Number(text.split(' ')[0]) >= 1234))
      const after = (await infoOf(t)).partitions[0]!
      expect(after.bytes).toBeLessThan(partitions[0]!.bytes / 5)
      await t.store.streams.put(t.scope, stream, { retention: { maxAgeMs: 1, maxBytes: 0 } }, t.clock.now())
      await trim(t)
      expect((await infoOf(t)).partitions).toEqual([{ earliest: 2600, latest: 2599, bytes: 0 }])
      await write(t, 'k1=new')
      expect(await read(t)).toEqual(['2600 k1=new'])
      expect(await t.store.streams.delete(t.scope, stream)).toBe(true)
      await trim(t)
    },
  },
  {
    name: 'compaction is switched on and off at any time, but not for a durable stream',
    async run(t) {
      await write(t, 'a=1', 'a=2')
      await t.clock.advance(compactAfterMs)
      await trim(t)
      expect(await read(t)).toHaveLength(2)
      await put(t, true)
      await trim(t)
      expect(await read(t)).toEqual(['1 a=2'])
      await t.store.streams.put(t.scope, stream, { partitions: 2 }, t.clock.now())
      expect((await infoOf(t)).compaction).toBe(true)
      expect(await put(t, false)).toMatchObject({ compaction: false })
      await write(t, 'a=3')
      const traits = { ...plainTraits, contentType: 'text/plain' }
      await t.store.streams.create({ scope: t.scope, stream: 'd', traits, messages: [], now: t.clock.now() })
      await expect(t.store.streams.put(t.scope, 'd', { compaction: true }, t.clock.now())).rejects.toMatchObject({
        reason: 'FAILED_PRECONDITION',
      })
    },
  },
  {
    name: 'any history of writes by keys leaves what a model of compaction says',
    async run(fresh) {
      await tryEach(fresh, 30, [fc.array(step, { minLength: 3, maxLength: 20 })], async (t, steps) => {
        await play(t, steps)
      })
    },
  },
]
