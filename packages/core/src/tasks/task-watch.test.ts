import { describe, expect, test } from 'vitest'
import { AbortError } from '../errors/errors.ts'
import { added, cancelled, completed, failed, running, setUpFollow } from '../testing/follow.ts'
import { turn } from '../testing/manual-clock.ts'
import { collect, json } from '../testing/setup.ts'

describe('watch', () => {
  test('iterates from the present state to the terminal one', async () => {
    const { tasks, streams, stream, say } = setUpFollow()
    const watch = tasks.watch<{ n: number }>('task_1')
    expect(streams()).toHaveLength(0)
    const all = collect(watch)
    await turn()
    expect(added(stream(), false)).toEqual(['task_1'])
    say({ taskId: 'task_1', state: running, revision: 2, progress: 10 })
    say({ taskId: 'task_1', state: running, revision: 3, progress: 50, message: 'half' })
    say({ taskId: 'task_1', state: completed, revision: 4, progress: 100, result: json({ n: 1 }) })
    expect((await all).map((update) => [update.status, update.progress, update.result])).toEqual([
      ['running', 10, undefined],
      ['running', 50, undefined],
      ['completed', 100, { n: 1 }],
    ])
  })

  test('tells listeners, and nothing after the end', async () => {
    const { tasks, say } = setUpFollow()
    const heard: string[] = []
    const watch = tasks
      .watch('task_1')
      .on('update', (update) => heard.push(`update ${update.status}`))
      .on('completed', (update) => heard.push(`completed ${String(update.result)}`))
      .on('failed', () => heard.push('failed'))
      .on('error', () => heard.push('error'))
    await turn()
    say({ taskId: 'task_1', state: running, revision: 1 })
    say({ taskId: 'task_1', state: completed, revision: 2, result: json(7) })
    say({ taskId: 'task_1', state: failed, revision: 3 })
    expect(heard).toEqual(['update running', 'update completed', 'completed 7'])
    watch.close()
  })

  test.each([
    [failed, 'failed'],
    [cancelled, 'cancelled'],
  ] as const)('state %d is the event %s', async (state, event) => {
    const { tasks, say } = setUpFollow()
    const ended = new Promise((resolve) => tasks.watch('task_1').on(event, resolve))
    await turn()
    say({ taskId: 'task_1', state })
    expect(await ended).toMatchObject({ taskId: 'task_1', status: event })
  })

  test('close ends iterations without an error and stops following', async () => {
    const { tasks, stream, say } = setUpFollow()
    const watch = tasks.watch('task_1')
    const all = collect(watch)
    await turn()
    say({ taskId: 'task_1', state: running })
    await turn()
    watch.close()
    expect(await all).toHaveLength(1)
    await turn()
    expect(stream().sent.at(-1)?.remove).toEqual(['task_1'])
    expect(await collect(watch)).toEqual([])
  })

  test('a broken-off iteration stops following; two iterations both see everything', async () => {
    const { tasks, stream, say } = setUpFollow()
    const watch = tasks.watch('task_1')
    const both = Promise.all([
      (async () => {
        for await (const update of watch) if (update.progress === 1) break
      })(),
      (async () => {
        const seen: number[] = []
        for await (const update of watch) {
          seen.push(update.progress)
          if (update.progress === 2) break
        }
        return seen
      })(),
    ])
    await turn()
    say({ taskId: 'task_1', state: running, revision: 1, progress: 1 })
    await turn()
    say({ taskId: 'task_1', state: running, revision: 2, progress: 2 })
    expect((await both)[1]).toEqual([1, 2])
    await turn()
    expect(stream().sent.at(-1)?.remove).toEqual(['task_1'])
  })

  test('a signal ends it with an AbortError, for iterations and listeners', async () => {
    const { tasks } = setUpFollow()
    const controller = new AbortController()
    const watch = tasks.watch('task_1', { signal: controller.signal })
    const heard = new Promise((resolve) => watch.on('error', resolve))
    const all = expect(collect(watch)).rejects.toThrow(AbortError)
    await turn()
    controller.abort()
    await all
    expect(await heard).toBeInstanceOf(AbortError)
    const early = tasks.watch('task_1', { signal: AbortSignal.abort() })
    await expect(collect(early)).rejects.toThrow(AbortError)
  })

  test('a reader that is slow loses old states, never the last', async () => {
    const { tasks, say } = setUpFollow()
    const iterator = tasks.watch('task_1')[Symbol.asyncIterator]()
    await turn()
    for (let revision = 1; revision <= 500; revision++) say({ taskId: 'task_1', state: running, revision, progress: revision / 5 })
    say({ taskId: 'task_1', state: completed, revision: 501, progress: 100 })
    const seen: string[] = []
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) seen.push(next.value.status)
    expect(seen.length).toBeLessThanOrEqual(64)
    expect(seen.at(-1)).toBe('completed')
  })

  test('a newcomer hears the present state; a waiter beside a watcher needs no message of its own', async () => {
    const { tasks, stream, say } = setUpFollow()
    const first = collect(tasks.watch('task_1'))
    await turn()
    say({ taskId: 'task_1', state: running, revision: 3, progress: 30 })
    const second = collect(tasks.watch('task_1'))
    const wait = tasks.wait('task_1')
    await turn()
    expect(stream().sent).toHaveLength(1)
    say({ taskId: 'task_1', state: completed, revision: 4 })
    expect((await second).map((update) => update.status)).toEqual(['running', 'completed'])
    expect(await first).toHaveLength(2)
    expect(await wait).toMatchObject({ status: 'completed' })
  })

  test('a watcher beside a waiter asks for everything', async () => {
    const { tasks, stream, say } = setUpFollow()
    const wait = tasks.wait('task_1')
    await turn()
    const all = collect(tasks.watch('task_1'))
    await turn()
    expect(added(stream(), true)).toEqual(['task_1'])
    expect(added(stream(), false)).toEqual(['task_1'])
    say({ taskId: 'task_1', state: running, revision: 1 }, { taskId: 'task_1', state: completed, revision: 2 })
    expect(await all).toHaveLength(2)
    await wait
  })

  test('a result that cannot be read is an error', async () => {
    const { tasks, say } = setUpFollow()
    const all = expect(collect(tasks.watch('task_1'))).rejects.toThrow(/^result: is not valid JSON/)
    const wait = expect(tasks.wait('task_1')).rejects.toThrow(/^result: is not valid JSON/)
    await turn()
    say({ taskId: 'task_1', state: completed, result: new Uint8Array([123]) })
    await all
    await wait
  })
})
