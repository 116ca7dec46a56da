import { describe, expect, test } from 'vitest'
import { AbortError, TaskFailedError, TaskNotFoundError, TaskTimeoutError } from '../errors/errors.ts'
import { cancelled, completed, failed, running, setUpFollow } from '../testing/follow.ts'
import { turn } from '../testing/manual-clock.ts'
import { json, taskUpdate } from '../testing/setup.ts'

describe('wait', () => {
  test('resolves in any terminal status, woken by the server', async () => {
    const { tasks, stream, say } = setUpFollow()
    const ends = Promise.all([tasks.wait('task_1'), tasks.wait('task_2'), tasks.wait('task_3')])
    await turn()
    say({ taskId: 'task_1', state: completed, result: json({ n: 1 }), progress: 100 })
    say({ taskId: 'task_2', state: failed, error: { message: 'no disk', code: 'Error', stack: '' } })
    say({ taskId: 'task_3', state: cancelled, message: 'not needed' })
    expect(await ends).toEqual([
      { taskId: 'task_1', status: 'completed', progress: 100, message: '', result: { n: 1 } },
      { taskId: 'task_2', status: 'failed', progress: 0, message: '', error: { message: 'no disk', code: 'Error' } },
      { taskId: 'task_3', status: 'cancelled', progress: 0, message: 'not needed' },
    ])
    expect(stream().sent).toEqual([{ add: ['task_1', 'task_2', 'task_3'], remove: [], terminalOnly: true }])
  })

  test('many waits share one stream and one message', async () => {
    const { tasks, streams, stream, say } = setUpFollow()
    const ids = Array.from({ length: 2500 }, (_, i) => `task_${i}`)
    const ends = Promise.all(ids.map((id) => tasks.wait(id)))
    await turn()
    expect(streams()).toHaveLength(1)
    expect(stream().sent.map((message) => message.add.length)).toEqual([1000, 1000, 500])
    for (const taskId of ids) say({ taskId, state: completed })
    await ends
  })

  test('times out with TaskTimeoutError and stops following', async () => {
    const { clock, tasks, stream } = setUpFollow()
    const end = tasks.wait('task_1', { timeout: '5s' }).catch((error: unknown) => error)
    await clock.advance(5000)
    expect(await end).toBeInstanceOf(TaskTimeoutError)
    expect(await end).toMatchObject({ taskId: 'task_1', timeout: 5000 })
    await turn()
    expect(stream().sent.at(-1)).toEqual({ add: [], remove: ['task_1'], terminalOnly: false })
  })

  test('aborts, at once and later', async () => {
    const { tasks, streams, stream } = setUpFollow()
    await expect(tasks.wait('task_1', { signal: AbortSignal.abort() })).rejects.toThrow(AbortError)
    expect(streams()).toHaveLength(0)
    const controller = new AbortController()
    const end = expect(tasks.wait('task_1', { signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' })
    await turn()
    controller.abort()
    await end
    await turn()
    expect(stream().sent.at(-1)?.remove).toEqual(['task_1'])
  })

  test('a task that does not exist', async () => {
    const { tasks, stream } = setUpFollow()
    const end = expect(tasks.wait('task_1')).rejects.toThrow(TaskNotFoundError)
    await turn()
    stream().say({ updates: [], missing: ['task_1'] })
    await end
  })

  test('with pollInterval it asks instead', async () => {
    const { clock, transport, tasks, streams } = setUpFollow()
    let state: 4 | 5 = running
    transport.on('TaskService/GetTasks', ({ taskIds }) => ({
      tasks: taskIds.map((taskId) => ({ ...taskUpdate({ taskId, state }) }) as never),
    }))
    const end = tasks.wait('task_1', { pollInterval: '2s' })
    await clock.advance(2000)
    state = completed
    await clock.advance(2000)
    expect(await end).toMatchObject({ status: 'completed' })
    expect(transport.requests('TaskService/GetTasks')).toHaveLength(3)
    expect(streams()).toHaveLength(0)
    state = running
    const late = expect(tasks.wait('task_1', { pollInterval: '2s', timeout: '5s' })).rejects.toThrow(TaskTimeoutError)
    await clock.advance(6000)
    await late
  })
})

describe('waitBatch', () => {
  test('resolves in the order of the ids, whatever the order of the ends', async () => {
    const { tasks, say } = setUpFollow()
    const end = tasks.waitBatch(['task_1', 'task_2', 'task_1'])
    await turn()
    say({ taskId: 'task_2', state: failed })
    say({ taskId: 'task_1', state: completed })
    expect((await end).map((status) => [status.taskId, status.status])).toEqual([
      ['task_1', 'completed'],
      ['task_2', 'failed'],
      ['task_1', 'completed'],
    ])
    expect(await tasks.waitBatch([])).toEqual([])
  })

  test.each([
    [failed, 'failed'],
    [cancelled, 'cancelled'],
  ] as const)('failFast rejects with the first that ends without a result', async (state, status) => {
    const { tasks, stream, say } = setUpFollow()
    const end = tasks.waitBatch(['task_1', 'task_2', 'task_3'], { failFast: true }).catch((error: unknown) => error)
    await turn()
    say({ taskId: 'task_1', state: completed })
    say({ taskId: 'task_2', state, error: { message: 'no disk', code: 'Error', stack: '' } })
    expect(await end).toBeInstanceOf(TaskFailedError)
    expect(await end).toMatchObject({ taskId: 'task_2', status })
    await turn()
    expect(stream().sent.at(-1)?.remove).toEqual(['task_3'])
  })

  test('times out naming a task that has not ended', async () => {
    const { clock, tasks, say } = setUpFollow()
    const end = tasks.waitBatch(['task_1', 'task_2'], { timeout: 1000 }).catch((error: unknown) => error)
    await turn()
    say({ taskId: 'task_1', state: completed })
    await clock.advance(1000)
    expect(await end).toMatchObject({ name: 'TaskTimeoutError', taskId: 'task_2' })
  })
})
