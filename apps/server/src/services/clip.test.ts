import { expect, it } from 'vitest'
import { clip } from './clip.ts'

it.each([
  ['short', 100, 'short'],
  ['12345', 5, '12345'],
  ['123456', 5, '12345'],
  ['漢字', 6, '漢字'],
  ['漢字', 5, '漢'],
  ['a🙂b', 4, 'a'],
  ['a🙂b', 5, 'a🙂'],
  ['🙂', 3, ''],
])('keeps whole characters: %j in %i bytes', (text, max, kept) => {
  expect(clip(text, max)).toBe(kept)
})
