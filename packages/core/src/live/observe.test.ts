import type { GetHealthResponse, WatchTasksResponse } from '@millrace/protocol'
import { describe, expect, test, vi } from 'vitest'
import { AuthenticationError, PermissionDeniedError } from '../errors/errors.ts'
import { completed, down, running, setUpFollow } from '../testing/follow.ts'
import { turn } from '../testing/manual-clock.ts'
import { json, setUp, wireTask } from '../testing/setup.ts'
import { observeClusterHealth, observeQueueStats, observeTask, observeTasks } from './observe.ts'

const linger = 2000
const quiet = () => undefined

/** A stream whose messages the test says one by one; `error` breaks it. */
function channel<T>() {
  const streams: { push(value: T | Error): void; open: boolean }[] = []
  return {
    streams,
    say: (value: T | Error) => streams.at(-1)!.push(value),
    async *open(_request: unknown, { signal }: { signal?: AbortSignal }): AsyncIterable<T> {
      const queue: (T | Error)[] = []
      let wake = quiet as () => void
      const stream = {
        open: true,
        push(value: T | Error) {
          queue.push(value)
          wake()
        },
      }
      streams.push(stream)
      signal?.addEventListener('abort', () => wake())
      try {
        while (!signal?.aborted) {
          const next = queue.shift()
          if (next instanceof Error) throw next
          if (next !== undefined) yield next
          else await new Promise<void>((resolve) => (wake = resolve))
        }
      } finally {
        stream.open = false
      }
    },
  }
}

function setUpTasks() {
  const { clock, transport, mr } = setUp()
  const list = channel<WatchTasksResponse>()
  transport.onStream('TaskService/WatchTasks', list.open)
  return { clock, transport, mr, ...list }
}

const tasks = (...revisions: number[]): WatchTasksResponse => ({
  tasks: revisions.map((revision, i) => wireTask({ taskId: `task_${i}`, state: running, revision })),
  more: false,
})

describe('a task', () => {
  test('is loading, live and ended; its last value stays', async () => {
    const { mr, say } = setUpFollow()
    const observer = observeTask<number>(mr, 'task_1')
    const seen: unknown[] = []
    expect(observer.getSnapshot()).toEqual({ state: 'idle', data: undefined, error: undefined })
    observer.subscribe(() => {
      const { state, data } = observer.getSnapshot()
      seen.push([state, data?.status, data?.progress, data?.result])
    })
    expect(observer.getSnapshot().state).toBe('loading')
    await turn()
    say({ taskId: 'task_1', state: running, revision: 1, progress: 10 })
    say({ taskId: 'task_1', state: completed, revision: 2, progress: 100, result: json(7) })
    expect(seen).toEqual([
      ['loading', undefined, undefined, undefined],
      ['live', 'running', 10, undefined],
      ['ended', 'completed', 100, 7],
    ])
  })

  test('has one snapshot until something changes, and one subscription for all who look', async () => {
    const { mr, say, stream } = setUpFollow()
    let calls = 0
    for (let i = 0; i < 200; i++) observeTask(mr, 'task_1').subscribe(() => calls++)
    await turn()
    say({ taskId: 'task_1', state: running, revision: 1 })
    expect(stream().sent.flatMap((message) => message.add)).toEqual(['task_1'])
    expect(observeTask(mr, 'task_1').getSnapshot()).toBe(observeTask(mr, 'task_1').getSnapshot())
    expect(calls).toBe(200 + 1)
  })

  test('is followed on through a remount, and left a moment after nobody looks', async () => {
    const { mr, say, stream, clock } = setUpFollow()
    const observer = observeTask(mr, 'task_1')
    observer.subscribe(quiet)()
    const stop = observer.subscribe(quiet)
    await turn()
    say({ taskId: 'task_1', state: running, revision: 1, progress: 40 })
    stop()
    stop()
    await clock.advance(linger - 1)
    expect(observer.getSnapshot().data?.progress).toBe(40)
    const again = observer.subscribe(quiet)
    expect(observer.getSnapshot().state).toBe('live')
    await clock.advance(2 * linger)
    expect(stream().sent.flatMap((message) => message.add)).toEqual(['task_1'])
    again()
    await clock.advance(linger)
    expect(observer.getSnapshot()).toEqual({ state: 'idle', data: undefined, error: undefined })
    await turn()
    expect(stream().sent.at(-1)?.remove).toEqual(['task_1'])
    await clock.advance(linger)
    expect(stream().over).toBe(true)
    expect(clock.pending).toBe(0)
  })

  test('says that the connection broke, keeps its value, and is live again without being told anything new', async () => {
    const { mr, say, stream, clock } = setUpFollow({ timeout: 1000 })
    const observer = observeTask(mr, 'task_1')
    observer.subscribe(quiet)
    await turn()
    say({ taskId: 'task_1', state: running, revision: 4, progress: 50 })
    stream().break(down())
    expect(observer.getSnapshot()).toMatchObject({ state: 'reconnecting', data: { progress: 50 }, error: { name: 'UnavailableError' } })
    for (let minute = 0; minute < 10; minute++) {
      await clock.advance(60_000)
      stream().break(down())
    }
    expect(observer.getSnapshot().state).toBe('reconnecting')
    await clock.advance(5000)
    say({ taskId: 'task_1', state: running, revision: 4, progress: 50 })
    expect(observer.getSnapshot()).toMatchObject({ state: 'live', data: { progress: 50 }, error: undefined })
  })

  test('that does not exist is an error, and retry looks again', async () => {
    const { mr, stream, say } = setUpFollow()
    const observer = observeTask(mr, 'task_1')
    observer.subscribe(quiet)
    await turn()
    stream().say({ updates: [], missing: ['task_1'] })
    expect(observer.getSnapshot()).toMatchObject({ state: 'error', error: { name: 'TaskNotFoundError' } })
    observer.retry()
    expect(observer.getSnapshot()).toMatchObject({ state: 'loading', error: undefined })
    await turn()
    say({ taskId: 'task_1', state: running, revision: 1 })
    expect(observer.getSnapshot().state).toBe('live')
  })

  test('over a transport without duplex calls is live again when its stream stands, also when nothing has changed', async () => {
    const { clock, transport, mr } = setUp({}, { duplex: false })
    const { open, say, streams } = channel<{ updates: ReturnType<typeof update>[]; missing: string[] }>()
    const update = (revision: number) => ({ ...wireUpdate, revision })
    transport.onStream('TaskService/FollowTaskSet', open)
    const observer = observeTask(mr, 'task_1')
    observer.subscribe(quiet)
    await turn()
    say({ updates: [update(3)], missing: [] })
    await turn()
    say(down() as never)
    await turn()
    expect(observer.getSnapshot().state).toBe('reconnecting')
    await clock.advance(500)
    expect(streams).toHaveLength(2)
    expect(transport.requests('TaskService/FollowTaskSet').map(({ taskIds }) => taskIds)).toEqual([['task_1'], ['task_1']])
    say({ updates: [update(3)], missing: [] })
    await turn()
    expect(observer.getSnapshot().state).toBe('live')
  })
})

const wireUpdate = {
  taskId: 'task_1',
  state: running,
  progress: 0,
  message: '',
  timestamp: new Date(0),
  result: new Uint8Array(),
  resultContentType: '',
  error: undefined,
  attempts: 1,
} as const

describe('a list of tasks', () => {
  test('is the same for the same conditions, however they are written', async () => {
    const { mr, transport } = setUpTasks()
    observeTasks(mr, { labels: { a: '1', b: '2' }, status: 'running' }).subscribe(quiet)
    observeTasks(mr, { status: ['running'], labels: { b: '2', a: '1' } }).subscribe(quiet)
    observeTasks(mr, { status: ['completed'] }).subscribe(quiet)
    expect(transport.requests('TaskService/WatchTasks')).toHaveLength(2)
  })

  test('keeps the objects of tasks that did not change', async () => {
    const { mr, say } = setUpTasks()
    const observer = observeTasks(mr)
    observer.subscribe(quiet)
    say(tasks(1, 1))
    await turn()
    const before = observer.getSnapshot().data!.tasks
    say(tasks(1, 2))
    await turn()
    const after = observer.getSnapshot().data!.tasks
    expect(after[0]).toBe(before[0])
    expect(after[1]).not.toBe(before[1])
  })

  test('goes on after breaks of any length, and after the end of the stream', async () => {
    const { mr, say, streams, clock } = setUpTasks()
    const observer = observeTasks(mr)
    observer.subscribe(quiet)
    say(tasks(1))
    await turn()
    say(down())
    await turn()
    expect(observer.getSnapshot()).toMatchObject({ state: 'reconnecting', data: { tasks: [{ taskId: 'task_0' }] } })
    await clock.advance(500)
    for (let i = 0; i < 20; i++) {
      say(down())
      await clock.advance(60_000)
    }
    say(tasks(1, 1))
    await turn()
    expect(observer.getSnapshot()).toMatchObject({ state: 'live', error: undefined })
    expect(streams.filter((stream) => stream.open)).toHaveLength(1)
  })

  test('fails for what does not mend by itself, and opens nothing more', async () => {
    const { mr, say, streams, clock } = setUpTasks()
    const observer = observeTasks(mr)
    observer.subscribe(quiet)
    say(new PermissionDeniedError({ reason: 'PERMISSION_DENIED', message: 'no' }))
    await clock.advance(60_000)
    expect(observer.getSnapshot()).toMatchObject({ state: 'error', error: { name: 'PermissionDeniedError' } })
    expect(streams).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  test('fetches another token when one is refused', async () => {
    const { transport, mr, clock } = setUp({ token: async () => 'token' })
    const { open, say, streams } = channel<WatchTasksResponse>()
    transport.onStream('TaskService/WatchTasks', open)
    const observer = observeTasks(mr)
    observer.subscribe(quiet)
    say(new AuthenticationError({ reason: 'UNAUTHENTICATED', message: 'expired' }))
    await clock.advance(500)
    expect(streams).toHaveLength(2)
    say(tasks(1))
    await turn()
    expect(observer.getSnapshot().state).toBe('live')
  })

  test('is closed a moment after the last listener left, and with the client', async () => {
    const { mr, say, streams, clock } = setUpTasks()
    const observer = observeTasks(mr)
    const stop = observer.subscribe(quiet)
    say(tasks(1))
    await turn()
    stop()
    await clock.advance(linger)
    expect(streams.map((stream) => stream.open)).toEqual([false])
    observer.subscribe(quiet)
    say(tasks(1))
    await turn()
    await mr.close()
    await turn()
    expect(streams.map((stream) => stream.open)).toEqual([false, false])
    expect(observer.getSnapshot()).toMatchObject({ state: 'error', error: { message: 'This client is closed.' } })
    observeTasks(mr, { queue: 'another' }).subscribe(quiet)
    expect(observeTasks(mr, { queue: 'another' }).getSnapshot().state).toBe('error')
    expect(clock.pending).toBe(0)
  })

  test('a listener that throws does not disturb the others', async () => {
    const { mr, say } = setUpTasks()
    const observer = observeTasks(mr)
    const later = vi.spyOn(globalThis, 'queueMicrotask')
    let heard = 0
    observer.subscribe(quiet)
    observer.subscribe(() => {
      throw new Error('mine')
    })
    observer.subscribe(() => heard++)
    later.mockImplementation(() => undefined)
    say(tasks(1))
    await turn()
    const [report] = later.mock.lastCall!
    later.mockRestore()
    expect(heard).toBe(1)
    expect(report).toThrow('mine')
  })
})

describe('the first value', () => {
  test('can be waited for before anybody listens, and is there for who comes then', async () => {
    const { mr, say, streams, clock } = setUpTasks()
    const observer = observeTasks(mr)
    const first = observer.first()
    expect(observer.first()).toBe(first)
    await turn()
    say(tasks(1))
    await first
    expect(observer.first()).toBeUndefined()
    const stop = observer.subscribe(quiet)
    await clock.advance(10 * linger)
    expect(streams.map((stream) => stream.open)).toEqual([true])
    stop()
    await clock.advance(linger)
    expect(clock.pending).toBe(0)
  })

  test('is not waited for without end when nobody comes', async () => {
    const { mr, streams, clock } = setUpTasks()
    const first = observeTasks(mr).first()
    await clock.advance(60_000)
    await first
    expect(streams.map((stream) => stream.open)).toEqual([false])
    expect(clock.pending).toBe(0)
  })

  test('may be an error', async () => {
    const { mr, say } = setUpTasks()
    const observer = observeTasks(mr)
    const first = observer.first()
    say(new PermissionDeniedError({ reason: 'PERMISSION_DENIED', message: 'no' }))
    await first
    expect(observer.getSnapshot().state).toBe('error')
  })
})

test('counts of a queue and health follow their streams', async () => {
  const { transport, mr } = setUp()
  const counts = {
    pending: 1,
    scheduled: 0,
    blocked: 0,
    processing: 2,
    completed: 3,
    failed: 0,
    cancelled: 0,
    dead: 0,
    total: 6,
    oldestAgeMs: 5,
  }
  const health: GetHealthResponse = {
    healthy: false,
    detail: 'The disk is full.',
    version: '1',
    nodes: { active: 1, total: 2 },
    queue: { depth: 3 },
  }
  transport.onStream('QueueService/WatchQueueStats', async function* ({ queue }) {
    yield { stats: { queue, ...counts } }
    await new Promise(quiet)
  })
  transport.onStream('ClusterService/WatchHealth', async function* () {
    yield { health }
    await new Promise(quiet)
  })
  const observers = [observeQueueStats(mr, 'emails'), observeClusterHealth(mr)] as const
  for (const observer of observers) observer.subscribe(quiet)
  await turn()
  expect(observers.map((observer) => observer.getSnapshot().data)).toEqual([counts, health])
})
