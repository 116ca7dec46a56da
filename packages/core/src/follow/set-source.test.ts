import type { FollowTaskSetRequest, TaskUpdate } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { PermissionDeniedError, TaskNotFoundError, UnavailableError } from '../errors/errors.ts'
import { completed, down, running } from '../testing/follow.ts'
import { turn } from '../testing/manual-clock.ts'
import { collect, setUp, taskUpdate } from '../testing/setup.ts'

/** A stream as the test's server has it. */
interface Stream {
  readonly request: FollowTaskSetRequest
  open: boolean
  say(...updates: (Partial<TaskUpdate> & Pick<TaskUpdate, 'taskId' | 'state'>)[]): void
  missing(taskId: string): void
  end(error?: Error): void
}

/** A client whose transport has no duplex calls. */
function setUpSet() {
  const { clock, transport, mr } = setUp({ timeout: '10s' }, { duplex: false })
  const streams: Stream[] = []
  transport.onStream('TaskService/FollowTaskSet', async function* (request, { signal }) {
    const messages: { updates: TaskUpdate[]; missing: string[] }[] = []
    let ended: { error?: Error } | undefined
    let wake: () => void = () => undefined
    const put = (updates: TaskUpdate[], missing: string[]) => {
      messages.push({ updates, missing })
      wake()
    }
    const stream: Stream = {
      request,
      open: true,
      say: (...updates) => put(updates.map(taskUpdate), []),
      missing: (taskId) => put([], [taskId]),
      end(error) {
        ended = { error }
        wake()
      },
    }
    streams.push(stream)
    signal?.addEventListener('abort', () => stream.end(new Error('aborted')))
    try {
      while (!ended || messages.length > 0) {
        yield* messages.splice(0)
        if (!ended && messages.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      }
      if (ended.error) throw ended.error
    } finally {
      stream.open = false
    }
  })
  return { clock, mr, tasks: mr.tasks, streams, stream: () => streams.at(-1)!, open: () => streams.filter(({ open }) => open) }
}

test('all tasks travel over one stream, watched and waited for', async () => {
  const { tasks, streams, stream } = setUpSet()
  const all = collect(tasks.watch('task_1'))
  const end = tasks.waitBatch(['task_2', 'task_1'])
  await turn()
  expect(streams.map(({ request }) => request)).toEqual([{ taskIds: ['task_1'], terminalTaskIds: ['task_2'] }])
  stream().say({ taskId: 'task_1', state: running, revision: 1 })
  stream().say({ taskId: 'task_2', state: completed, revision: 2 }, { taskId: 'task_1', state: completed, revision: 3 })
  stream().end()
  expect((await all).map(({ status }) => status)).toEqual(['running', 'completed'])
  expect((await end).map(({ taskId }) => taskId)).toEqual(['task_2', 'task_1'])
})

test('a task that comes later shares a new stream with the others, and the old one is closed', async () => {
  const { clock, tasks, streams, stream, open } = setUpSet()
  const first = collect(tasks.watch('task_1'))
  await turn()
  stream().say({ taskId: 'task_1', state: running, revision: 1 })
  const later = Promise.all(['task_2', 'task_3'].map((taskId) => tasks.wait(taskId)))
  await clock.advance(50)
  expect(streams).toHaveLength(2)
  expect(open()).toHaveLength(1)
  expect(stream().request).toEqual({ taskIds: ['task_1'], terminalTaskIds: ['task_2', 'task_3'] })
  stream().say(
    { taskId: 'task_1', state: running, revision: 1 },
    { taskId: 'task_2', state: completed },
    { taskId: 'task_3', state: completed },
  )
  stream().say({ taskId: 'task_1', state: completed, revision: 2 })
  await later
  expect((await first).map(({ status }) => status)).toEqual(['running', 'completed'])
})

test('after a break, and after an end that came too early, it is opened again', async () => {
  const { clock, tasks, streams, stream } = setUpSet()
  const all = collect(tasks.watch('task_1'))
  await turn()
  stream().say({ taskId: 'task_1', state: running, revision: 1 })
  stream().end(down())
  await clock.advance(1000)
  expect(streams).toHaveLength(2)
  stream().end()
  await clock.advance(1000)
  expect(streams).toHaveLength(3)
  stream().say({ taskId: 'task_1', state: completed, revision: 2 })
  expect((await all).map(({ status }) => status)).toEqual(['running', 'completed'])
})

test('a task that comes while the server is away does not hurry the next try', async () => {
  const { clock, tasks, streams, stream } = setUpSet()
  const watch = tasks.watch('task_1').on('update', () => undefined)
  await turn()
  stream().end(new UnavailableError({ reason: 'UNAVAILABLE', message: 'Come later.', retryAfterMs: 5000 }))
  await turn()
  const wait = tasks.wait('task_2')
  await clock.advance(4000)
  expect(streams).toHaveLength(1)
  await clock.advance(1000)
  expect(stream().request).toEqual({ taskIds: ['task_1'], terminalTaskIds: ['task_2'] })
  stream().say({ taskId: 'task_2', state: completed })
  await wait
  watch.close()
})

test('time asleep is not time without an answer', async () => {
  const { clock, tasks, streams, stream } = setUpSet()
  const all = collect(tasks.watch('task_1'))
  await turn()
  stream().end(down())
  await clock.advance(100)
  // The try hangs while the machine sleeps for an hour, and breaks when it wakes.
  await clock.advance(3_600_000)
  stream().end(down())
  await clock.advance(1000)
  expect(streams.length).toBeGreaterThan(2)
  stream().say({ taskId: 'task_1', state: completed, revision: 2 })
  expect((await all).at(-1)).toMatchObject({ status: 'completed' })
})

test('says when there is no such task, and what does not mend', async () => {
  const { tasks, stream } = setUpSet()
  const missing = expect(tasks.wait('task_1')).rejects.toThrow(TaskNotFoundError)
  const denied = expect(tasks.wait('task_2')).rejects.toThrow(PermissionDeniedError)
  await turn()
  stream().missing('task_1')
  await missing
  stream().end(new PermissionDeniedError({ reason: 'PERMISSION_DENIED', message: 'no' }))
  await denied
})

test('a stream that follows nothing is kept for a moment, then closed, and nothing stays', async () => {
  const { clock, mr, tasks, streams, open } = setUpSet()
  const watch = () => tasks.watch('task_1').on('update', () => undefined)
  watch().close()
  await turn()
  expect(streams).toHaveLength(0)
  const first = watch()
  await turn()
  first.close()
  await clock.advance(900)
  expect(open()).toHaveLength(1)
  await clock.advance(200)
  expect(open()).toHaveLength(0)
  watch()
  await turn()
  expect(open()).toHaveLength(1)
  await mr.close()
  await turn()
  expect(open()).toHaveLength(0)
  expect(clock.pending).toBe(0)
})
