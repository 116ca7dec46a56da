import { expect, test } from 'vitest'
import { clientOf, freshName } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'
import { until } from '../harness/until.ts'

test('ended jobs go after their retention, each kind after its own; waiting ones stay', { timeout: 90_000 }, async () => {
  await using server = await startServer({
    flags: ['--retention-completed', '1s', '--retention-cancelled', '1s', '--retention-failed', '1h'],
  })
  const mr = clientOf(server, { namespace: freshName() })
  const queue = mr.queue<string>('kept')
  for (const payload of ['completed', 'failed', 'cancelled', 'pending']) await queue.enqueue(payload, { maxAttempts: 1 })
  const [completed, failed, cancelled] = await queue.receive({ max: 3 })
  await completed!.complete('result')
  await failed!.fail(new Error('no'))
  await queue.cancel(cancelled!.id)
  const statusOf = (id: string) =>
    queue.get(id).then(
      ({ status }) => status as string,
      (error: { code: string }) => error.code,
    )
  const statuses = () => Promise.all([completed, failed, cancelled].map((job) => statusOf(job!.id)))
  expect(await statuses()).toEqual(['completed', 'failed', 'cancelled'])
  await until('the completed job is gone', async () => (await statusOf(completed!.id)) === 'NOT_FOUND', { within: 60_000 })
  await until('so is the cancelled one', async () => (await statusOf(cancelled!.id)) === 'NOT_FOUND', { within: 60_000 })
  expect(await statuses()).toEqual(['NOT_FOUND', 'failed', 'NOT_FOUND'])
  expect(await queue.stats()).toMatchObject({ pending: 1, dead: 1, completed: 1, cancelled: 1, total: 4 }) // what was counted stays counted
})
