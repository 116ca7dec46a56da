import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeSeq, encodeSeq, formatId, parseId, parseJobId } from './ids.ts'

const seqs = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })

describe('ids', () => {
  it('come back as the number they were made of', () => {
    fc.assert(fc.property(seqs, (seq) => decodeSeq(encodeSeq(seq)) === seq))
  })

  it('sort as their numbers do', () => {
    fc.assert(
      fc.property(
        seqs,
        seqs,
        (a, b) => Math.sign(a - b) === Math.sign(Number(encodeSeq(a) > encodeSeq(b)) - Number(encodeSeq(a) < encodeSeq(b))),
      ),
    )
  })

  it('are refused when anything about them is wrong', () => {
    const good = formatId('task', 123456789)
    expect(parseId('task', good)).toBe(123456789)
    expect(parseJobId(good)).toBe(123456789)
    for (const bad of [
      '',
      'task_',
      good.slice(0, -1),
      `${good}0`,
      good.toUpperCase(),
      good.replace('task', 'batch'),
      `task_${'z'.repeat(11)}`,
      'task_0000000000u',
    ]) {
      expect(parseId('task', bad)).toBeUndefined()
    }
  })
})
