import { expect, test } from 'vitest'
import { type Duration, toMs } from './durations.ts'
import { ValidationError } from './errors/errors.ts'

test.each<[Duration, number]>([
  [0, 0],
  [1500.4, 1500],
  ['500ms', 500],
  ['30s', 30_000],
  ['1.5s', 1500],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
])('%s is %d ms', (given, ms) => {
  expect(toMs('timeout', given)).toBe(ms)
})

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, '30', '30 s', '-5s', '', 's', '5w', null, {}])(
  '%s is refused by name',
  (given) => {
    expect(() => toMs('retry.maxDelay', given as Duration)).toThrow(ValidationError)
    expect(() => toMs('retry.maxDelay', given as Duration)).toThrow(/^retry\.maxDelay: /)
  },
)
