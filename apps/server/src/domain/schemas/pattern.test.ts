import { expect, test } from 'vitest'
import { sizeOfPattern } from './pattern.ts'

test.each<[string, number]>([
  ['abc', 3],
  ['(ab){3}', 12],
  ['a{2,5}b{2,}c{4}', 12],
  ['((a{10}){10}){10}', 1220],
  ['(ab){3}c{5}', 17],
  // What looks like a bracket or a repetition, and is none.
  ['a\\)b{3}', 5],
  ['([)]a){3}', 12],
  ['([])]a){3}', 12],
  ['[[:alpha:])]{3}', 3],
  ['(\\Q)\\Eaaaa){3}', 33],
  ['x{,5}', 5],
  ['[{3}]', 1],
])('%s comes to %i', (pattern, size) => {
  expect(sizeOfPattern(pattern)).toBe(size)
})
