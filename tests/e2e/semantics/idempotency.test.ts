import { ConflictError } from '@millrace/client'
import { expect, test } from 'vitest'
import { clientOf, freshName, startWorker, useServer } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'
import { rawClient } from '../raw/raw.ts'

const fixture = useServer()

test('many callers race with one key: one job, one run, and one of them made it', async () => {
  const namespace = freshName()
  const clients = Array.from({ length: 8 }, () => fixture.client({ namespace }))
  let runs = 0
  await startWorker(clients[0]!.worker({ tasks: { default: async () => ++runs } }))
  const keys = Array.from({ length: 50 }, (_, i) => `order-${i}`)
  const results = await Promise.all(
    keys.map((idempotencyKey) =>
      Promise.all(clients.flatMap((mr) => Array.from({ length: 8 }, () => mr.tasks.submit({ payload: idempotencyKey, idempotencyKey })))),
    ),
  )
  for (const handles of results) {
    expect(new Set(handles.map(({ taskId }) => taskId)).size).toBe(1)
    expect(handles.filter(({ created }) => created)).toHaveLength(1)
  }
  await clients[0]!.tasks.waitBatch(results.map(([handle]) => handle!.taskId))
  expect(runs).toBe(keys.length)
})

test('another payload or function under a used key is a conflict; another queue or namespace is not', async () => {
  const mr = fixture.client()
  const submit = (options: object) => mr.tasks.submit({ function: 'f', payload: { a: 1 }, idempotencyKey: 'k', ...options })
  const first = await submit({})
  expect(await submit({})).toMatchObject({ taskId: first.taskId, created: false })
  await expect(submit({ payload: { a: 2 } })).rejects.toMatchObject({ name: 'ConflictError', code: 'ALREADY_EXISTS' })
  await expect(submit({ function: 'g' })).rejects.toBeInstanceOf(ConflictError)
  expect((await submit({ queue: 'other' })).created).toBe(true)
  expect((await fixture.client().tasks.submit({ payload: 2, idempotencyKey: 'k' })).created).toBe(true)
})

test('in a batch too: a conflict refuses the whole batch, and nothing of it is there', async () => {
  const mr = fixture.client()
  await mr.tasks.submit({ payload: 1, idempotencyKey: 'taken' })
  const batch = mr.tasks.submitBatch({ tasks: [{ payload: 2 }, { payload: 3, idempotencyKey: 'taken' }] })
  await expect(batch).rejects.toBeInstanceOf(ConflictError)
  expect((await mr.tasks.list()).items).toHaveLength(1)
  const queue = mr.queue<number>('batch')
  await queue.enqueue(1, { idempotencyKey: 'taken' })
  await expect(queue.enqueueBatch([{ payload: 2 }, { payload: 3, idempotencyKey: 'taken' }])).rejects.toBeInstanceOf(ConflictError)
  expect((await queue.stats()).total).toBe(1)
})

test('keys and requests are remembered across a crash', async () => {
  await using server = await startServer()
  const namespace = freshName()
  const mr = clientOf(server, { namespace, retry: { maxRetries: 100, initialDelay: 50, maxDelay: 200 }, circuitBreaker: false })
  const submit = () => mr.tasks.submit({ payload: 1, idempotencyKey: 'k' })
  const first = await submit()
  await server.kill()
  const racing = Promise.all(Array.from({ length: 16 }, submit))
  await server.restart()
  for (const { taskId, created } of await racing) expect([taskId, created]).toEqual([first.taskId, false])

  using tasks = rawClient('TaskService', { endpoint: server.endpoint, key: server.key, namespace })
  const request = { task: { function: 'f', payload: Buffer.from('1') }, requestId: 'request-1' }
  const once = await tasks.call<{ taskId: string }>('SubmitTask', request)
  await server.kill()
  await server.restart()
  expect(await tasks.call('SubmitTask', request)).toEqual(once)
  expect((await mr.tasks.list({ function: 'f' })).items).toHaveLength(1)
})
