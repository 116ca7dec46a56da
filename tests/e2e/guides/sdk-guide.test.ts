import { type SubmitTaskOptions, TaskFailedError, type TaskResult, type TaskStatus, type TaskUpdate } from '@millrace/client'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { clientMaker, clients } from '../harness/every-client.ts'
import { freshName, useServer } from '../harness/fixture.ts'

// What users do with tasks, in the order in which a guide tells it, with every client. What happens at the edges is in the other files here.

const fixture = useServer({ flags: ['--attestation-simulated'] })

describe.each(clients)('$name', (kind) => {
  const { endpointOf, create } = kind
  const { clientOf, withWorker } = clientMaker(fixture, kind)

  test('Environment variables', async () => {
    vi.stubEnv('MILLRACE_API_KEY', fixture.server.key)
    vi.stubEnv('MILLRACE_ENDPOINT', endpointOf(fixture.server))
    vi.stubEnv('MILLRACE_NAMESPACE', freshName())
    onTestFinished(() => void vi.unstubAllEnvs())
    await using mr = create({})
    expect((await mr.tasks.submit({ payload: {} })).created).toBe(true)
  })

  test('Basic usage', async () => {
    const mr = create({ endpoint: endpointOf(fixture.server), apiKey: fixture.server.key, namespace: freshName(), timeout: '30s' })
    const health = await mr.cluster.health()
    expect(health.healthy).toBe(true)
    expect(health.nodes.active).toBe(1)
    await mr.close()
    await expect(mr.cluster.health()).rejects.toThrow(/closed/)
  })

  describe('Task submission', () => {
    test('Basic submission, stateless tasks', async () => {
      const mr = await withWorker()
      const task = await mr.tasks.submit({ function: 'sum', payload: { numbers: [1, 2, 3, 4, 5] }, type: 'stateless' })
      expect(task.taskId).toMatch(/^task_[0-9a-z]{11}$/)
      expect(await task.wait()).toMatchObject({ taskId: task.taskId, status: 'completed', progress: 100, result: 15 })
    })

    test('Basic submission, with all options', async () => {
      const mr = await withWorker()
      const payload = { function: 'process_data', data: { key: 'value' } }
      const task = await mr.tasks.submit({
        payload,
        type: 'stateless',
        priority: 'high',
        timeout: '5m',
        idempotencyKey: 'process-123',
        labels: { env: 'production', team: 'ml' },
        teeRequired: true,
      })
      expect(await task.wait()).toMatchObject({ status: 'completed', result: payload })
      expect(await mr.tasks.get(task.taskId)).toMatchObject({
        function: 'process_data',
        type: 'stateless',
        priority: 10,
        labels: { env: 'production', team: 'ml' },
        teeRequired: true,
      })
    })

    test('TypeScript types', async () => {
      const mr = await withWorker()
      const options: SubmitTaskOptions = { payload: { data: 'test' }, type: 'stateless', priority: 'high' }
      const result: TaskResult = await mr.tasks.submit(options)
      const status: TaskStatus = await mr.tasks.status(result.taskId)
      expect(status).toMatchObject({ taskId: result.taskId, status: expect.stringMatching(/^(pending|running|completed)$/) })
    })

    test('Stateful tasks', async () => {
      const mr = await withWorker()
      const key = { function: 'session', type: 'stateful', stateKey: 'session-12345' } as const
      const first = await mr.tasks.submit({ ...key, payload: { action: 'initialize' }, initialState: { counter: 0 } })
      const second = await mr.tasks.submit({ ...key, payload: { action: 'increment' } })
      expect(await first.wait()).toMatchObject({ status: 'completed', result: { counter: 0 } })
      expect(await second.wait()).toMatchObject({ status: 'completed', result: { counter: 1 } })
      expect(await mr.states.get('session-12345')).toMatchObject({ value: { counter: 1 } })
    })

    test('Batch tasks', async () => {
      const mr = await withWorker()
      const tasks = Array.from({ length: 100 }, (_, i) => ({ payload: { id: i, data: `item-${i}` } }))
      const { batchId, taskIds } = await mr.tasks.submitBatch({ tasks, type: 'stateless', priority: 'normal' })
      expect(batchId).toMatch(/^batch_/)
      const ends = await mr.tasks.waitBatch(taskIds, { timeout: '20s' })
      expect(ends.map(({ result }) => result)).toEqual(tasks.map(({ payload }) => ({ echoed: payload })))
    })
  })

  describe('Task monitoring', () => {
    test('Polling', async () => {
      const mr = await withWorker()
      const { taskId } = await mr.tasks.submit({ function: 'process_data', payload: 1 })
      const { progress } = await mr.tasks.status(taskId)
      expect([0, 50, 100]).toContain(progress)
      const polled = await mr.tasks.wait(taskId, { timeout: 300_000, pollInterval: 50 })
      expect(polled).toMatchObject({ status: 'completed', result: 1 })

      const failing = await mr.tasks.submit({ function: 'fail', retry: { maxAttempts: 1 } })
      expect(await failing.wait()).toMatchObject({ status: 'failed', error: { message: 'it went wrong' } })
    })

    test('Event streaming', async () => {
      const mr = await withWorker()
      const { taskId } = await mr.tasks.submit({ function: 'process_data', payload: 7 })
      const stream = mr.tasks.watch(taskId)
      const seen: string[] = []
      stream.on('update', (update) => seen.push(`${update.timestamp instanceof Date} ${update.status}`))
      const completed = await new Promise((resolve, reject) => {
        stream.on('completed', resolve)
        stream.on('error', reject)
      })
      stream.close()
      expect(completed).toMatchObject({ status: 'completed', result: 7 })
      expect(seen.at(-1)).toBe('true completed')
    })

    test('Streaming updates, as an iterable', async () => {
      const mr = await withWorker()
      const { taskId } = await mr.tasks.submit({ function: 'process_data', payload: 7 })
      let last: TaskUpdate | undefined
      for await (const update of mr.tasks.watch(taskId)) {
        last = update
        if (['completed', 'failed', 'cancelled'].includes(update.status)) break
      }
      expect(last).toMatchObject({ taskId, status: 'completed', message: 'half way', result: 7, timestamp: expect.any(Date) })
    })

    test('Promises with AbortController', async () => {
      const mr = clientOf()
      const { taskId } = await mr.tasks.submit({ payload: {} })
      const controller = new AbortController()
      const waiting = mr.tasks.wait(taskId, { signal: controller.signal })
      setTimeout(() => controller.abort(), 50)
      await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
      expect((await mr.tasks.status(taskId)).status).toBe('pending')
    })

    test('Batch monitoring', async () => {
      const mr = await withWorker()
      const good = await mr.tasks.submit({ payload: 1 })
      const bad = await mr.tasks.submit({ function: 'fail', retry: { maxAttempts: 1 } })
      const endless = await mr.tasks.submit({ function: 'hang' })
      const ends = await mr.tasks.waitBatch([bad.taskId, good.taskId], { timeout: 20_000, failFast: false })
      expect(ends.map(({ taskId, status }) => [taskId, status])).toEqual([
        [bad.taskId, 'failed'],
        [good.taskId, 'completed'],
      ])
      const statuses = await mr.tasks.statusBatch([good.taskId, bad.taskId])
      expect(statuses).toMatchObject({ [good.taskId]: { status: 'completed' }, [bad.taskId]: { status: 'failed' } })
      const hasty: unknown = await mr.tasks.waitBatch([endless.taskId, bad.taskId], { failFast: true }).catch((error: unknown) => error)
      expect(hasty).toBeInstanceOf(TaskFailedError)
      expect(hasty).toMatchObject({ taskId: bad.taskId, status: 'failed' })
      await endless.cancel()
    })
  })

  test('Pipelines', async () => {
    const mr = await withWorker()
    const pipeline = mr.pipelines.create('data-processing')
    const extract = pipeline.addStage({ name: 'extract', function: 'extract', payload: { source: 's3://bucket/data.csv' } })
    const transform = pipeline.addStage({ name: 'transform', function: 'transform', dependsOn: [extract] })
    pipeline.addStage({ name: 'load', function: 'load', payload: { destination: 'postgres://…' }, dependsOn: [transform] })
    const run = await pipeline.execute({ priority: 'high', timeout: '1h' })
    const completed: (string | undefined)[] = []
    for await (const update of run.monitor()) {
      if (update.status === 'completed') completed.push(update.stage)
      if (update.isTerminal) break
    }
    expect(completed).toEqual(['extract', 'transform', 'load', undefined])
    expect(await run.wait()).toMatchObject({ status: 'completed', stagesLeft: 0 })
    expect(await run.result('load')).toEqual({ destination: 'postgres://…', loaded: [1, 2, 3] })
  })
})
