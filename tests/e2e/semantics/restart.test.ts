import { expect, test } from 'vitest'
import { clientOf, freshName } from '../harness/fixture.ts'
import { type ServerProcess, startServer } from '../harness/server.ts'
import { until } from '../harness/until.ts'

const stubborn = { retry: { maxRetries: 100, initialDelay: 50, maxDelay: 200 }, circuitBreaker: false } as const

async function crash(server: ServerProcess): Promise<void> {
  await server.kill()
  await server.restart()
}

test('wait, waitBatch and watch go on across a crash of the server', async () => {
  await using server = await startServer()
  const mr = clientOf(server, stubborn)
  const handles = await Promise.all([1, 2, 3].map((payload) => mr.tasks.submit({ payload })))
  const ids = handles.map(({ taskId }) => taskId)
  const waiting = mr.tasks.wait(ids[0]!, { timeout: '60s' })
  const waitingForAll = mr.tasks.waitBatch(ids, { timeout: '60s' })
  const watching = (async () => {
    const seen: string[] = []
    for await (const { status } of mr.tasks.watch(ids[1]!)) seen.push(status)
    return seen
  })()
  const polling = mr.tasks.wait(ids[2]!, { timeout: '60s', pollInterval: 200 })
  await crash(server)
  await crash(server)
  const worker = mr.worker({ tasks: { default: async (payload) => payload } })
  await worker.start()
  expect(await waiting).toMatchObject({ taskId: ids[0], status: 'completed', result: 1 })
  expect((await waitingForAll).map(({ result }) => result)).toEqual([1, 2, 3])
  expect((await watching).at(-1)).toBe('completed')
  expect(await polling).toMatchObject({ status: 'completed', result: 3 })
  await worker.stop()
})

test('a task that ends while the server is away for its watcher is not missed', async () => {
  await using server = await startServer()
  const namespace = freshName()
  const mr = clientOf(server, { ...stubborn, namespace })
  const { taskId } = await mr.tasks.submit({ payload: {} })
  const waiting = mr.tasks.wait(taskId, { timeout: '60s' })
  await until('it is pending', async () => (await mr.tasks.status(taskId)).status === 'pending')
  await server.kill()
  await server.restart()
  const other = clientOf(server, { namespace })
  await other.ready()
  await other.tasks.cancel(taskId)
  expect((await waiting).status).toBe('cancelled')
})

test('a lease outlives the server: what a worker holds it can settle after a crash', async () => {
  await using server = await startServer()
  const mr = clientOf(server, stubborn)
  const queue = mr.queue<string>('held')
  await queue.enqueue('x')
  const job = (await queue.reserve({ lease: '60s' }))!
  await crash(server)
  expect(await queue.receive({ wait: 300 })).toEqual([]) // it is still held
  await job.renew('60s')
  await job.complete('after all')
  expect(await queue.get(job.id)).toMatchObject({ status: 'completed', attempts: 1, result: 'after all' })
})

test('a handler that ends while the server is away has its result recorded once it is back', async () => {
  await using server = await startServer()
  const mr = clientOf(server, stubborn)
  const gate = Promise.withResolvers<string>()
  const started = Promise.withResolvers<void>()
  let runs = 0
  const work = () => {
    runs++
    started.resolve()
    return gate.promise
  }
  const worker = mr.worker({ lease: '60s', tasks: { default: work } })
  await worker.start()
  const task = await mr.tasks.submit({ payload: {} })
  await started.promise
  await server.kill()
  gate.resolve('done in the dark')
  await server.restart()
  expect(await task.wait({ timeout: '20s' })).toMatchObject({ status: 'completed', result: 'done in the dark' })
  expect(runs).toBe(1)
  await worker.stop()
})

test('delays and backoffs that came due while the server was away are due when it is back', async () => {
  await using server = await startServer()
  const queue = clientOf(server, stubborn).queue<string>('due')
  await queue.enqueue('x', { delay: 300 })
  await server.kill()
  await new Promise((resolve) => setTimeout(resolve, 400))
  await server.restart()
  expect((await queue.reserve({ wait: '2s' }))?.payload).toBe('x')
})

test('settings, pauses and keys survive a crash', async () => {
  await using server = await startServer()
  const mr = clientOf(server, stubborn)
  const queue = mr.queue<string>('settings')
  await queue.setRetryPolicy({ maxAttempts: 7, initialBackoff: '5s' })
  await queue.pause()
  await queue.enqueue('x')
  await crash(server)
  expect(await queue.getRetryPolicy()).toMatchObject({ maxAttempts: 7, initialBackoff: 5000 })
  expect(await queue.receive({ wait: 100 })).toEqual([])
  await queue.resume()
  expect((await queue.reserve({ wait: '2s' }))?.payload).toBe('x')
})
