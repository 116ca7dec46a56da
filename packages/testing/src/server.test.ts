import { describe, expect, it, onTestFinished } from 'vitest'
import { startTestServer, type TestServer, type TestServerOptions } from './index.ts'

async function start(options?: TestServerOptions): Promise<TestServer> {
  const server = await startTestServer(options)
  onTestFinished(() => server.close())
  return server
}

describe('startTestServer', () => {
  it('runs tasks, and moves time to those that wait for it', async () => {
    const server = await start({ startAt: new Date('2028-02-28T23:00:00Z') })
    const mr = server.client()
    const greeter = await server.fake({ greet: ({ name }: { name: string }) => `Hello, ${name}!` })
    const now = await mr.tasks.submit({ function: 'greet', payload: { name: 'Ada' } })
    expect(await now.wait()).toMatchObject({ status: 'completed', result: 'Hello, Ada!' })

    const later = await mr.tasks.submit({ function: 'greet', payload: { name: 'Grace' }, delay: '2h' })
    await server.clock.advance('119m')
    await server.idle()
    expect((await mr.tasks.status(later.taskId)).status).toBe('scheduled')
    await server.clock.advance('1m')
    expect(await later.wait()).toMatchObject({ status: 'completed' })
    const { finishedAt } = await mr.tasks.get(later.taskId)
    expect(finishedAt!.toISOString()).toMatch(/^2028-02-29T01:0/)
    expect(greeter.callsOf('greet').map(({ payload }) => payload)).toEqual([{ name: 'Ada' }, { name: 'Grace' }])
  })

  it('runs until idle: retries included', async () => {
    const server = await start()
    const mr = server.client({ namespace: 'shop' })
    let attempts = 0
    const flaky = () => {
      if (++attempts < 3) throw new Error('not yet')
      return attempts
    }
    await server.fake({ flaky, broken: new Error('never') }, { namespace: 'shop' })
    const retry = { maxAttempts: 5, initialBackoff: '1h', strategy: 'fixed' } as const
    const good = await mr.tasks.submit({ function: 'flaky', payload: null, retry })
    const bad = await mr.tasks.submit({ function: 'broken', payload: null, retry })
    await server.runUntilIdle()
    expect(await mr.tasks.status(good.taskId)).toMatchObject({ status: 'completed', result: 3 })
    expect(await mr.tasks.status(bad.taskId)).toMatchObject({ status: 'failed', error: { message: 'never' } })
  })

  it('says so when jobs wait for a time beyond the limit', async () => {
    const server = await start()
    await server.client().queue('q').enqueue(1, { delay: '10d' })
    await expect(server.runUntilIdle({ within: '5d' })).rejects.toThrow('1 jobs wait for a time later than')
  })

  it('moves time to jobs whose starts are limited', async () => {
    const server = await start()
    const mr = server.client()
    const mailer = await server.fake({ mail: () => null })
    const rateLimit = { key: 'ada', limit: 2, per: '1h' } as const
    const tasks: { taskId: string }[] = []
    for (let n = 0; n < 5; n++) tasks.push(await mr.tasks.submit({ function: 'mail', payload: n, rateLimit }))
    const sent = () => mailer.callsOf('mail').map(({ payload }) => payload)
    await server.clock.settled()
    expect(sent()).toEqual([0, 1])
    expect((await mr.tasks.status(tasks[2]!.taskId)).status).toBe('blocked')
    await server.clock.advance('59m')
    expect(sent()).toEqual([0, 1])
    await server.clock.advance('1m')
    expect(sent()).toEqual([0, 1, 2, 3])
    await server.clock.advance('1h')
    expect(sent()).toEqual([0, 1, 2, 3, 4])
  })

  it('runs until idle: starts that are limited included, but not what no time brings', async () => {
    const server = await start()
    const mr = server.client()
    const mailer = await server.fake({ mail: () => null })
    for (let n = 0; n < 5; n++) await mr.tasks.submit({ function: 'mail', payload: n, rateLimit: { limit: 2, per: '1h' } })
    await server.runUntilIdle()
    expect(mailer.calls).toHaveLength(5)

    const before = server.clock.now()
    const concurrency = { limit: 1 }
    for (let n = 0; n < 2; n++) await mr.tasks.submit({ function: 'nobody', queue: 'other', payload: n, concurrency })
    await server.runUntilIdle()
    expect(server.clock.now() - before).toBeLessThan(60_000)
    expect(await mr.queue('other').stats()).toMatchObject({ pending: 1, blocked: 1 })
  })

  it('moves time to what is put off, and to what ends unless it begins', async () => {
    const server = await start()
    const mr = server.client()
    const index = await server.fake({ reindex: () => null })
    const trigger = (payload: number) =>
      mr.tasks.submit({ function: 'reindex', payload, debounce: { key: 'shop', delay: '10s', maxDelay: '1m' } })
    for (let n = 0; n < 3; n++) {
      await trigger(n)
      await server.clock.advance('9s')
    }
    expect(index.calls).toEqual([])
    await server.clock.advance('1s')
    expect(index.calls).toMatchObject([{ payload: 2 }])
    const { taskId } = await mr.tasks.submit({ function: 'nobody', payload: null, expiresIn: '5m' })
    await server.clock.advance('5m')
    expect(await mr.tasks.get(taskId)).toMatchObject({ status: 'cancelled', message: expect.stringContaining('expired') })
  })

  it('takes jobs from workers that do not come back, and leaves them to handlers of fake workers', async () => {
    const server = await start()
    const mr = server.client()
    let finish: (result: string) => void = () => undefined
    const slow = await server.fake({ slow: () => new Promise((resolve) => (finish = resolve)) })
    const task = await mr.tasks.submit({ function: 'slow', payload: null })
    await server.clock.settled()
    expect(slow.calls).toHaveLength(1)
    await server.clock.advance('10m')
    finish('done')
    expect(await task.wait()).toMatchObject({ status: 'completed', result: 'done' })
    expect((await mr.tasks.get(task.taskId)).attempts).toBe(1)

    const queue = mr.queue('q')
    await queue.enqueue(1)
    expect(await queue.reserve({ lease: '30s' })).toMatchObject({ attempt: 1 })
    await server.clock.advance('31s')
    expect(await queue.reserve()).toMatchObject({ attempt: 2 })
  })

  it('keeps servers apart', async () => {
    const [a, b] = [await start(), await start()]
    const { jobId } = await a.client().queue('q').enqueue(1)
    await expect(b.client().queue('q').get(jobId)).rejects.toThrow()
    expect(a.endpoint).not.toBe(b.endpoint)
  })
})
