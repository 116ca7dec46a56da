import { expect, it } from 'vitest'
import { payloadSource, tally } from './payloads.ts'

it('numbers payloads of the asked size', () => {
  const next = payloadSource(200)
  expect(next().i).toBe(0)
  const payload = next()
  expect(payload.i).toBe(1)
  expect(JSON.stringify({ ...payload, i: 123_456 }).length).toBe(200)
})

it('notices a job that was missed or seen twice', () => {
  const job = (i: number) => ({ i, data: '' })
  const good = tally(2)
  good.see(job(1))
  good.see(job(0))
  expect(good.problems()).toEqual([])
  const twice = tally(2)
  for (const i of [0, 1, 1]) twice.see(job(i))
  expect(twice.problems()).toEqual(['handlers saw 2 of 2 jobs in 3 calls'])
  const missed = tally(2)
  for (const i of [0, 0]) missed.see(job(i))
  expect(missed.problems()).toEqual(['handlers saw 1 of 2 jobs in 2 calls'])
})
