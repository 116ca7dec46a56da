import type { Observer } from '@millrace/core/live'
import { observeClusterHealth, observeQueueStats, observeTask, observeTasks } from '@millrace/core/live'
import { expect, onTestFinished, test } from 'vitest'
import { freshName, startWorker, useServer } from '../harness/fixture.ts'

const fixture = useServer()
const soon = { timeout: 10_000, interval: 10 }

/** Looks at something until the test ends. */
function look<T>(observer: Observer<T>): Observer<T> {
  onTestFinished(observer.subscribe(() => undefined))
  return observer
}

test('a task, a list, counts and health are seen as they change, and again after the server was killed', async () => {
  const mr = fixture.client()
  const queue = freshName('q')
  let finish = (_: string): void => undefined
  const ended = new Promise<string>((resolve) => (finish = resolve))
  await startWorker(
    mr.worker({
      queue,
      tasks: {
        async slow(_payload, ctx) {
          await ctx.progress(50, 'half')
          return ended
        },
      },
    }),
  )
  const list = look(observeTasks(mr, { queue }))
  const stats = look(observeQueueStats(mr, queue))
  const health = look(observeClusterHealth(mr))
  await expect.poll(() => list.getSnapshot().data?.tasks.length, soon).toBe(0)
  const { taskId } = await mr.tasks.submit({ function: 'slow', queue })
  const task = look(observeTask<string>(mr, taskId))
  await expect.poll(() => task.getSnapshot().data, soon).toMatchObject({ status: 'running', progress: 50, message: 'half' })
  await expect.poll(() => list.getSnapshot().data?.tasks, soon).toMatchObject([{ taskId, status: 'running', progress: 50 }])
  await expect.poll(() => stats.getSnapshot().data, soon).toMatchObject({ pending: 0, processing: 1, total: 1 })
  expect(health.getSnapshot().data).toMatchObject({ healthy: true })

  await fixture.server.kill()
  const all: Observer<unknown>[] = [task, list, stats, health]
  const states = () => all.map((observer) => observer.getSnapshot().state)
  await expect.poll(states, soon).toEqual(all.map(() => 'reconnecting'))
  expect(task.getSnapshot()).toMatchObject({ data: { progress: 50 }, error: { name: 'UnavailableError' } })
  await fixture.server.restart()
  await expect.poll(states, soon).toEqual(all.map(() => 'live'))

  finish('done')
  await expect.poll(() => task.getSnapshot(), soon).toMatchObject({ state: 'ended', data: { status: 'completed', result: 'done' } })
  await expect.poll(() => list.getSnapshot().data?.tasks, soon).toMatchObject([{ taskId, status: 'completed', result: 'done' }])
  await expect.poll(() => stats.getSnapshot().data, soon).toMatchObject({ processing: 0, completed: 1 })
})

test('a thousand observers of one list share what one of them sees', async () => {
  const mr = fixture.client()
  const queue = freshName('q')
  const observers = Array.from({ length: 1000 }, () => look(observeTasks(mr, { queue })))
  await mr.tasks.submit({ queue, delay: '1h' })
  await expect.poll(() => observers[0]!.getSnapshot().data?.tasks.length, soon).toBe(1)
  expect(new Set(observers.map((observer) => observer.getSnapshot())).size).toBe(1)
})
