import { ConflictError, type JobContext, ValidationError } from '@millrace/client'
import { expect, test } from 'vitest'
import { startWorker, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()

interface Counter {
  counter: number
}

test('the guide: state is kept across executions', async () => {
  const mr = fixture.client()
  await startWorker(
    mr.worker({
      tasks: {
        default(payload: { action: string }, ctx: JobContext<Counter>) {
          if (payload.action === 'increment') ctx.state.counter += 1
          return ctx.state
        },
      },
    }),
  )
  const first = await mr.tasks.submit({
    payload: { action: 'initialize' },
    type: 'stateful',
    stateKey: 'session-12345',
    initialState: { counter: 0 },
  })
  const second = await mr.tasks.submit({ payload: { action: 'increment' }, type: 'stateful', stateKey: 'session-12345' })
  expect(await first.wait()).toMatchObject({ status: 'completed', result: { counter: 0 } })
  expect(await second.wait()).toMatchObject({ status: 'completed', result: { counter: 1 } })
  expect(await mr.tasks.get(second.taskId)).toMatchObject({ type: 'stateful', stateKey: 'session-12345' })
  expect(await mr.states.get<Counter>('session-12345')).toMatchObject({ value: { counter: 1 }, revision: 2 })
})

test('tasks of a key run one at a time and in order, those of other keys beside them', async () => {
  const mr = fixture.client()
  const running = new Map<string, number>()
  const order: Record<string, number[]> = { a: [], b: [], c: [] }
  let together = 0
  await startWorker(
    mr.worker({
      concurrency: 20,
      tasks: {
        async step({ key, n }: { key: string; n: number }, ctx) {
          running.set(key, (running.get(key) ?? 0) + 1)
          if (running.get(key) !== 1) throw new Error('two of one key')
          together = Math.max(together, [...running.values()].filter((count) => count > 0).length)
          await new Promise((resolve) => setTimeout(resolve, 2))
          order[key]!.push(n)
          running.set(key, running.get(key)! - 1)
          ctx.state = [...((ctx.state as number[] | undefined) ?? []), n]
        },
      },
    }),
  )
  const tasks = Array.from({ length: 60 }, (_, i) => ({ payload: { key: 'abc'[i % 3]!, n: i }, stateKey: 'abc'[i % 3]! }))
  const { taskIds } = await mr.tasks.submitBatch({ tasks, function: 'step' })
  const ended = await mr.tasks.waitBatch(taskIds)
  expect(ended.every(({ status }) => status === 'completed')).toBe(true)
  expect(together).toBeGreaterThan(1)
  for (const [i, key] of ['a', 'b', 'c'].entries()) {
    const expected = Array.from({ length: 20 }, (_, n) => n * 3 + i)
    expect(order[key]).toEqual(expected)
    expect((await mr.states.get(key))!.value).toEqual(expected)
  }
})

test('a failed attempt leaves the state; the next task waits, blocked, until it is its turn', async () => {
  const mr = fixture.client()
  const options = { function: 'risky', stateKey: 'k', initialState: { counter: 1 }, retry: { maxAttempts: 2, initialBackoff: 400 } }
  const first = await mr.tasks.submit(options)
  const second = await mr.tasks.submit(options)
  expect(await second.watch()[Symbol.asyncIterator]().next()).toMatchObject({ value: { status: 'blocked' } })
  const seen: number[] = []
  await startWorker(
    mr.worker({
      tasks: {
        risky(_: unknown, ctx: JobContext<Counter>) {
          seen.push(ctx.state.counter)
          ctx.state = { counter: ctx.state.counter + 10 }
          if (seen.length === 1) throw new Error('after the change')
        },
      },
    }),
  )
  await until('the first attempt failed', async () => (await first.watch()[Symbol.asyncIterator]().next()).value?.status === 'scheduled')
  expect((await mr.tasks.status(second.taskId)).status).toBe('blocked')
  await second.wait()
  expect(seen).toEqual([1, 1, 11])
  expect((await mr.states.get<Counter>('k'))?.value).toEqual({ counter: 21 })
})

test('cancelling the one at work lets the next begin', async () => {
  const mr = fixture.client()
  const [first, second] = [await mr.tasks.submit({ stateKey: 'x', function: 'f' }), await mr.tasks.submit({ stateKey: 'x', function: 'f' })]
  await first.cancel()
  expect((await mr.tasks.status(second.taskId)).status).toBe('pending')
})

test('states are listed and forgotten; bytes and forgetting by a handler work', async () => {
  const mr = fixture.client()
  await startWorker(
    mr.worker({
      tasks: {
        keep(payload: number[] | null, ctx) {
          ctx.state = payload === null ? undefined : new Uint8Array(payload)
        },
      },
    }),
  )
  for (const key of ['u/1', 'u/2', 'v@x y']) await (await mr.tasks.submit({ function: 'keep', payload: [1, 2], stateKey: key })).wait()
  expect((await mr.states.get('v@x y'))!.value).toEqual(new Uint8Array([1, 2]))
  const keys: string[] = []
  for await (const state of mr.states.list({ prefix: 'u/', limit: 1 })) keys.push(state.key)
  expect(keys).toEqual(['u/1', 'u/2'])
  expect(await mr.states.delete('u/1')).toBe(true)
  expect(await mr.states.delete('u/1')).toBe(false)
  await (await mr.tasks.submit({ function: 'keep', payload: null, stateKey: 'u/2' })).wait()
  expect(await mr.states.get('u/2')).toBeUndefined()
  await (await mr.tasks.submit({ function: 'keep', payload: [1], stateKey: 'short', stateTtl: '10m' })).wait()
  const { updatedAt, expiresAt } = (await mr.states.get('short'))!
  expect(expiresAt!.getTime() - updatedAt.getTime()).toBe(600_000)
})

test('what makes no sense is refused and says why', async () => {
  const mr = fixture.client()
  await expect(mr.tasks.submit({ type: 'stateful' })).rejects.toMatchObject({ fields: [{ path: 'stateKey' }] })
  await expect(mr.tasks.submit({ type: 'stateless', stateKey: 'x' })).rejects.toBeInstanceOf(ValidationError)
  await expect(mr.tasks.submit({ initialState: 1 })).rejects.toBeInstanceOf(ValidationError)
  await expect(mr.tasks.submit({ stateTtl: '1h' })).rejects.toBeInstanceOf(ValidationError)
  await expect(mr.tasks.submit({ stateKey: 'x'.repeat(256) })).rejects.toBeInstanceOf(ValidationError)
  await mr.tasks.submit({ stateKey: 'one', idempotencyKey: 'same' })
  await expect(mr.tasks.submit({ stateKey: 'two', idempotencyKey: 'same' })).rejects.toBeInstanceOf(ConflictError)
  await startWorker(
    mr.worker({
      tasks: {
        bad(_, ctx) {
          ctx.state = 1
        },
      },
    }),
  )
  const plain = await mr.tasks.submit({ function: 'bad', retry: { maxAttempts: 1 } })
  expect(await plain.wait()).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('stateKey') } })
})
