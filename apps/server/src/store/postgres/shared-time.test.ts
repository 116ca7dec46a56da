import { expect, it } from 'vitest'
import { SharedTime } from './shared-time.ts'

const ask = (time: SharedTime, ahead: number, tookMs: number) =>
  time.observe(1_000_000, 1_000_000 + ahead - tookMs / 2, 1_000_000 + ahead + tookMs / 2)

it('is the own clock while that is right, and Postgres’s when it is not', () => {
  const time = new SharedTime(() => 5_000)
  ask(time, 90, 2)
  expect(time.now()).toBe(5_000)
  ask(time, 5_000, 2)
  expect(time.now()).toBe(0)
  ask(time, -5_000, 2)
  expect(time.now()).toBe(10_000)
  ask(time, 0, 2)
  expect(time.now()).toBe(5_000)
})

it('does not follow what may be the time that the answer took', () => {
  const time = new SharedTime(() => 5_000)
  ask(time, 3_000, 8_000)
  expect(time.now()).toBe(5_000)
  ask(time, 5_000, 2)
  ask(time, 5_080, 2)
  expect(time.now()).toBe(0)
})
