import type { ListTasksOptions } from '@millrace/core'
import { type Case, collect, failureOf } from '../kit.ts'

const value = { text: 'häß €😀', list: [1, -0.5, 1e21, null, true, { deep: [[]] }], __proto: '__proto__', empty: '' }

export const taskCases: readonly Case[] = [
  {
    name: 'a task runs and its result comes back as it went in',
    expected: { created: true, id: true, status: 'completed', progress: 100, result: value, same: true },
    async run(kit) {
      const task = await kit.client().tasks.submit({ function: 'echo', payload: value })
      const { taskId, ...end } = await task.wait({ timeout: '20s' })
      const { status, progress, result } = end
      return { created: task.created, id: /^task_[0-9a-z]{11}$/.test(taskId), status, progress, result, same: taskId === task.taskId }
    },
  },
  {
    name: 'payloads of every kind come back as they went in',
    expected: [null, 0, false, '', [], {}, { absent: true }, { bytes: [0, 255, 128] }, { bytes: [] }, { dangerous: ['__proto__'] }],
    async run(kit) {
      const { tasks } = kit.client()
      const payloads = [
        null,
        0,
        false,
        '',
        [],
        {},
        undefined,
        new Uint8Array([0, 255, 128]),
        new Uint8Array(0),
        JSON.parse('{"__proto__":1}'),
      ]
      const handles = await Promise.all(payloads.map((payload) => tasks.submit({ function: 'echo', payload })))
      const ends = await tasks.waitBatch(
        handles.map(({ taskId }) => taskId),
        { timeout: '20s' },
      )
      return ends.map(({ result }, i) => {
        if (result instanceof Uint8Array) return { bytes: [...result] }
        if (i === 9) return { dangerous: Object.keys(result as object) }
        return result === undefined ? { absent: true } : result
      })
    },
  },
  {
    name: 'a task that fails says why, after its attempts',
    expected: { status: 'failed', error: { message: 'no luck', code: 'TypeError' }, attempts: 2, stack: true },
    async run(kit) {
      const { tasks } = kit.client()
      const retry = { maxAttempts: 2, initialBackoff: 10, jitter: 0 }
      const { taskId } = await tasks.submit({ function: 'fail', payload: 'no luck', retry })
      const { status, error } = await tasks.wait(taskId, { timeout: '20s' })
      const { message, code, stack } = error!
      return { status, error: { message, code }, attempts: (await tasks.get(taskId)).attempts, stack: stack !== undefined }
    },
  },
  {
    name: 'a watch shows the state now, progress, and the end, as an iterable',
    expected: { first: true, ordered: true, seen: true, last: { status: 'completed', progress: 100, result: 'done' } },
    async run(kit) {
      const { tasks } = kit.client()
      const { taskId } = await tasks.submit({ function: 'steps', payload: 5 })
      const updates = await collect(tasks.watch(taskId))
      const progresses = updates.map(({ progress }) => progress)
      const { status, progress, result } = updates.at(-1)!
      return {
        first: ['pending', 'running'].includes(updates[0]!.status),
        ordered: progresses.every((each, i) => i === 0 || each >= progresses[i - 1]!),
        seen: updates.some((update) => update.status === 'running' && /^step \d$/.test(update.message)),
        last: { status, progress, result },
      }
    },
  },
  {
    name: 'a watch tells its events',
    expected: { completed: 'done', updated: true, dates: true },
    async run(kit) {
      const task = await kit.client().tasks.submit({ function: 'steps', payload: 2 })
      let updates = 0
      let dates = true
      const completed = await new Promise((resolve, reject) => {
        task
          .watch()
          .on('update', ({ timestamp }) => {
            updates++
            dates &&= timestamp instanceof Date && timestamp.getTime() > 1.7e12
          })
          .on('completed', ({ result }) => resolve(result))
          .on('error', reject)
      })
      return { completed, updated: updates > 0, dates }
    },
  },
  {
    name: 'many tasks are watched and waited for at once',
    expected: { statuses: { completed: 40 }, watched: 40 },
    async run(kit) {
      const { tasks } = kit.client()
      const handles = await Promise.all(Array.from({ length: 40 }, (_, i) => tasks.submit({ function: 'echo', payload: i })))
      const watched = Promise.all(handles.map(async (handle) => (await collect(handle.watch())).at(-1)!.result))
      const ends = await tasks.waitBatch(
        handles.map(({ taskId }) => taskId),
        { timeout: '20s' },
      )
      const statuses: Record<string, number> = {}
      for (const { status } of ends) statuses[status] = (statuses[status] ?? 0) + 1
      return { statuses, watched: (await watched).filter((result, i) => result === i).length }
    },
  },
  {
    name: 'a batch is submitted, looked at and waited for in order; failFast rejects',
    expected: {
      batch: true,
      results: ['a', 'b', 'c'],
      known: 3,
      listed: 3,
      failFast: { name: 'TaskFailedError', code: 'TASK_FAILED', statusCode: 500 },
    },
    async run(kit) {
      const { tasks } = kit.client()
      const { batchId, taskIds } = await tasks.submitBatch({
        function: 'echo',
        tasks: [{ payload: 'a' }, { payload: 'b' }, { payload: 'c' }],
      })
      const ends = await tasks.waitBatch(taskIds, { timeout: '20s' })
      const bad = await tasks.submitBatch({ tasks: [{ function: 'hang' }, { function: 'fail', retry: { maxAttempts: 1 } }] })
      return {
        batch: batchId.startsWith('batch_'),
        results: ends.map(({ result }) => result),
        known: Object.keys(await tasks.statusBatch([...taskIds, 'task_00000000000'])).length,
        listed: (await tasks.list({ batchId })).items.length,
        failFast: await failureOf(tasks.waitBatch(bad.taskIds, { failFast: true, timeout: '20s' })),
      }
    },
  },
  {
    name: 'a task is cancelled, and tried again',
    expected: {
      cancelled: ['cancelled', 'not wanted'],
      again: { name: 'ConflictError', code: 'FAILED_PRECONDITION', statusCode: 409, requestId: 'given' },
      retried: 'pending',
    },
    async run(kit) {
      const { tasks } = kit.client()
      const task = await tasks.submit({ function: 'echo', delay: '1h' })
      const { status, message } = await task.cancel({ reason: 'not wanted' })
      return {
        cancelled: [status, message],
        again: await failureOf(tasks.cancel(task.taskId)),
        retried: (await tasks.retry(task.taskId)).status,
      }
    },
  },
  {
    name: 'all that is known of a task is there',
    expected: {
      function: 'echo',
      type: 'stateless',
      queue: 'default',
      priority: 10,
      payload: { n: 1 },
      labels: { env: 'test', 'a.b/c': 'ü' },
      attempts: 1,
      status: 'completed',
      dates: true,
      executedOn: true,
      durationMs: 'number',
    },
    async run(kit) {
      const { tasks } = kit.client()
      const labels = { env: 'test', 'a.b/c': 'ü' }
      const { taskId } = await tasks.submit({ function: 'echo', payload: { n: 1 }, priority: 'high', labels })
      await tasks.wait(taskId, { timeout: '20s' })
      const task = await tasks.get(taskId)
      const { createdAt, startedAt, finishedAt, executedOn, durationMs } = task
      return {
        function: task.function,
        type: task.type,
        queue: task.queue,
        priority: task.priority,
        payload: task.payload,
        labels: task.labels,
        attempts: task.attempts,
        status: task.status,
        dates: createdAt <= startedAt! && startedAt! <= finishedAt! && createdAt instanceof Date,
        executedOn: executedOn !== '',
        durationMs: typeof durationMs,
      }
    },
  },
  {
    name: 'lists are paged, walked and filtered',
    expected: { page: 3, more: true, all: [6, 5, 4, 3, 2, 1, 0], labelled: 2, cancelled: 1, both: 7, none: 0 },
    async run(kit) {
      const { tasks } = kit.client()
      for (let n = 0; n < 7; n++)
        await tasks.submit({ function: 'later', delay: '1h', labels: { n: String(n), half: n < 2 ? 'low' : 'high' } })
      const page = await tasks.list({ limit: 3 })
      const all = await collect(tasks.list({ limit: 3 }))
      await tasks.cancel(all[0]!.taskId)
      const count = async (filter: ListTasksOptions): Promise<number> => (await collect(tasks.list(filter))).length
      return {
        page: page.items.length,
        more: page.nextCursor !== undefined,
        all: all.map(({ labels }) => Number(labels.n)),
        labelled: await count({ labels: { half: 'low' } }),
        cancelled: await count({ status: 'cancelled' }),
        both: await count({ status: ['cancelled', 'scheduled'], function: 'later' }),
        none: await count({ function: 'never' }),
      }
    },
  },
  {
    name: 'a log is read in pages and followed to its end',
    expected: {
      lines: ['step 1', 'step 2', 'step 3'],
      followed: ['step 1', 'step 2', 'step 3'],
      entry: { level: 'info', fields: { n: 1 }, date: true },
    },
    async run(kit) {
      const { tasks } = kit.client()
      const { taskId } = await tasks.submit({ function: 'steps', payload: 3 })
      const followed = await collect(tasks.logs(taskId, { follow: true }))
      const entries = await collect(tasks.logs(taskId, { limit: 2 }))
      const { level, fields, timestamp } = entries[0]!
      return {
        lines: entries.map(({ message }) => message),
        followed: followed.map(({ message }) => message),
        entry: { level, fields, date: timestamp instanceof Date },
      }
    },
  },
  {
    name: 'the same idempotency key is the same task, and another payload under it a conflict',
    expected: { same: true, created: [true, false], other: { name: 'ConflictError', code: 'ALREADY_EXISTS', statusCode: 409 } },
    async run(kit) {
      const { tasks } = kit.client()
      const order = { function: 'later', delay: '1h', idempotencyKey: 'order-1', payload: 1 } as const
      const first = await tasks.submit(order)
      const second = await tasks.submit(order)
      return {
        same: first.taskId === second.taskId,
        created: [first.created, second.created],
        other: await failureOf(tasks.submit({ ...order, payload: 2 })),
      }
    },
  },
]
