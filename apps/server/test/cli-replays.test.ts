import { expect, it } from 'vitest'
import { withServer } from './cli-runner.ts'

it('replays are created, started, paused, listed, stopped and deleted', async () => {
  const { cli } = await withServer()
  for (const payload of ['1', '2', '3']) await cli('streams', 'write', 'orders', payload)
  expect((await cli('replays', 'create', 'orders', 'debug', '--from', '1')).stdout).toBe('debug: ready, 0 of 2 messages processed\n')
  expect((await cli('replays', 'create', 'orders', 'x', '--from-time', 'soon')).stderr).toContain("'soon' is not a time")
  expect((await cli('replays', 'start', 'orders', 'debug')).stdout).toContain('running')
  expect((await cli('replays', 'pause', 'orders', 'debug', '--json')).json()).toMatchObject([{ group: 'debug', state: 'paused' }])
  expect((await cli('replays', 'resume', 'orders', 'debug')).stdout).toContain('running')
  expect((await cli('replays', 'list', 'orders')).stdout).toContain('debug')
  expect((await cli('replays', 'stop', 'orders', 'debug')).stdout).toContain('stopped')
  expect((await cli('replays', 'start', 'orders', 'debug')).stderr).toContain('cannot become running')
  expect((await cli('replays', 'delete', 'orders', 'debug')).stdout).toBe('debug deleted\n')
})
