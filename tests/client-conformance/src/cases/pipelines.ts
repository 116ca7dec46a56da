import { type Case, collect, failureOf } from '../kit.ts'

export const pipelineCases: readonly Case[] = [
  {
    name: 'a pipeline runs its stages in order, each with what came before, and tells of it',
    expected: {
      id: true,
      completed: ['numbers', 'sum', 'end', null],
      numbered: true,
      dates: true,
      last: { status: 'completed', isTerminal: true },
      after: true,
      result: 6,
      info: { name: 'in order', status: 'completed', stagesLeft: 0, onFailure: 'stop' },
    },
    async run(kit) {
      const mr = kit.client()
      const pipeline = mr.pipelines.create('in order')
      const numbers = pipeline.addStage({ name: 'numbers', function: 'echo', payload: [1, 2, 3] })
      const sum = pipeline.addStage({ name: 'sum', function: 'sum', dependsOn: [numbers] })
      pipeline.addStage({ name: 'end', function: 'echo', dependsOn: [sum, 'numbers'] })
      const run = await pipeline.execute({ priority: 'high', timeout: '1h' })
      const updates = await collect(run.monitor())
      const rest = await collect(run.monitor({ after: updates[2]!.number }))
      const { status, isTerminal } = updates.at(-1)!
      const { name, status: ended, stagesLeft, onFailure } = await run.wait({ timeout: '20s' })
      return {
        id: /^pipe_[0-9a-z]{11}$/.test(run.pipelineId),
        completed: updates.filter((update) => update.status === 'completed').map(({ stage }) => stage ?? null),
        numbered: updates.every(({ number }, i) => number === i + 1),
        dates: updates.every(({ timestamp }) => timestamp instanceof Date && timestamp.getTime() > 1.7e12),
        last: { status, isTerminal },
        after: JSON.stringify(rest) === JSON.stringify(updates.slice(3)),
        result: await run.result('sum'),
        info: { name, status: ended, stagesLeft, onFailure },
      }
    },
  },
  {
    name: 'a stage runs once for each of a list; a large result is fetched',
    expected: { each: [1, 2, 3], items: { total: 3, left: 0 }, sum: 6, bytes: 400_002, large: 400_000 },
    async run(kit) {
      const pipeline = kit.client().pipelines.create('lists')
      const numbers = pipeline.addStage({ name: 'list', function: 'echo', payload: [1, 2, 3] })
      const each = pipeline.addStage({ name: 'numbers', function: 'echo', forEach: numbers })
      pipeline.addStage({ name: 'sum', function: 'sum', dependsOn: [each] })
      pipeline.addStage({ name: 'large', function: 'echo', payload: 'x'.repeat(400_000) })
      const run = await pipeline.execute()
      const { stages } = await run.wait({ timeout: '20s' })
      const updates = await collect(run.monitor())
      const large = updates.find(({ stage, status }) => stage === 'large' && status === 'completed')!
      return {
        each: await run.result('numbers'),
        items: stages[1]!.items,
        sum: await run.result('sum'),
        bytes: JSON.stringify(await run.result('large')).length,
        large: String(large.result).length,
      }
    },
  },
  {
    name: 'a failed pipeline says why, and goes on from there when it is tried again',
    expected: {
      failed: { status: 'failed', stages: ['completed', 'failed', 'cancelled'], error: 'no luck yet' },
      retried: 'running',
      ended: { status: 'completed', stages: ['completed', 'completed', 'completed'] },
      attempts: 1,
      again: { name: 'ConflictError', code: 'FAILED_PRECONDITION', statusCode: 409, requestId: 'given' },
    },
    async run(kit) {
      const mr = kit.client()
      const pipeline = mr.pipelines.create('second try')
      pipeline.addStage({ name: 'a', function: 'echo' })
      pipeline.addStage({ name: 'b', function: 'second-time', payload: kit.namespace, retry: { maxAttempts: 1 }, dependsOn: ['a'] })
      pipeline.addStage({ name: 'c', function: 'echo', dependsOn: ['b'] })
      const run = await pipeline.execute()
      const failed = await run.wait({ timeout: '20s' })
      const retried = await run.retry()
      const ended = await mr.pipelines.run(run.pipelineId).wait({ timeout: '20s' })
      return {
        failed: {
          status: failed.status,
          stages: failed.stages.map(({ status }) => status),
          error: failed.stages[1]!.error?.message,
        },
        retried: retried.status,
        ended: { status: ended.status, stages: ended.stages.map(({ status }) => status) },
        attempts: (await mr.tasks.get(ended.stages[0]!.taskId!)).attempts,
        again: await failureOf(run.retry()),
      }
    },
  },
  {
    name: 'pipelines are listed and cancelled',
    expected: { cancelled: ['cancelled', 'enough'], running: ['one'], named: ['two'], page: 1, more: true },
    async run(kit) {
      const { pipelines } = kit.client()
      const start = (name: string) => {
        const pipeline = pipelines.create(name)
        pipeline.addStage({ name: 'hang', function: 'hang' })
        return pipeline.execute()
      }
      await start('one')
      const { status, reason } = await (await start('two')).cancel({ reason: 'enough' })
      const page = await pipelines.list({ limit: 1 })
      const names = async (filter: Parameters<typeof pipelines.list>[0]) => (await collect(pipelines.list(filter))).map(({ name }) => name)
      return {
        cancelled: [status, reason],
        running: await names({ status: 'running' }),
        named: await names({ name: 'two' }),
        page: page.items.length,
        more: page.nextCursor !== undefined,
      }
    },
  },
  {
    name: 'a pipeline that makes no sense is refused, and says where',
    expected: {
      cycle: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['stages[0].dependsOn'] },
      unknown: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['stages[0].dependsOn[0]'] },
      none: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['stages'] },
      missing: {
        name: 'NotFoundError',
        code: 'NOT_FOUND',
        statusCode: 404,
        requestId: 'given',
        resource: 'pipeline',
      },
    },
    async run(kit) {
      const { pipelines } = kit.client()
      const cycle = pipelines.create('cycle')
      cycle.addStage({ name: 'a', dependsOn: ['b'] })
      cycle.addStage({ name: 'b', dependsOn: ['a'] })
      const unknown = pipelines.create('unknown')
      unknown.addStage({ name: 'a', dependsOn: ['nobody'] })
      return {
        cycle: await failureOf(cycle.execute()),
        unknown: await failureOf(unknown.execute()),
        none: await failureOf(pipelines.create('none').execute()),
        missing: await failureOf(pipelines.get('pipe_00000000000')),
      }
    },
  },
]
