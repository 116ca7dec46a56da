import { setTimeout as sleep } from 'node:timers/promises'
import { type Millrace, TaskNotFoundError, TaskTimeoutError, type TaskUpdate } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { startWorker, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()

/** A client and a worker with the functions of the examples. */
async function clientWithWorker(concurrency = 10): Promise<Millrace> {
  const mr = fixture.client()
  await startWorker(
    mr.worker({
      concurrency,
      tasks: {
        default: async (payload) => ({ echoed: payload }),
        sum: async (payload) => (payload as { numbers: number[] }).numbers.reduce((a, b) => a + b, 0),
        process_data: async (payload, ctx) => {
          ctx.progress(50, 'half way')
          ctx.log.info('processing', { size: 1 })
          await sleep(20)
          return payload
        },
        fail: async () => {
          throw new Error('it went wrong')
        },
        forever: async (_payload, ctx) => {
          await sleep(60_000, undefined, { signal: ctx.signal })
        },
      },
    }),
  )
  return mr
}

const once = { maxAttempts: 1 }

describe('submission', () => {
  test('the function comes from the payload, or is `default`', async () => {
    const mr = await clientWithWorker()
    const payload = { function: 'sum', numbers: [1, 2] }
    const [named, unnamed] = await Promise.all([mr.tasks.submit({ payload }), mr.tasks.submit({ payload: 'text' })])
    expect(await named.wait()).toMatchObject({ result: 3 })
    expect(await unnamed.wait()).toMatchObject({ result: { echoed: 'text' } })
  })

  test('the same idempotency key is the same task, and runs once', async () => {
    const mr = fixture.client()
    let runs = 0
    await startWorker(mr.worker({ tasks: { default: async () => ++runs } }))
    const submit = () => mr.tasks.submit({ payload: { orderId: '12345' }, idempotencyKey: 'order-12345-process' })
    const first = await submit()
    const second = await submit()
    expect([first.created, second.created]).toEqual([true, false])
    expect(second.taskId).toBe(first.taskId)
    expect(await first.wait()).toMatchObject({ result: 1 })
    const third = await submit() // and also when it has ended
    expect(await third.wait()).toMatchObject({ result: 1 })
    expect(third.taskId).toBe(first.taskId)
    expect(runs).toBe(1)
  })

  test('bytes and every kind of JSON come back as they went in', async () => {
    const mr = await clientWithWorker()
    for (const payload of [null, true, 0, -1.5, '', 'ünï', [], {}, { a: [1, { b: null }] }, new Uint8Array([0, 255, 10])]) {
      const task = await mr.tasks.submit({ function: 'process_data', payload })
      expect((await task.wait()).result).toEqual(payload)
    }
  })
})

describe('monitoring', () => {
  test('wait gives up in time; the task goes on', async () => {
    const mr = await clientWithWorker()
    const task = await mr.tasks.submit({ function: 'forever', payload: {} })
    const error: unknown = await task.wait({ timeout: 100 }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(TaskTimeoutError)
    expect(error).toMatchObject({ taskId: task.taskId, timeout: 100 })
    expect((await mr.tasks.status(task.taskId)).status).toBe('running')
    await task.cancel()
    expect((await task.wait()).status).toBe('cancelled')
  })

  test('wait can be aborted', async () => {
    const mr = fixture.client()
    const { taskId } = await mr.tasks.submit({ payload: {} })
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 50)
    await expect(mr.tasks.wait(taskId, { signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' })
    await expect(mr.tasks.wait(taskId, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
    expect((await mr.tasks.status(taskId)).status).toBe('pending')
  })

  test('watch as an iterable: states in order, and it ends by itself', async () => {
    const mr = await clientWithWorker()
    const { taskId } = await mr.tasks.submit({ function: 'process_data', payload: 7 })
    const updates: TaskUpdate[] = []
    for await (const update of mr.tasks.watch(taskId)) updates.push(update)
    expect(updates.at(-1)).toMatchObject({ taskId, status: 'completed', progress: 100, result: 7 })
    for (const update of updates) expect(update.timestamp).toBeInstanceOf(Date)
    const progress = updates.map((update) => update.progress)
    expect(progress).toEqual([...progress].sort((a, b) => a - b))
  })

  test('watch as events', async () => {
    const mr = await clientWithWorker()
    const { taskId } = await mr.tasks.submit({ function: 'process_data', payload: 7, delay: 100 })
    const stream = mr.tasks.watch(taskId)
    const seen: string[] = []
    stream.on('update', (update) => seen.push(update.status))
    const completed = await new Promise((resolve, reject) => {
      stream.on('completed', resolve)
      stream.on('failed', reject)
      stream.on('error', reject)
    })
    expect(completed).toMatchObject({ status: 'completed', result: 7 })
    expect(seen[0]).toBe('scheduled')
    expect(seen.at(-1)).toBe('completed')
  })

  test('events of failed and cancelled tasks, and of tasks that do not exist', async () => {
    const mr = await clientWithWorker()
    const failing = await mr.tasks.submit({ function: 'fail', retry: once, payload: {} })
    const failed = await new Promise((resolve) => mr.tasks.watch(failing.taskId).on('failed', resolve))
    expect(failed).toMatchObject({ status: 'failed', error: { message: 'it went wrong' } })

    const endless = await mr.tasks.submit({ function: 'forever', payload: {} })
    const cancelled = new Promise((resolve) => endless.watch().on('cancelled', resolve))
    await endless.cancel({ reason: 'enough' })
    expect(await cancelled).toMatchObject({ status: 'cancelled', message: 'enough' })

    const unknown = mr.tasks.watch('task_00000000000')
    expect(await new Promise((resolve) => unknown.on('error', resolve))).toBeInstanceOf(TaskNotFoundError)
  })

  test('a closed watch says nothing more; an aborted one rejects', async () => {
    const mr = fixture.client()
    const { taskId } = await mr.tasks.submit({ payload: {} })
    const stream = mr.tasks.watch(taskId)
    const first = new Promise((resolve) => stream.on('update', resolve))
    await first
    stream.close()
    const seen: unknown[] = []
    stream.on('update', (update) => seen.push(update))
    await mr.tasks.cancel(taskId)
    await mr.tasks.wait(taskId)
    expect(seen).toEqual([])

    const other = await mr.tasks.submit({ payload: {} })
    const iterate = async () => {
      for await (const _ of mr.tasks.watch(other.taskId, { signal: AbortSignal.timeout(100) }));
    }
    await expect(iterate()).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('patterns', () => {
  test('tasks are found by their labels, page by page', async () => {
    const mr = fixture.client()
    const submit = (pipeline: string) => mr.tasks.submit({ payload: {}, labels: { env: 'production', team: 'data', pipeline } })
    const daily: string[] = []
    for (let i = 0; i < 5; i++) daily.push((await submit('etl-daily')).taskId)
    await submit('etl-weekly')
    const found: string[] = []
    for await (const { taskId } of mr.tasks.list({ labels: { pipeline: 'etl-daily' }, limit: 2 })) found.push(taskId)
    expect(found).toEqual(daily.reverse()) // newest first
    const page = await mr.tasks.list({ labels: { pipeline: 'etl-daily', env: 'production' }, limit: 2 })
    expect(page.items).toHaveLength(2)
    expect(page.nextCursor).toBeTruthy()
    expect((await mr.tasks.list({ labels: { pipeline: 'none' } })).items).toEqual([])
    expect((await mr.tasks.list({ status: 'pending', function: 'default' })).items).toHaveLength(6)
    expect((await mr.tasks.list({ status: 'completed' })).items).toEqual([])
  })

  test('logs: what the handler wrote, once and followed', async () => {
    const mr = fixture.client()
    await startWorker(
      mr.worker({
        tasks: {
          default: async (_payload, ctx) => {
            ctx.log.debug('begin')
            ctx.log.info('processing', { size: 3 })
            await sleep(100)
            ctx.log.warn('odd')
            ctx.log.error('bad')
          },
        },
      }),
    )
    const { taskId } = await mr.tasks.submit({ payload: {} })
    const followed: string[] = []
    for await (const { level, message } of mr.tasks.logs(taskId, { follow: true })) followed.push(`${level} ${message}`)
    expect(followed).toEqual(['debug begin', 'info processing', 'warn odd', 'error bad'])
    const entries = await Array.fromAsync(mr.tasks.logs(taskId))
    expect(entries).toMatchObject([
      { level: 'debug', message: 'begin', timestamp: expect.any(Date) },
      { level: 'info', message: 'processing', fields: { size: 3 } },
      { level: 'warn', message: 'odd' },
      { level: 'error', message: 'bad' },
    ])
  })

  test('a failed task can be tried again', async () => {
    const mr = fixture.client()
    let runs = 0
    const work = async () => {
      if (++runs === 1) throw new Error('the first run fails')
      return 'well'
    }
    await startWorker(mr.worker({ tasks: { default: work } }))
    const task = await mr.tasks.submit({ payload: {}, retry: once })
    expect((await task.wait()).status).toBe('failed')
    await mr.tasks.retry(task.taskId)
    expect(await mr.tasks.wait(task.taskId)).toMatchObject({ status: 'completed', result: 'well' })
  })

  test('a pause in the stream is no end: progress is seen while it happens', async () => {
    const mr = fixture.client()
    const gate = Promise.withResolvers<void>()
    const work = async (_payload: unknown, ctx: { progress(percent: number, message?: string): void }) => {
      ctx.progress(25, 'reading')
      await gate.promise
    }
    await startWorker(mr.worker({ tasks: { default: work } }))
    const { taskId } = await mr.tasks.submit({ payload: {} })
    await until('the progress is seen', async () => (await mr.tasks.status(taskId)).progress === 25)
    expect(await mr.tasks.status(taskId)).toMatchObject({ status: 'running', progress: 25, message: 'reading' })
    gate.resolve()
    expect(await mr.tasks.wait(taskId)).toMatchObject({ status: 'completed', progress: 100 })
  })
})
