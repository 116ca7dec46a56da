import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { useServer } from '../harness/fixture.ts'
import { createRandom, testSeed } from '../harness/random.ts'

const fixture = useServer()
const rounds = 30

test('a worker that leaves in the middle of the rush keeps no job: those on their way to it go back unspent', async () => {
  const random = createRandom(testSeed())
  const mr = fixture.client()
  const queue = mr.queue<number>('rush')
  const attempts = new Set<number>()
  for (let round = 0; round < rounds; round++) {
    const worker = mr.worker<number>({
      queue: 'rush',
      concurrency: 20,
      lease: '10m',
      handler: async (_job, ctx) => void attempts.add(ctx.attempt),
    })
    await worker.start()
    const enqueued = queue.enqueueBatch(Array.from({ length: 500 }, (_, payload) => ({ payload })))
    await sleep(random.int(0, 30))
    await worker.stop()
    await enqueued
    await expect.poll(async () => (await queue.stats()).processing, { timeout: 10_000 }).toBe(0)
  }
  expect([...attempts]).toEqual([1])
})

test('leaving deliveries() in the middle keeps no job either', async () => {
  const random = createRandom(testSeed())
  const queue = fixture.client().queue<number>('left')
  await queue.enqueueBatch(Array.from({ length: 5000 }, (_, payload) => ({ payload })))
  const attempts = new Set<number>()
  for (let round = 0; round < rounds; round++) {
    let left = random.int(1, 40)
    const settled: Promise<void>[] = []
    for await (const job of queue.deliveries({ concurrency: random.int(1, 30), lease: '10m' })) {
      attempts.add(job.attempt)
      settled.push(job.complete())
      if (--left === 0) break
    }
    await Promise.all(settled)
    await expect.poll(async () => (await queue.stats()).processing, { timeout: 10_000 }).toBe(0)
  }
  expect([...attempts]).toEqual([1])
})
