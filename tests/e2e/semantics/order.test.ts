import { expect, test } from 'vitest'
import { useServer } from '../harness/fixture.ts'
import { createRandom, testSeed } from '../harness/random.ts'

const fixture = useServer()

test('higher priority first, then oldest first, however jobs are taken', async () => {
  const random = createRandom(testSeed())
  const mr = fixture.client()
  for (const way of ['receive', 'deliveries', 'worker'] as const) {
    const queue = mr.queue<number>(way)
    await queue.pause()
    const jobs = Array.from({ length: 120 }, (_, n) => ({ n, priority: random.pick([-100, -10, 0, 0, 0, 10, 100]) }))
    for (const { n, priority } of jobs) await queue.enqueue(n, { priority })
    await queue.resume()
    const expected = jobs.sort((a, b) => b.priority - a.priority || a.n - b.n).map(({ n }) => n)

    const seen: number[] = []
    if (way === 'receive') {
      for (let i = 0; i < 12; i++) for (const job of await queue.receive({ max: 10 })) seen.push(job.payload)
    } else if (way === 'deliveries') {
      for await (const job of queue.deliveries({ concurrency: 7 })) {
        seen.push(job.payload)
        await job.complete()
        if (seen.length === jobs.length) break
      }
    } else {
      const worker = mr.worker<number>({ queue: way, concurrency: 1, handler: async (job) => seen.push(job.payload) })
      const done = new Promise<void>((resolve) => worker.on('completed', () => seen.length === jobs.length && resolve()))
      await worker.start()
      await done
      await worker.stop()
    }
    expect([way, seen]).toEqual([way, expected])
  }
})

test('task priorities by name', async () => {
  const mr = fixture.client()
  const submitted: string[] = []
  for (const priority of ['low', 'critical', 'normal', 'high'] as const)
    submitted.push((await mr.tasks.submit({ payload: priority, priority })).taskId)
  const seen: unknown[] = []
  const worker = mr.worker({ concurrency: 1, tasks: { default: async (payload) => seen.push(payload) } })
  await worker.start()
  await mr.tasks.waitBatch(submitted)
  await worker.stop()
  expect(seen).toEqual(['critical', 'high', 'normal', 'low'])
})

test('a job that comes late with a higher priority overtakes those that wait', async () => {
  const queue = fixture.client().queue<string>('overtake')
  await queue.enqueue('usual', { priority: 0 })
  await queue.enqueue('urgent', { priority: 1 })
  expect((await queue.reserve())?.payload).toBe('urgent')
  expect((await queue.reserve())?.payload).toBe('usual')
})
