import { payloadSource } from '../payloads.ts'
import { percentile } from '../statistics.ts'
import type { Payload } from '../systems/client.ts'
import type { DataSystem } from './system.ts'

/** How much is done in one round. */
export interface DataSizes {
  readonly payloadBytes: number
  /** Messages written one by one, keys set and read. */
  readonly singles: number
  /** Messages written in batches, and read from the beginning. */
  readonly batched: number
  readonly deliveries: number
}

/** Operations a second, and milliseconds. */
export interface DataFigures {
  readonly write: number
  readonly writeMany: number
  readonly read: number
  readonly deliveryP50: number
  readonly deliveryP99: number
  readonly set: number
  readonly get: number
  /** NaN: the system has none. */
  readonly transact: number
}

const callers = 256
const batchSize = 500
const batchCallers = 4
const transactors = 64
const keys = 10_000

/** Measures one system once, on a stream of its own. Throws when a message or value is missing or wrong. */
export async function measureData(system: DataSystem, stream: string, sizes: DataSizes): Promise<DataFigures> {
  const next = payloadSource(sizes.payloadBytes)
  const write = await rate(sizes.singles, callers, () => system.write(stream, next()))
  const batches = sizes.batched / batchSize
  const writeMany = await rate(batches, batchCallers, () => {
    return system.writeMany(
      stream,
      Array.from({ length: batchSize }, () => next()),
    )
  })
  const read = await readAll(system, stream, sizes.singles + sizes.batched)
  const { p50, p99 } = await deliveries(system, `${stream}-latency`, sizes.deliveries, next)
  const set = await rate(sizes.singles, callers, (i) => system.set(`key.${i % keys}`, next()))
  const get = await rate(sizes.singles, callers, async (i) => {
    const value = (await system.get(`key.${i % keys}`)) as Payload | undefined
    if (value?.data === undefined) throw new Error(`${system.title} lost key.${i % keys}`)
  })
  const { transact } = system
  const transactions = transact
    ? await rate(sizes.singles / 4, transactors, (i) => transact(`${stream}-mixed`, `key.${i % keys}`, next()))
    : Number.NaN
  return { write, writeMany: writeMany * batchSize, read, deliveryP50: p50, deliveryP99: p99, set, get, transact: transactions }
}

/** Calls a second, so many at a time. */
async function rate(total: number, atOnce: number, call: (i: number) => Promise<unknown>): Promise<number> {
  let next = 0
  const start = performance.now()
  const caller = async () => {
    while (next < total) await call(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, caller))
  return (total / (performance.now() - start)) * 1000
}

async function readAll(system: DataSystem, stream: string, total: number): Promise<number> {
  const seen = new Uint8Array(total)
  let count = 0
  let done = () => {}
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  const start = performance.now()
  await using _subscription = await system.subscribe(stream, 'beginning', ({ i }) => {
    seen[i]! += 1
    if (++count === total) done()
  })
  await all
  const seconds = (performance.now() - start) / 1000
  if (seen.some((times) => times !== 1)) throw new Error(`${system.title} gave messages not at all, or twice`)
  return total / seconds
}

/** From before a write to its message at a subscriber, one at a time. */
async function deliveries(system: DataSystem, stream: string, count: number, next: () => Payload) {
  await system.write(stream, next())
  let arrived = () => {}
  await using _subscription = await system.subscribe(stream, 'now', () => arrived())
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const delivered = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const start = performance.now()
    const written = system.write(stream, next())
    await delivered
    times.push(performance.now() - start)
    await written
  }
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) }
}
