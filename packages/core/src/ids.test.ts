import { expect, test } from 'vitest'
import { createRequestId } from './ids.ts'

test('request ids sort by time and do not repeat', () => {
  const times = [0, 1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 2 ** 48]
  const ids = times.map(createRequestId)
  expect([...ids].sort()).toEqual(ids)
  expect(new Set(Array.from({ length: 10_000 }, () => createRequestId(5))).size).toBe(10_000)
  for (const id of ids) expect(id).toMatch(/^[0-9a-z]{26}$/)
})
