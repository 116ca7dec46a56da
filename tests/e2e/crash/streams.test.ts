import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { clientOf } from '../harness/fixture.ts'
import { createRandom, testSeed } from '../harness/random.ts'
import { startServer } from '../harness/server.ts'
import { until } from '../harness/until.ts'
import { stubborn } from './settings.ts'

const long = process.env.MILLRACE_LONG === '1'
const kills = Number(process.env.MILLRACE_KILLS ?? (long ? 100 : 8))
const writers = 4
const partitions = 3

interface Note {
  readonly writer: number
  readonly n: number
}

test(`${kills} kills: every acknowledged write is there, in order, once; commits never go back`, {
  timeout: 60_000 + kills * 8000,
}, async () => {
  const random = createRandom(testSeed(20_261_121))
  await using server = await startServer({ flags: ['--log-level', 'warn'] })
  const mr = clientOf(server, { ...stubborn, timeout: '60s' })
  const stream = mr.stream<Note>('crash')
  const kv = mr.kv<number>('crash')
  await stream.create({ partitions })

  let stopping = false
  /** Where acknowledged messages are, by `writer n`. */
  const acknowledged = new Map<string, { readonly partition: number; readonly offset: number }>()
  const write = async (writer: number) => {
    for (let n = 0; !stopping; ) {
      const partition = (writer + n) % partitions
      const batch = Array.from({ length: 1 + (n % 5) }, (_, i) => ({ payload: { writer, n: n + i }, partition }))
      // Some at once, which travel together; the next ones only when these are acknowledged.
      const offsets = await stream.write(batch)
      for (const [i, offset] of offsets.entries()) acknowledged.set(`${writer} ${n + i}`, { partition, offset })
      n += batch.length
      if (n % 50 === 0) await sleep(1)
    }
  }
  let sum = 0
  const count = async () => {
    while (!stopping) {
      const now = await kv.increment('count')
      expect(now).toBe(++sum) // the only one who counts
      await kv.set(`key ${sum % 100}`, sum)
    }
  }
  /** A producer that does not know which of its writes were carried out, and makes some again after each kill. */
  const produced = { next: 0, offsets: new Map<number, number>() }
  const produce = async () => {
    while (!stopping) {
      const seq = produced.next
      const [offset] = await mr.stream<number>('produced').write([{ payload: seq }], { producer: { id: 'p', seq } })
      const known = produced.offsets.get(seq)
      if (known !== undefined && offset !== undefined) expect(offset, `the offset of write ${seq}`).toBe(known)
      if (known === undefined) produced.offsets.set(seq, offset!)
      // Another call may have set it back meanwhile.
      if (produced.next === seq) produced.next = seq + 1
    }
  }
  const seen: number[] = Array.from({ length: partitions }, () => 0)
  const committed: number[] = Array.from({ length: partitions }, () => -1)
  const stop = new AbortController()
  const read = async (partition: number) => {
    for await (const message of stream.subscribe({ group: 'readers', partition, from: 'earliest', signal: stop.signal })) {
      expect(message.offset).toBe(seen[partition]!++)
      if (message.offset % 20 !== 0) continue
      const offset = await message.commit()
      expect(offset).toBeGreaterThanOrEqual(message.offset)
      committed[partition] = offset
    }
  }
  const reading = Array.from({ length: partitions }, (_, partition) => read(partition).catch((error: Error) => error))
  const working = [...Array.from({ length: writers }, (_, i) => write(i)), count(), produce()]

  for (let i = 0; i < kills; i++) {
    await sleep(random.int(100, 700))
    await server.kill()
    await sleep(random.int(0, 200))
    await server.restart()
    produced.next = Math.max(0, produced.next - random.int(0, 8))
    for (let partition = 0; partition < partitions; partition++) {
      const before = committed[partition]!
      expect(await stream.committed('readers', partition)).toBeGreaterThanOrEqual(before)
    }
  }
  stopping = true
  await Promise.all(working)

  expect(acknowledged.size).toBeGreaterThan(kills * 10)
  expect(await kv.get('count')).toBe(sum)
  const writes = await mr.stream('produced').latest()
  expect(writes + 1).toBe(produced.offsets.size)
  for (const [seq, offset] of produced.offsets) expect(offset, `the offset of write ${seq}`).toBe(seq)
  const found = new Map<string, number>()
  for (let partition = 0; partition < partitions; partition++) {
    const { partitions: all } = await stream.info()
    const total = all[partition]!.latestOffset + 1
    const last = new Map<number, number>()
    for (let offset = 0; offset < total; ) {
      const messages = await stream.read({ partition, offset, max: 10_000 })
      for (const message of messages) {
        expect(message.offset).toBe(offset++)
        const { writer, n } = message.payload
        const name = `${writer} ${n}`
        expect(found.has(name), `${name} is there twice`).toBe(false)
        found.set(name, message.offset)
        expect(n, 'the order of one writer').toBeGreaterThan(last.get(writer) ?? -1)
        last.set(writer, n)
      }
    }
    await until(`the reader of partition ${partition} has read all`, () => seen[partition] === total)
  }
  // All calls ended well, so what is there is what was acknowledged.
  expect(found.size).toBe(acknowledged.size)
  for (const [name, { offset }] of acknowledged) expect(found.get(name), name).toBe(offset)
  stop.abort()
  expect((await Promise.all(reading)).map((error) => (error as Error).name)).toEqual(Array.from({ length: partitions }, () => 'AbortError'))
})
