import { expect, test } from 'vitest'
import { ManualClock } from '../testing/manual-clock.ts'
import { Batches } from './batches.ts'

function setUp(handle: (jobs: readonly number[]) => unknown, size = 3) {
  const clock = new ManualClock()
  return { clock, batches: new Batches<number>({ clock, size, waitMs: 100, handle }) }
}

test('a full batch is handled at once, another when its first job has waited', async () => {
  const seen: (readonly number[])[] = []
  const { clock, batches } = setUp((jobs) => {
    seen.push(jobs)
    return jobs.map((n) => n * 10)
  })
  const results = Promise.all([1, 2, 3, 4].map((n) => batches.add(n)))
  expect(seen).toEqual([[1, 2, 3]])
  clock.advance(99)
  expect(seen).toHaveLength(1)
  clock.advance(1)
  expect(seen).toEqual([[1, 2, 3], [4]])
  expect(await results).toEqual([10, 20, 30, 40])
})

test('each job has a result of its own; nothing is one too', async () => {
  const { batches } = setUp((jobs) => jobs.map((n) => (n === 2 ? new Error('two') : n)))
  const [one, two, three] = await Promise.allSettled([1, 2, 3].map((n) => batches.add(n)))
  expect([one, three]).toEqual([
    { status: 'fulfilled', value: 1 },
    { status: 'fulfilled', value: 3 },
  ])
  expect(two).toMatchObject({ status: 'rejected', reason: { message: 'two' } })
  const quiet = setUp(() => undefined, 1)
  expect(await quiet.batches.add(1)).toBeUndefined()
})

test('what the handler throws fails all, and so do results that do not fit', async () => {
  const throwing = setUp(() => {
    throw new Error('all')
  }, 2)
  const failed = await Promise.allSettled([1, 2].map((n) => throwing.batches.add(n)))
  expect(failed.map((result) => result.status)).toEqual(['rejected', 'rejected'])
  const short = setUp(() => [1], 2)
  const wrong = await Promise.allSettled([1, 2].map((n) => short.batches.add(n)))
  expect(wrong[0]).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('array of 2') } })
})
