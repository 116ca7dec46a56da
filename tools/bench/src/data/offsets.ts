import { Millrace } from '@millrace/client'
import { percentile } from '../statistics.ts'
import { startMillrace } from '../systems/millrace-server.ts'

const perWrite = 10_000
const perRead = 100
const reads = 500

/** What a read costs at a place of a stream. */
export interface OffsetFigures {
  readonly offset: number
  /** Milliseconds of a read of 100 messages. */
  readonly p50: number
  readonly p99: number
}

/**
 * Reads near the beginning and near the end of a long partition, taking turns, each time from another offset.
 *
 * @param messages - how many the partition has.
 */
export async function measureOffsets(options: {
  readonly parentDir: string
  readonly sources: boolean
  readonly store?: string
  readonly messages: number
}): Promise<readonly OffsetFigures[]> {
  const { messages } = options
  const server = await startMillrace(options)
  const mr = new Millrace({ ...server.address, namespace: `offsets-${process.pid}` })
  try {
    const stream = mr.stream<number>('long')
    for (let n = 0; n < messages; n += perWrite) {
      const count = Math.min(perWrite, messages - n)
      await stream.write(Array.from({ length: count }, (_, i) => ({ payload: n + i })))
      if ((n / perWrite) % 100 === 99) console.error(`  ${((n + count) / 1e6).toFixed(1)} million messages written`)
    }
    const places = [0, messages - reads - perRead]
    const times = new Map<number, number[]>(places.map((place) => [place, []]))
    for (let i = 0; i < reads; i++) {
      for (const place of places) {
        const offset = place + i
        const start = performance.now()
        const found = await stream.read({ offset, max: perRead })
        times.get(place)!.push(performance.now() - start)
        if (found.length === 0 || found[0]!.payload !== offset) throw new Error(`offset ${offset} is not there`)
      }
    }
    return places.map((offset) => ({ offset, p50: percentile(times.get(offset)!, 0.5), p99: percentile(times.get(offset)!, 0.99) }))
  } finally {
    await mr.close()
    await server.stop()
  }
}
