import { expect, it } from 'vitest'
import { withServer } from './cli-runner.ts'

it('schedules are made, changed, paused, triggered and deleted', async () => {
  const { cli } = await withServer()
  const made = await cli('schedules', 'create', 'nightly', '{"n":1}', '--cron', '0 3 * * *', '--function', 'report', '--jitter', '1m')
  expect(made.stdout).toMatch(/^schedule +nightly\ntimes +0 3 \* \* \* UTC\n/)
  const shown = async (...change: string[]) => (await cli('schedules', 'update', 'nightly', ...change, '--json')).json()[0]
  const before = { cron: '0 3 * * *', timezone: 'UTC', payload: { n: 1 }, overlap: 'skip', catchUp: 1, jitterMs: 60_000 }
  expect(await shown()).toMatchObject(before)
  expect(await shown('--timezone', 'Europe/Berlin', '--overlap', 'queue')).toMatchObject({
    ...before,
    timezone: 'Europe/Berlin',
    overlap: 'queue',
  })
  const zeros = { catchUp: 0, jitterMs: 0 }
  expect(await shown('{"n":2}', '--catch-up', '0', '--jitter', '0')).toMatchObject({ cron: '0 3 * * *', payload: { n: 2 }, ...zeros })
  expect(await shown('--every', '15m')).toMatchObject({ cron: '', everyMs: 900_000, payload: { n: 2 }, overlap: 'queue', ...zeros })
  expect((await cli('schedules', 'update', 'nightly', '--cron', '0 25 * * *')).stderr).toContain('cron: Invalid value for hour: 25')
  expect((await cli('schedules', 'update', 'nightly', '--at', 'soon')).stderr).toContain("'soon' is not a time")
  expect((await cli('schedules', 'update', 'weekly', '--every', '1h')).stderr).toContain("no schedule 'weekly'")
  expect((await cli('schedules', 'pause', 'nightly')).stdout).toMatch(/paused +yes/)
  expect((await cli('schedules', 'resume', 'nightly')).stdout).not.toContain('paused')
  expect((await cli('schedules', 'trigger', 'nightly')).stdout).toMatch(/^task_/)
  expect((await cli('schedules', 'history', 'nightly')).stdout).toMatch(/triggered +submitted +task_/)
  expect((await cli('schedules', 'list')).stdout).toMatch(/nightly +every 15m +report/)
  expect((await cli('schedules', 'delete', 'nightly')).stdout).toBe('nightly deleted\n')
})
