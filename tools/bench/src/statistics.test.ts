import { expect, it } from 'vitest'
import { median, percentile } from './statistics.ts'

it('finds the middle of any order', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(median([])).toBeNaN()
})

it('finds percentiles as numbers, not as text', () => {
  const values = Array.from({ length: 1000 }, (_, i) => 1000 - i)
  expect(percentile(values, 0.5)).toBe(501)
  expect(percentile(values, 0.99)).toBe(991)
  expect(percentile([10, 9], 1)).toBe(10)
  expect(percentile([], 0.5)).toBeNaN()
})
