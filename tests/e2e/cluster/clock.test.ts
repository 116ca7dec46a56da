import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { clientOf, startWorker } from '../harness/fixture.ts'
import { needPostgres, startCluster } from './nodes.ts'

needPostgres()

test.each([5000, -5000])(
  'a server whose clock is wrong by %i ms takes no job from a worker that is well, and keeps none',
  { timeout: 90_000 },
  async (skew) => {
    await using cluster = await startCluster({ skews: [0, skew] })
    const [right, wrong] = cluster.nodes.map(({ server }) => clientOf(server, { namespace: 'clock' }))
    for (const [worker, producer] of [
      [right!, wrong!],
      [wrong!, right!],
    ] as const) {
      const queue = `of-${worker === right ? 'right' : 'wrong'}`
      const attempts: number[] = []
      const handler = async (_job: unknown, { attempt }: { attempt: number }) => {
        attempts.push(attempt)
        await sleep(3500)
        return Date.now()
      }
      await startWorker(worker.worker({ queue, lease: '3s', handler }))
      const began = Date.now()
      const { jobId } = await producer.queue(queue).enqueue(1, { delay: 500 })
      await expect.poll(async () => (await producer.queue(queue).get(jobId)).status, { timeout: 25_000 }).toBe('completed')
      expect(attempts).toEqual([1])
      const { createdAt, result } = await right!.queue(queue).get(jobId)
      expect(Math.abs(createdAt.getTime() - began)).toBeLessThan(4000)
      // It was not early.
      expect(Number(result) - began).toBeGreaterThanOrEqual(3900)
    }
  },
)
