import { expect, it } from 'vitest'
import { StageResults } from './stage-results.ts'

const mebi = 1024 * 1024

/** Results of 10 MiB each, and what was fetched of them. */
function setUp() {
  const fetched: string[] = []
  const fetch = async (pipelineId: string, stage: string) => {
    fetched.push(`${pipelineId} ${stage}`)
    if (stage === 'missing') throw new Error('There is none.')
    return { result: new Uint8Array(10 * mebi), contentType: '' }
  }
  return { results: new StageResults(fetch), fetched }
}

it('a result is fetched once for all jobs that are given it', async () => {
  const { results, fetched } = setUp()
  const [first, second] = await Promise.all([results.get('a', 's'), results.get('a', 's')])
  expect(second).toBe(first)
  expect(await results.get('a', 's')).toBe(first)
  await results.get('b', 's')
  expect(fetched).toEqual(['a s', 'b s'])
})

it('one that could not be fetched is fetched again', async () => {
  const { results, fetched } = setUp()
  for (let i = 0; i < 2; i++) await expect(results.get('a', 'missing')).rejects.toThrow('There is none.')
  expect(fetched).toHaveLength(2)
})

it('those that were used last are kept, within its bounds', async () => {
  const { results, fetched } = setUp()
  for (const stage of ['1', '2', '3', '1', '4', '1', '3', '2']) await results.get('a', stage)
  expect(fetched).toEqual(['a 1', 'a 2', 'a 3', 'a 4', 'a 2'])
})

it('results without bytes are not kept without end', async () => {
  const fetched: string[] = []
  const results = new StageResults(async (_, stage) => {
    fetched.push(stage)
    return { result: new Uint8Array(0), contentType: '' }
  })
  const stages = Array.from({ length: 32_769 }, (_, i) => String(i))
  for (const stage of [...stages, '1', '0']) await results.get('a', stage)
  expect(fetched.slice(stages.length)).toEqual(['0'])
})
