import { expect, it } from 'vitest'
import { nearest } from './suggest.ts'

it.each([
  ['gprc', 'grpc'],
  ['Payload-limt', 'payload-limit'],
  ['xyz', undefined],
  ['', undefined],
])('%j is met with %j', (word, meant) => {
  expect(nearest(word, ['grpc', 'data', 'payload-limit'])).toBe(meant)
})
