import { expect, it } from 'vitest'
import { ListCache } from './list-cache.ts'
import type { Program } from './program.ts'
import { resultSize, stageResult } from './stage-results.ts'

const mebi = 1024 * 1024

/** Carries a program out over one stage with a list of two results; says what it came to, and how often it read the results. */
function carryOut<T>(program: Program<T>, finishedAt = 1): [T, number] {
  const results = ['1', '2'].map((text, item) => ({ item, data: new TextEncoder().encode(text), content_type: null }))
  let reads = 0
  let step = program.next([])
  while (!step.done) {
    const { sql } = step.value
    const isResults = sql.includes('stage_results')
    if (isResults) reads++
    const sizes = [{ size: 2 }]
    step = program.next(isResults ? (sql.includes('sum(') ? sizes : results) : [{ items: 2, state: 5, finished_at: finishedAt }])
  }
  return [step.value, reads]
}

it('a list is put together once, however many jobs are given it, and anew when its stage was done anew', () => {
  const lists = new ListCache()
  const size = () => carryOut(resultSize({ tenant: 1, pipeline: 2, stage: 3, finishedAt: 1 }, lists))
  const read = (finishedAt?: number) => {
    const [result, reads] = carryOut(stageResult(1, 2, 3, lists), finishedAt)
    return [new TextDecoder().decode(result!.data), reads]
  }
  expect([size(), size()]).toEqual([
    [2, 1],
    [2, 0],
  ])
  expect([read(), read(), read()]).toEqual([
    ['[1,2]', 1],
    ['[1,2]', 0],
    ['[1,2]', 0],
  ])
  expect(size()).toEqual([2, 0])
  expect(read(2)).toEqual(['[1,2]', 2])
})

it('keeps the lists that were used last, within its bounds', () => {
  const lists = new ListCache()
  const name = (stage: number) => ({ tenant: 1, pipeline: 1, stage, finishedAt: 1 })
  const add = (stage: number) => lists.set(name(stage), { size: 1, result: { data: new Uint8Array(10 * mebi), contentType: '' } })
  const kept = () => [1, 2, 3, 4].filter((stage) => lists.get(name(stage)))
  for (const stage of [1, 2, 3]) add(stage)
  expect(kept()).toEqual([1, 2, 3])
  lists.get(name(1))
  add(4)
  expect(kept()).toEqual([1, 3, 4])
  // The same again is no second one.
  for (let i = 0; i < 10; i++) add(4)
  expect(kept()).toEqual([1, 3, 4])
})
