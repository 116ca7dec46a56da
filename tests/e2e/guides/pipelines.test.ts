import { ConflictError, NonRetryableError, type StageUpdate, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { startWorker, useServer } from '../harness/fixture.ts'

const fixture = useServer()

async function collect(updates: AsyncIterable<StageUpdate>): Promise<StageUpdate[]> {
  const all: StageUpdate[] = []
  for await (const update of updates) all.push(update)
  return all
}

test('the guide: extract, transform, load', async () => {
  const mr = fixture.client()
  await startWorker(
    mr.worker({
      tasks: {
        extract: (payload: { source: string }) => ({ rows: [3, 1, 2], from: payload.source }),
        transform: (_: unknown, ctx) => (ctx.inputs.extract as { rows: number[] }).rows.toSorted(),
        load: (payload: { destination: string }, ctx) => ({ to: payload.destination, loaded: ctx.inputs.transform }),
      },
    }),
  )
  const pipeline = mr.pipelines.create('data-processing')
  const extract = pipeline.addStage({ name: 'extract', function: 'extract', payload: { source: 's3://bucket/data.csv' } })
  const transform = pipeline.addStage({ name: 'transform', function: 'transform', dependsOn: [extract] })
  pipeline.addStage({ name: 'load', function: 'load', payload: { destination: 'postgres://…' }, dependsOn: [transform] })
  const run = await pipeline.execute({ priority: 'high', timeout: '1h' })
  expect(run.pipelineId).toMatch(/^pipe_/)
  const updates = await collect(run.monitor())
  expect(updates.filter(({ status }) => status === 'completed').map(({ stage }) => stage)).toEqual([
    'extract',
    'transform',
    'load',
    undefined,
  ])
  expect(updates.find(({ stage, status }) => stage === 'load' && status === 'completed')!.result).toEqual({
    to: 'postgres://…',
    loaded: [1, 2, 3],
  })
  expect(updates.at(-1)).toMatchObject({ status: 'completed', isTerminal: true })
  expect(updates.map(({ number }) => number)).toEqual(updates.map((_, i) => i + 1))
  expect(await run.wait()).toMatchObject({ name: 'data-processing', status: 'completed', stagesLeft: 0, onFailure: 'stop' })
  const { stages } = await mr.pipelines.get(run.pipelineId)
  expect(await mr.tasks.get(stages[0]!.taskId!)).toMatchObject({ pipelineId: run.pipelineId, priority: 10, status: 'completed' })
  expect(await run.result('transform')).toEqual([1, 2, 3])
})

test('a list is fanned out and brought together; large results are fetched', async () => {
  const mr = fixture.client()
  await startWorker(
    mr.worker({
      concurrency: 20,
      tasks: {
        make: () => Array.from({ length: 50 }, (_, i) => i),
        big: () => 'x'.repeat(500_000),
        square: (n: number) => n * n,
        sum(_: unknown, ctx) {
          const { squares, big } = ctx.inputs as { squares: number[]; big: string }
          return squares.reduce((sum, n) => sum + n, big.length)
        },
      },
    }),
  )
  const pipeline = mr.pipelines.create('fan')
  const list = pipeline.addStage({ name: 'list', function: 'make' })
  const squares = pipeline.addStage({ name: 'squares', function: 'square', forEach: list })
  const big = pipeline.addStage({ name: 'big', function: 'big' })
  pipeline.addStage({ name: 'sum', function: 'sum', dependsOn: [squares, big] })
  pipeline.addStage({ name: 'fixed', function: 'square', forEach: [7, 8] })
  const run = await pipeline.execute()
  expect(await run.wait()).toMatchObject({ status: 'completed' })
  expect(await run.result('sum')).toBe(500_000 + 40_425)
  expect(await run.result('fixed')).toEqual([49, 64])
  expect((await run.get()).stages[1]).toMatchObject({ items: { total: 50, left: 0 } })
  const big2 = (await collect(run.monitor())).find(({ stage, status }) => stage === 'big' && status === 'completed')
  expect(big2!.result).toHaveLength(500_000)
})

test('a failure stops what has not begun; retry goes on from there', async () => {
  const mr = fixture.client()
  let broken = true
  const calls: string[] = []
  await startWorker(
    mr.worker({
      tasks: {
        step(name: string) {
          calls.push(name)
          if (name === 'b' && broken) throw new NonRetryableError('b is broken')
          return name
        },
      },
    }),
  )
  const pipeline = mr.pipelines.create('retry')
  const a = pipeline.addStage({ name: 'a', function: 'step', payload: 'a' })
  const b = pipeline.addStage({ name: 'b', function: 'step', payload: 'b', dependsOn: [a] })
  pipeline.addStage({ name: 'c', function: 'step', payload: 'c', dependsOn: [b, 'a'] })
  const run = await pipeline.execute()
  const failed = await run.wait()
  expect(failed).toMatchObject({ status: 'failed' })
  expect(failed.stages.map(({ status }) => status)).toEqual(['completed', 'failed', 'cancelled'])
  expect(failed.stages[1]!.error).toMatchObject({ message: 'b is broken' })
  broken = false
  expect(await run.retry()).toMatchObject({ status: 'running' })
  expect(await run.wait()).toMatchObject({ status: 'completed' })
  expect(calls).toEqual(['a', 'b', 'b', 'c'])
  await expect(run.cancel()).rejects.toBeInstanceOf(ConflictError)
})

test('a pipeline that is tried again has not ended: whoever waits or looks sees its second end', async () => {
  const mr = fixture.client()
  const gate = Promise.withResolvers<void>()
  let runs = 0
  await startWorker(
    mr.worker({
      tasks: {
        async step() {
          if (++runs === 1) throw new NonRetryableError('the first run fails')
          await gate.promise
        },
      },
    }),
  )
  const pipeline = mr.pipelines.create('again')
  pipeline.addStage({ name: 'only', function: 'step' })
  const run = await pipeline.execute()
  expect(await run.wait()).toMatchObject({ status: 'failed' })
  await run.retry()
  await expect(run.wait({ timeout: 300 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  const waiting = run.wait()
  const watching = collect(run.monitor())
  gate.resolve()
  expect(await waiting).toMatchObject({ status: 'completed' })
  for (const updates of [await watching, await collect(run.monitor())]) {
    const ends = updates.filter(({ stage, status }) => stage === undefined && status !== 'running')
    expect(ends).toMatchObject([
      { status: 'failed', isTerminal: false },
      { status: 'completed', isTerminal: true },
    ])
    expect(updates.at(-1)).toBe(ends[1])
  }
})

test('continue goes on with what does not depend on the failed stage; timeouts and cancelling end the rest', async () => {
  const mr = fixture.client()
  await startWorker(
    mr.worker({
      tasks: {
        fail() {
          throw new NonRetryableError('no')
        },
        ok: () => 1,
        wait: (_: unknown, ctx) => new Promise((_resolve, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason))),
      },
    }),
  )
  const going = mr.pipelines.create('on')
  const bad = going.addStage({ name: 'bad', function: 'fail' })
  going.addStage({ name: 'after', function: 'ok', dependsOn: [bad] })
  going.addStage({ name: 'aside', function: 'ok', dependsOn: [going.addStage({ name: 'good', function: 'ok' })] })
  const ended = await (await going.execute({ onFailure: 'continue' })).wait()
  expect(ended.stages.map(({ name, status }) => [name, status])).toEqual([
    ['bad', 'failed'],
    ['after', 'cancelled'],
    ['good', 'completed'],
    ['aside', 'completed'],
  ])
  const slow = mr.pipelines.create('slow')
  slow.addStage({ name: 'wait', function: 'wait' })
  expect(await (await slow.execute({ timeout: 300 })).wait()).toMatchObject({
    status: 'failed',
    reason: expect.stringContaining('timeout'),
  })
  const run = await slow.execute()
  await expect(run.wait({ timeout: 50 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  expect(await run.cancel({ reason: 'enough' })).toMatchObject({ status: 'cancelled', reason: 'enough' })
  const names: string[] = []
  for await (const { name } of mr.pipelines.list({ status: ['cancelled', 'failed'] })) names.push(name)
  expect(names).toEqual(['slow', 'slow', 'on'])
  await expect(run.wait({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
})

test('monitor goes on after an update', async () => {
  const mr = fixture.client()
  await startWorker(mr.worker({ tasks: { ok: () => 1 } }))
  const pipeline = mr.pipelines.create('two')
  pipeline.addStage({ name: 'b', function: 'ok', dependsOn: [pipeline.addStage({ name: 'a', function: 'ok' })] })
  const run = await pipeline.execute()
  const all = await collect(run.monitor())
  expect(await collect(run.monitor({ after: all[3]!.number }))).toEqual(all.slice(4))
})

describe('what makes no sense is refused, and says where', () => {
  const refusal = async (build: (add: ReturnType<ReturnType<typeof fixture.client>['pipelines']['create']>) => void) => {
    const pipeline = fixture.client().pipelines.create('wrong')
    build(pipeline)
    const error = await pipeline.execute().catch((error: unknown) => error)
    expect(error).toBeInstanceOf(ValidationError)
    return (error as ValidationError).fields[0]
  }

  test('cycles', async () => {
    const field = await refusal((pipeline) => {
      pipeline.addStage({ name: 'free' })
      pipeline.addStage({ name: 'a', dependsOn: ['c'] })
      pipeline.addStage({ name: 'b', dependsOn: ['a', 'free'] })
      pipeline.addStage({ name: 'c', dependsOn: ['b'] })
    })
    expect(field).toMatchObject({
      path: expect.stringMatching(/^stages\[\d\]\.dependsOn$/),
      message: expect.stringContaining(' waits for '),
    })
  })
  test('unknown and own names', async () => {
    expect(await refusal((p) => p.addStage({ name: 'a', dependsOn: ['nobody'] }))).toMatchObject({ path: 'stages[0].dependsOn[0]' })
    expect(await refusal((p) => p.addStage({ name: 'a', forEach: 'a' }))).toMatchObject({ path: 'stages[0].forEachStage' })
  })
  test('names used twice', () => {
    const pipeline = fixture.client().pipelines.create('twice')
    pipeline.addStage({ name: 'a' })
    expect(() => pipeline.addStage({ name: 'a' })).toThrow(ValidationError)
  })
  test('too many stages, and none', async () => {
    expect(await refusal((p) => Array.from({ length: 1001 }, (_, i) => p.addStage({ name: `s${i}` })))).toMatchObject({ path: 'stages' })
    expect(await refusal(() => undefined)).toMatchObject({ path: 'stages' })
  })
})
