import { describe, expect, test } from 'vitest'
import { AuthenticationError, TaskTimeoutError, UnavailableError } from '../errors/errors.ts'
import { added, completed, down, running, setUpFollow } from '../testing/follow.ts'
import { turn } from '../testing/manual-clock.ts'
import { collect } from '../testing/setup.ts'

describe('a break', () => {
  test('is mended: everything is followed again, and the end is not lost', async () => {
    const { clock, tasks, streams, stream, say } = setUpFollow()
    const all = collect(tasks.watch('task_1'))
    const wait = tasks.wait('task_2')
    await turn()
    say({ taskId: 'task_1', state: running, revision: 5 })
    stream().break(down())
    await clock.advance(200)
    expect(streams()).toHaveLength(2)
    expect([added(stream(), false), added(stream(), true)]).toEqual([['task_1'], ['task_2']])
    // The present state again is no news; the end that happened meanwhile is.
    say({ taskId: 'task_1', state: running, revision: 5 }, { taskId: 'task_2', state: completed, revision: 9 })
    say({ taskId: 'task_1', state: completed, revision: 6 })
    expect((await all).map((update) => update.status)).toEqual(['running', 'completed'])
    expect(await wait).toMatchObject({ status: 'completed' })
  })

  test('by the server without an error is mended too', async () => {
    const { clock, tasks, streams, stream, say } = setUpFollow()
    const wait = tasks.wait('task_1')
    await turn()
    stream().break()
    await clock.advance(200)
    expect(streams()).toHaveLength(2)
    say({ taskId: 'task_1', state: completed })
    await wait
  })

  test('that lasts makes the waits between tries grow, and a listener without a time limit give up', async () => {
    const { clock, tasks, streams, stream } = setUpFollow({ timeout: '30s' })
    const impatient = tasks.wait('task_1').catch((error: unknown) => error)
    const patient = tasks.wait('task_2', { timeout: '5m' }).catch((error: unknown) => error)
    await turn()
    for (let seconds = 0; seconds < 60; seconds++) {
      stream().break(down())
      await clock.advance(1000)
    }
    expect(streams().length).toBeGreaterThan(8)
    expect(streams().length).toBeLessThan(30)
    expect(await impatient).toBeInstanceOf(UnavailableError)
    stream().break(down())
    await clock.advance(300_000)
    expect(await patient).toBeInstanceOf(TaskTimeoutError)
    expect(await patient).toMatchObject({ cause: { name: 'UnavailableError' } })
  })

  test('for a cause that does not mend by itself ends everything at once', async () => {
    const { clock, tasks, streams, stream } = setUpFollow()
    const wait = expect(tasks.wait('task_1', { timeout: '5m' })).rejects.toThrow(AuthenticationError)
    const watch = expect(collect(tasks.watch('task_2'))).rejects.toThrow(AuthenticationError)
    await turn()
    stream().break(new AuthenticationError({ reason: 'UNAUTHENTICATED', message: 'revoked' }))
    await wait
    await watch
    await clock.advance(60_000)
    expect(streams()).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  test('for a refused token fetches another', async () => {
    const { clock, tasks, streams, stream, say } = setUpFollow({ token: async () => 'token' })
    const wait = tasks.wait('task_1')
    await turn()
    stream().break(new AuthenticationError({ reason: 'UNAUTHENTICATED', message: 'expired' }))
    await clock.advance(200)
    expect(streams()).toHaveLength(2)
    say({ taskId: 'task_1', state: completed })
    await wait
  })

  test('when nobody follows any more opens nothing', async () => {
    const { clock, tasks, streams, stream, say } = setUpFollow()
    const wait = tasks.wait('task_1')
    await turn()
    say({ taskId: 'task_1', state: completed })
    await wait
    stream().break(down())
    await clock.advance(60_000)
    expect(streams()).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })
})

test('a stream that follows nothing is kept for a moment, then closed, and opened again when needed', async () => {
  const { clock, tasks, streams, stream, say } = setUpFollow()
  for (let i = 0; i < 3; i++) {
    const wait = tasks.wait(`task_${i}`)
    await turn()
    say({ taskId: `task_${i}`, state: completed })
    await wait
    await clock.advance(500)
  }
  expect(streams()).toHaveLength(1)
  await clock.advance(1000)
  expect(stream().over).toBe(true)
  expect(clock.pending).toBe(0)
  const wait = tasks.wait('task_9')
  await turn()
  expect(streams()).toHaveLength(2)
  say({ taskId: 'task_9', state: completed })
  await wait
})

test('a task that is left and followed again is asked for anew', async () => {
  const { tasks, stream } = setUpFollow()
  const watch = tasks.watch('task_1').on('update', () => undefined)
  await turn()
  watch.close()
  const again = tasks.watch('task_1').on('update', () => undefined)
  await turn()
  expect(stream().sent.slice(1)).toEqual([
    { add: [], remove: ['task_1'], terminalOnly: false },
    { add: ['task_1'], remove: [], terminalOnly: false },
  ])
  again.close()
})

test('a closed client ends waits and watches', async () => {
  const { tasks, mr, stream } = setUpFollow()
  const wait = expect(tasks.wait('task_1')).rejects.toThrow('This client is closed.')
  const watch = expect(collect(tasks.watch('task_2'))).rejects.toThrow(UnavailableError)
  await turn()
  await mr.close()
  await wait
  await watch
  expect(stream().over).toBe(true)
  await expect(tasks.wait('task_3')).rejects.toThrow(UnavailableError)
})
