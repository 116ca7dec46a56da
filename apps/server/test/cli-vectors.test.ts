import { expect, it } from 'vitest'
import { run, withServer } from './cli-runner.ts'

it('makes, fills, searches and drops a collection of vectors', { timeout: 120_000 }, async () => {
  const { cli, env } = await withServer()
  expect((await cli('vectors', 'create', 'points', '--dimension', '2', '--metric', 'l2')).stdout).toBe('points created\n')
  expect((await cli('vectors', 'create', 'points', '--dimension', '2', '--metric', 'l2')).stdout).toBe('points is there already\n')
  const lines = ['{"id":"a","vector":[1,0],"metadata":{"kind":"x"}}', '', '{"id":"b","vector":[0,1],"text":"round stone"}']
  expect((await run(['vectors', 'upsert', 'points'], env, lines.join('\n'))).stdout).toBe('2 items\n')
  expect((await cli('vectors', 'list')).stdout).toMatch(/points +2 +l2 +m 16, ef 64 +simple/)
  expect((await cli('vectors', 'search', 'points', '[1,0]', '--filter', 'kind=eq.x')).stdout).toMatch(/^a +1\.0000 +{"kind": ?"x"}$/m)
  expect(
    (await cli('vectors', 'search', 'points', '[1,0]', '--text', 'stone', '--json'))
      .json()
      .map(({ id }) => id)
      .toSorted(),
  ).toEqual(['a', 'b'])
  expect(await cli('vectors', 'search', 'points', '[1]')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("has 1 numbers; vectors of 'points' have 2"),
  })
  expect(await cli('vectors', 'search', 'points', 'near')).toMatchObject({ code: 2 })
  expect(await run(['vectors', 'upsert', 'points'], env, '{"id":"a"}')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('line 1: has no vector'),
  })
  expect((await cli('vectors', 'drop', 'points')).stdout).toBe('points dropped\n')
  expect(await cli('vectors', 'drop', 'points')).toMatchObject({ code: 1 })
})
