import { describe, expect, test } from 'vitest'
import { ConflictError, PermissionDeniedError, QuotaExceededError } from '../errors/errors.ts'
import { cancelled, completed, failed, running, setUpFollow } from '../testing/follow.ts'
import { turn } from '../testing/manual-clock.ts'
import { json, wireTask } from '../testing/setup.ts'
import { TaskRun } from './task-run.ts'

/** A run whose submitted tasks are `task_1`, `task_2`, … */
function setUpRun() {
  const follow = setUpFollow()
  let submitted = 0
  follow.transport.on('TaskService/SubmitTasks', ({ tasks }) => ({
    results: tasks.map(() => ({ taskId: `task_${++submitted}`, created: true, error: undefined })),
    batchId: '',
  }))
  const run = new TaskRun<number>(follow.mr)
  const seen: unknown[] = []
  const listen = () =>
    run.subscribe(() => {
      const { taskId, status, progress, result, error, isLoading } = run.getSnapshot()
      seen.push([taskId, status, progress, result, error?.message, isLoading])
    })
  return { ...follow, run, seen, listen }
}

test('a task is submitted, shown and ended', async () => {
  const { run, seen, listen, say } = setUpRun()
  listen()
  const task = await run.submit({ function: 'f' })
  expect(task?.taskId).toBe('task_1')
  await turn()
  say({ taskId: 'task_1', state: running, revision: 1, progress: 30 })
  say({ taskId: 'task_1', state: completed, revision: 2, progress: 100, result: json(42) })
  expect(seen[0]).toEqual([undefined, undefined, 0, undefined, undefined, true])
  expect(seen.slice(-2)).toEqual([
    ['task_1', 'running', 30, undefined, undefined, true],
    ['task_1', 'completed', 100, 42, undefined, false],
  ])
  expect(run.getSnapshot()).toBe(run.getSnapshot())
})

test('a failed task shows the error of its handler', async () => {
  const { run, listen, say } = setUpRun()
  listen()
  await run.submit({})
  await turn()
  say({ taskId: 'task_1', state: failed, error: { message: 'boom', code: 'TypeError', stack: '' } })
  expect(run.getSnapshot()).toMatchObject({ status: 'failed', error: { message: 'boom', code: 'TypeError' }, isLoading: false })
})

test('a refused submission rejects nothing and shows why; the next one begins afresh', async () => {
  const { run, listen, transport } = setUpRun()
  listen()
  transport.on('TaskService/SubmitTasks', () => {
    throw new QuotaExceededError({ reason: 'QUOTA_EXCEEDED', message: 'full' })
  })
  expect(await run.submit({})).toBeUndefined()
  expect(run.getSnapshot()).toMatchObject({ error: { message: 'full' }, isLoading: false })
  transport.on('TaskService/SubmitTasks', () => ({ results: [{ taskId: 'task_7', created: true, error: undefined }], batchId: '' }))
  await run.submit({})
  expect(run.getSnapshot()).toMatchObject({ taskId: 'task_7', error: undefined, isLoading: true })
})

describe('one task at a time', () => {
  test('of two submissions the later one is shown', async () => {
    const { run, listen, stream } = setUpRun()
    listen()
    const [first, second] = await Promise.all([run.submit({}), run.submit({})])
    expect(first).toBeUndefined()
    expect(run.getSnapshot().taskId).toBe(second!.taskId)
    await turn()
    expect(stream().sent.flatMap((message) => message.add)).toEqual([second!.taskId])
  })

  test('reset forgets the task', async () => {
    const { run, listen, say, clock, stream } = setUpRun()
    listen()
    await run.submit({})
    await turn()
    say({ taskId: 'task_1', state: running, progress: 5 })
    run.reset()
    expect(run.getSnapshot()).toEqual({
      taskId: undefined,
      status: undefined,
      progress: 0,
      message: '',
      result: undefined,
      error: undefined,
      isLoading: false,
      state: 'idle',
    })
    await clock.advance(2000)
    expect(stream().sent.at(-1)?.remove).toEqual(['task_1'])
  })
})

describe('cancel', () => {
  test('cancels the task, and does nothing without one', async () => {
    const { run, listen, transport, say } = setUpRun()
    transport.on('TaskService/CancelTask', ({ taskId }) => ({ task: wireTask({ taskId, state: cancelled }) }))
    listen()
    await run.cancel()
    await run.submit({})
    await turn()
    await run.cancel({ reason: 'enough' })
    expect(transport.requests('TaskService/CancelTask')).toEqual([{ taskId: 'task_1', reason: 'enough' }])
    say({ taskId: 'task_1', state: cancelled })
    expect(run.getSnapshot()).toMatchObject({ status: 'cancelled', isLoading: false, error: undefined })
  })

  test('shows why it could not be, but not that the task had ended', async () => {
    const { run, listen, transport } = setUpRun()
    listen()
    await run.submit({})
    transport.on('TaskService/CancelTask', () => {
      throw new ConflictError({ reason: 'FAILED_PRECONDITION', message: 'It has ended.' })
    })
    await run.cancel()
    expect(run.getSnapshot().error).toBeUndefined()
    transport.on('TaskService/CancelTask', () => {
      throw new PermissionDeniedError({ reason: 'PERMISSION_DENIED', message: 'not yours' })
    })
    await run.cancel()
    expect(run.getSnapshot()).toMatchObject({ taskId: 'task_1', error: { message: 'not yours' } })
  })
})

describe('when nobody listens', () => {
  test('nothing is looked at; who listens again sees the task', async () => {
    const { run, listen, stream, say, clock } = setUpRun()
    const stop = listen()
    await run.submit({})
    await turn()
    stop()
    await clock.advance(3000)
    expect(stream().over).toBe(true)
    expect(clock.pending).toBe(0)
    listen()
    await turn()
    say({ taskId: 'task_1', state: completed, result: json(1) })
    expect(run.getSnapshot()).toMatchObject({ status: 'completed', result: 1 })
  })

  test('a submission without an answer is aborted, unless the listener only changes places', async () => {
    const { run, listen, transport, clock } = setUpRun()
    let answer: (() => void) | undefined
    transport.on('TaskService/SubmitTasks', () => {
      const response = { results: [{ taskId: 'task_9', created: true, error: undefined }], batchId: '' }
      return new Promise((resolve) => (answer = () => resolve(response)))
    })
    const stop = listen()
    const kept = run.submit({})
    await turn()
    stop()
    const again = listen()
    await clock.advance(1)
    answer!()
    expect((await kept)?.taskId).toBe('task_9')
    const lost = run.submit({})
    await turn()
    again()
    await clock.advance(1)
    expect(await lost).toBeUndefined()
    expect(run.getSnapshot()).toMatchObject({ isLoading: false, error: undefined })
  })
})
