import { payloadSource } from '../payloads.ts'
import type { Sizes } from '../sizes.ts'
import type { SystemClient } from '../systems/client.ts'

/** Enqueues `count` jobs, numbered from 0, in batches. */
export async function fill(client: SystemClient, queue: string, count: number, sizes: Sizes): Promise<void> {
  const next = payloadSource(sizes.payloadBytes)
  let left = count
  const loop = async () => {
    while (left > 0) {
      const length = Math.min(sizes.batch, left)
      left -= length
      await client.enqueueBatch(queue, Array.from({ length }, next))
    }
  }
  await Promise.all(Array.from({ length: sizes.batchesInFlight }, loop))
}
