import { setTimeout as sleep } from 'node:timers/promises'
import { Millrace } from '@millrace/client'
import { expect, onTestFinished, test } from 'vitest'
import { startWorker } from '../harness/fixture.ts'
import { createRandom, testSeed } from '../harness/random.ts'
import { needPostgres, startCluster } from './nodes.ts'

needPostgres()

/** Longer than any test: a job left behind under a lease would be seen. */
const lease = '10m'
const jobs = 3000

test('a server that is asked to stop hands its streams over: no job waits for the end of a lease', { timeout: 60_000 }, async () => {
  const random = createRandom(testSeed())
  await using cluster = await startCluster({ skews: [0, 0] })
  const { endpoint, key } = cluster
  const client = () => {
    const mr = new Millrace({ endpoint, apiKey: key, namespace: 'drain', logger: { debug() {}, info() {}, warn() {}, error() {} } })
    onTestFinished(() => mr.close())
    return mr
  }
  const attempts: number[] = []
  const handler = async (_job: unknown, ctx: { readonly attempt: number }) => {
    attempts.push(ctx.attempt)
    await sleep(random.int(0, 5))
  }
  for (let i = 0; i < 4; i++) await startWorker(client().worker({ queue: 'q', concurrency: 10, lease, handler }))
  const queue = client().queue('q')
  const done = async () => (await queue.stats()).completed
  const enqueued = queue.enqueueBatch(Array.from({ length: jobs }, (_, payload) => ({ payload })))
  for (const { server } of [...cluster.nodes, ...cluster.nodes]) {
    await sleep(random.int(100, 400))
    expect(await server.stop()).toMatchObject({ code: 0 })
    await server.restart()
  }
  await enqueued
  await expect.poll(done, { timeout: 20_000, interval: 100 }).toBe(jobs)
  expect(await queue.stats()).toMatchObject({ processing: 0, pending: 0, failed: 0 })
  // What a server had claimed, and a worker had not begun, went back without an attempt.
  expect(attempts.filter((attempt) => attempt > 1)).toEqual([])
})
