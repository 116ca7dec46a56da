import { ConflictError, type Stream } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()
const newStream = <T = unknown>() => fixture.client().stream<T>(freshName('stream'))
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => ({ payload: from + i }))

describe('groups that share the partitions', () => {
  interface Consumer {
    readonly seen: string[]
    assigned: readonly number[]
    end(): void
    ended: Promise<unknown>
  }

  /** A member that commits what it gets. */
  function join(stream: Stream<number>, group = 'g'): Consumer {
    const stop = new AbortController()
    const consumer: Consumer = { seen: [], assigned: [], end: () => stop.abort(), ended: Promise.resolve() }
    const consume = async () => {
      const messages = stream.subscribe({ group, signal: stop.signal, onAssigned: (partitions) => (consumer.assigned = partitions) })
      for await (const message of messages) {
        consumer.seen.push(`${message.partition} ${message.offset}`)
        await message.commit()
      }
    }
    consumer.ended = consume().catch((error: Error) => error.name)
    return consumer
  }
  const evenly = (...consumers: Consumer[]) =>
    until('the partitions are shared', () => consumers.every(({ assigned }) => assigned.length === 4 / consumers.length))

  test('evenly, anew when one comes or goes; nothing is lost', async () => {
    const stream = newStream<number>()
    await stream.create({ partitions: 4 })
    const write = async () => {
      for (const partition of [0, 1, 2, 3]) await stream.write(numbers(50).map((message) => ({ ...message, partition })))
    }
    const [a, b] = [join(stream), join(stream)]
    await evenly(a, b)
    expect([...a.assigned, ...b.assigned].sort()).toEqual([0, 1, 2, 3])
    await write()
    await until('all came', () => a.seen.length + b.seen.length === 200)
    expect(new Set([...a.seen, ...b.seen]).size).toBe(200)
    a.end()
    expect(await a.ended).toBe('AbortError')
    await evenly(b)
    await write()
    await until('all came', () => b.seen.length === 300)
    await until('all is committed', async () => (await stream.group('g').states()).every(({ lag }) => lag === 0))
    b.end()
    await b.ended
  })

  test('also when the server crashes', async () => {
    const stream = newStream<number>()
    await stream.create({ partitions: 4 })
    const [a, b] = [join(stream), join(stream)]
    await evenly(a, b)
    await fixture.server.kill()
    a.assigned = b.assigned = []
    await fixture.server.restart()
    await evenly(a, b)
    for (const partition of [0, 1, 2, 3]) await stream.write([{ payload: 1, partition }])
    await until('all came', () => new Set([...a.seen, ...b.seen]).size === 4)
    for (const consumer of [a, b]) consumer.end()
    await Promise.all([a.ended, b.ended])
  })

  test('from latest, what comes after the group began is not lost, though nothing was committed', async () => {
    const [namespace, name] = [freshName(), freshName('stream')]
    const stream = fixture.client({ namespace }).stream<number>(name)
    await stream.create({ partitions: 2 })
    await stream.write([{ payload: -1, partition: 0 }])
    const seen: number[] = []
    let assigned: readonly number[] = []
    const stop = new AbortController()
    const reading = (async () => {
      const onAssigned = (partitions: readonly number[]) => {
        assigned = partitions
      }
      for await (const { payload } of stream.subscribe({ group: 'g', from: 'latest', signal: stop.signal, onAssigned })) seen.push(payload)
    })().catch((error: Error) => error.name)
    await until('it has begun', () => assigned.length === 2)
    await fixture.server.kill()
    await fixture.server.restart()
    // By one who was not there: it has no connection to wait for.
    const other = fixture.client({ namespace }).stream<number>(name)
    for (const partition of [0, 1]) await other.write([{ payload: partition, partition }])
    await until('all came', () => seen.length === 2)
    expect(seen.sort()).toEqual([0, 1])
    stop.abort()
    expect(await reading).toBe('AbortError')
    expect((await stream.group('g').state(0)).committedOffset).toBe(0)
    const again = stream.subscribe({ group: 'g', from: 'latest' })
    expect((await again.next()).value).toMatchObject({ partition: 0, offset: 1 })
    await again.return!()
  })

  test('one that has none of them ends when the stream is deleted', async () => {
    const stream = newStream<number>()
    await stream.write(numbers(1))
    const consumers = [join(stream), join(stream)]
    await until('one has it', () => consumers.some(({ seen }) => seen.length === 1))
    await stream.delete()
    expect(await Promise.all(consumers.map(({ ended }) => ended))).toEqual(['NotFoundError', 'NotFoundError'])
  })

  test('the commit of a member that lost its partition is refused', async () => {
    const stream = newStream<number>()
    await stream.write(numbers(3))
    const first = stream.subscribe({ group: 'g' })
    const held = (await first.next()).value!
    await first.return!()
    const second = stream.subscribe({ group: 'g' })
    expect((await second.next()).value).toMatchObject({ offset: 0 })
    await expect(held.commit()).rejects.toBeInstanceOf(ConflictError)
    await second.return!()
  })
})
