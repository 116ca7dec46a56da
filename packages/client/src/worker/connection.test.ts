import { AuthenticationError, PermissionDeniedError } from '@millrace/core'
import { describe, expect, test } from 'vitest'
import { wireJob } from '../testing/job-server.ts'
import { conflict, event, gate, json, setUpWorker, started } from '../testing/setup.ts'

describe('a break', () => {
  test('is mended: what has no answer is sent again, in order, under new numbers', async () => {
    const { worker, server, session, clock } = await started((job) => job.id)
    session.answers = false
    session.deliver(wireJob('job_1'))
    await session.settlements.next()
    session.deliver(wireJob('job_2'))
    await session.settlements.next()
    const disconnected = event(worker, 'disconnected')
    await server.kill()
    expect(await disconnected).toMatchObject({ error: { name: 'UnavailableError' } })
    await server.start()
    clock.advance(10_000)
    const second = await server.sessions.next()
    const settle = await second.settles.next()
    expect(settle.settlements.map((s) => [s.jobId, s.leaseToken])).toEqual([
      ['job_1', 'token of job_1'],
      ['job_2', 'token of job_2'],
    ])
    expect(settle.sequence).toBe(3)
    await worker.stop()
  })

  test('does not disturb handlers; their ends go over the next connection, whose credit leaves room for them', async () => {
    const end = gate()
    const begun = gate()
    const { worker, server, session, clock } = await started(
      async (_job, ctx) => {
        begun.open()
        await end.passed
        return ctx.signal.aborted
      },
      { concurrency: 4 },
    )
    session.deliver(wireJob('job_1'))
    await begun.passed
    const disconnected = event(worker, 'disconnected')
    session.break()
    await disconnected
    clock.advance(5000)
    const second = await server.sessions.next()
    expect((await second.subscriptions.next()).maxInFlight).toBe(3)
    end.open()
    expect((await second.settlements.next()).action).toEqual({
      $case: 'complete',
      value: { result: json(false), contentType: '', state: undefined, deleteState: false },
    })
    clock.advance(1000)
    expect((await second.subscriptions.next()).maxInFlight).toBe(4)
    await worker.stop()
  })

  test('makes a refusal of what was sent twice mean that it was done the first time', async () => {
    const { worker, server, session, clock } = await started(() => {
      throw new Error('no')
    })
    session.answers = false
    session.deliver(wireJob('job_1'))
    await session.settlements.next()
    const failed = event(worker, 'failed')
    const disconnected = event(worker, 'disconnected')
    session.break()
    await disconnected
    clock.advance(5000)
    const second = await server.sessions.next()
    second.refuse = () => conflict
    expect(await failed).toMatchObject({ id: 'job_1' })
    await worker.stop()
  })

  test('of a silent connection is noticed within 30 seconds', async () => {
    const { worker, server, session, clock } = await started(() => 1)
    session.answers = false
    clock.advance(10_000)
    expect(await session.heartbeats.next()).toBe(1)
    const disconnected = event(worker, 'disconnected')
    clock.advance(15_000)
    expect(await disconnected).toMatchObject({ error: { message: 'The server was silent for 25000 ms.' } })
    clock.advance(5000)
    await server.sessions.next()
    await worker.stop()
  })

  test('does not come to a connection that answers heartbeats', async () => {
    const { worker, server, session, clock } = await started(() => 1)
    for (let i = 0; i < 10; i++) {
      clock.advance(10_000)
      await session.heartbeats.next()
      await session.sync()
    }
    expect(server.sessions.all).toHaveLength(1)
    await worker.stop()
  })
})

describe('start', () => {
  test('waits for a server that is not there yet', async () => {
    const { worker, server, clock } = await setUpWorker({ queue: 'emails', handler: () => 1 })
    await server.kill()
    let up = false
    const start = worker.start().then(() => expect(up).toBe(true))
    up = true
    await server.start()
    const retry = setInterval(() => clock.advance(10_000), 20)
    await start
    clearInterval(retry)
    await worker.stop()
  })

  test('rejects when the server refuses the worker', async () => {
    const { worker, server, stopped } = await setUpWorker({ queue: 'emails', handler: () => 1 })
    server.refusal = { reason: 'PERMISSION_DENIED', message: 'The key lacks the scope workers.', requiredScope: 'workers' }
    await expect(worker.start()).rejects.toThrow(PermissionDeniedError)
    expect(stopped()).toBe(1)
    await expect(worker.start()).rejects.toThrow(/started or stopped before/)
    await worker.stop()
  })

  test('a worker that is refused later says so and keeps trying', async () => {
    const { worker, server, session, clock } = await started(() => 1)
    const error = event(worker, 'error')
    server.refusal = { reason: 'UNAUTHENTICATED', message: 'The key is revoked.' }
    const disconnected = event(worker, 'disconnected')
    session.break()
    await disconnected
    clock.advance(5000)
    expect(await error).toBeInstanceOf(AuthenticationError)
    server.refusal = undefined
    const connected = event(worker, 'connected')
    clock.advance(10_000)
    await connected
    await worker.stop()
  })

  test('a refused token is fetched again', async () => {
    let fetched = 0
    const { worker, server, clock } = await setUpWorker(
      { queue: 'emails', handler: () => 1 },
      {
        token: async () => {
          if (++fetched === 2) server.refusal = undefined
          return `token-${fetched}`
        },
      },
    )
    server.refusal = { reason: 'UNAUTHENTICATED', message: 'The token is over.' }
    const start = worker.start()
    const retry = setInterval(() => clock.advance(1000), 10)
    await start
    clearInterval(retry)
    const session = await server.sessions.next()
    expect(session.metadata.get('authorization')).toBe('Bearer token-2')
    expect(session.metadata.get('millrace-namespace')).toBe('default')
    await worker.stop()
  })
})

describe('stop', () => {
  test('pauses, gives back what was not begun, finishes what was, and waits for the answers', async () => {
    const end = gate()
    const begun = gate()
    const { worker, session, clock, stopped } = await started(
      () => {
        begun.open()
        return end.passed
      },
      { concurrency: 1 },
    )
    session.deliver(wireJob('job_1'), wireJob('job_2'), wireJob('job_3'))
    await begun.passed
    const disconnected = event(worker, 'disconnected')
    const stop = worker.stop()
    expect((await session.subscriptions.next()).maxInFlight).toBe(0)
    await session.settlements.until(() => session.settled('release').length === 2)
    expect(session.settled('release')).toEqual(['job_2', 'job_3'])
    // What the server sent before it heard of the pause goes back too.
    session.deliver(wireJob('job_4'))
    await session.settlements.find((s) => s.jobId === 'job_4')
    session.answers = false
    end.open()
    await session.settlements.find((s) => s.jobId === 'job_1')
    let over = false
    void stop.then(() => {
      over = true
    })
    await new Promise(setImmediate)
    expect(over).toBe(false)
    session.answer(session.settles.all.at(-1)!)
    await stop
    expect(await disconnected).toEqual({})
    expect(clock.pending).toBe(0)
    expect(stopped()).toBe(1)
    await session.ended
  })

  test('tells handlers that take longer than the drain time, and gives their jobs back', async () => {
    const told = gate<unknown>()
    const begun = gate()
    const { worker, session, clock } = await started(
      (_job, ctx) =>
        new Promise((resolve) => {
          ctx.signal.addEventListener('abort', () => {
            told.open(ctx.signal.reason)
            resolve(1)
          })
          begun.open()
        }),
    )
    session.deliver(wireJob('job_1'))
    await begun.passed
    const stop = worker.stop({ drain: '5s' })
    clock.advance(4999)
    await session.subscriptions.next()
    expect(session.settled('release')).toEqual([])
    clock.advance(1)
    expect(await told.passed).toMatchObject({ why: 'stopping' })
    await stop
    expect(session.settled('release')).toEqual(['job_1'])
    expect(session.settled('complete')).toEqual([])
  })

  test('called again with less time makes the first one shorter', async () => {
    const begun = gate()
    const { worker, session, clock } = await started(() => {
      begun.open()
      return new Promise(() => undefined)
    })
    session.deliver(wireJob('job_1'))
    await begun.passed
    const stop = worker.stop({ drain: '1h' })
    const again = worker.stop({ drain: 0 })
    clock.advance(0)
    await Promise.all([stop, again])
    expect(session.settled('release')).toEqual(['job_1'])
  })

  test('does not wait for ever for a server that is gone', async () => {
    const { worker, server, session, clock } = await started(() => 1)
    session.answers = false
    session.deliver(wireJob('job_1'))
    await session.settlements.next()
    const disconnected = event(worker, 'disconnected')
    await server.kill()
    await disconnected
    const stop = worker.stop()
    const time = setInterval(() => clock.advance(1000), 5)
    await stop
    clearInterval(time)
    expect(clock.pending).toBe(0)
  })

  test('of a worker that never started, or is not connected yet', async () => {
    const idle = await setUpWorker({ queue: 'emails', handler: () => 1 })
    await idle.worker.stop()
    expect(idle.stopped()).toBe(1)
    const waiting = await setUpWorker({ queue: 'emails', handler: () => 1 })
    await waiting.server.kill()
    const start = waiting.worker.start()
    await waiting.worker.stop()
    await start
    expect(waiting.clock.pending).toBe(0)
  })
})

test('errors that nobody listens for are logged', async () => {
  const lines: string[] = []
  const logger = { debug() {}, info() {}, warn() {}, error: (message: string) => lines.push(message) }
  const { worker, server } = await setUpWorker({ queue: 'emails', handler: () => 1 }, { logger })
  await worker.start()
  const session = await server.sessions.next()
  session.refuse = () => conflict
  session.deliver(wireJob('job_1'))
  await session.settlements.next()
  await session.sync()
  expect(lines).toEqual(['Worker: The lease is not current.'])
  await worker.stop()
})

test('jobs that come when the worker has ended its side go back over another stream', async () => {
  const { worker, server, session } = await started((job) => job.id)
  session.onTheirWay = [wireJob('job_1'), wireJob('job_2')]
  const stopped = worker.stop()
  const second = await server.sessions.next()
  expect((await second.subscriptions.next()).maxInFlight).toBe(0)
  await stopped
  expect(session.settled('release')).toEqual([])
  expect(second.settled('release')).toEqual(['job_1', 'job_2'])
  expect(server.sessions.all).toHaveLength(2)
})
