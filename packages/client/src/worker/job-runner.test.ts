import { describe, expect, test } from 'vitest'
import { wireJob } from '../testing/job-server.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { gate } from '../testing/setup.ts'
import { HeldJob } from './held-job.ts'
import { JobRunner } from './job-runner.ts'

/** A runner whose handlers take as long as the test says. */
function setUpRunner(concurrency: number, handle: (id: string) => unknown = () => undefined) {
  const clock = new ManualClock()
  const ended: string[] = []
  const runner = new JobRunner({
    clock,
    concurrency,
    handle: (job) => handle(job.wire.jobId),
    returned: (job) => ended.push(job.wire.jobId),
    threw: (job, thrown) => ended.push(`${job.wire.jobId}: ${String(thrown)}`),
  })
  const holder = {
    now: () => clock.now(),
    report: () => undefined,
    resultOf: async () => ({ result: new Uint8Array(), contentType: '' }),
    renew: async () => new Date(),
  }
  const add = (...ids: string[]) => runner.add(ids.map((id) => new HeldJob(wireJob(id), 30_000, holder)))
  return { clock, runner, ended, add }
}

describe('prefetch', () => {
  test('is none before anything is known', () => {
    expect(setUpRunner(100).runner.prefetch).toBe(0)
  })

  test.each([
    [10, 0, 512],
    [1, 0, 512],
    [100, 1, 512],
    [10, 1, 128],
    [10, 10, 16],
    [10, 50, 4],
    [10, 100, 2],
    [1, 25, 1],
    [1, 26, 0],
    [10, 5000, 0],
    [5000, 5000, 16],
  ])('at concurrency %d with handlers of %d ms is %d', (concurrency, durationMs, prefetch) => {
    const { clock, runner, add } = setUpRunner(concurrency, () => clock.advance(durationMs))
    add('job_1')
    expect(runner.prefetch).toBe(prefetch)
  })

  test('follows handlers as they become longer, and shorter again', () => {
    let durationMs = 0
    const { clock, runner, add } = setUpRunner(10, () => clock.advance(durationMs))
    add('job_1')
    expect(runner.prefetch).toBe(512)
    durationMs = 1000
    for (let i = 0; i < 20; i++) add(`long_${i}`)
    expect(runner.prefetch).toBe(0)
    durationMs = 0
    for (let i = 0; i < 200; i++) add(`short_${i}`)
    expect(runner.prefetch).toBe(512)
  })
})

test('jobs that wait for long are given up, and no more are asked for', () => {
  const { clock, runner, add } = setUpRunner(1, (id) => (id === 'job_1' ? undefined : gate().passed))
  add('job_1')
  expect(runner.prefetch).toBe(512)
  add('job_2', 'job_3')
  clock.advance(600)
  add('job_4')
  expect(runner.takeStale()).toEqual([])
  clock.advance(400)
  expect(runner.takeStale().map((job) => job.wire.jobId)).toEqual(['job_3'])
  expect(runner.prefetch).toBe(0)
  expect(runner.takeWaiting().map((job) => job.wire.jobId)).toEqual(['job_4'])
})

test('handlers that throw at once make room too', async () => {
  const { runner, ended, add } = setUpRunner(1, (id) => {
    throw new Error(id)
  })
  add('job_1', 'job_2')
  expect(ended).toEqual(['job_1: Error: job_1', 'job_2: Error: job_2'])
  await runner.idle()
})
