import type { JobContext, Millrace } from '@millrace/client'
import { type Browser, chromiumVersion, startChromium } from '@millrace/dev'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { clientOf, freshName, startWorker } from '../harness/fixture.ts'
import { type ServerProcess, startServer } from '../harness/server.ts'
import type { Scene } from './pages/shown.ts'
import { type Framework, frameworks, type Site, serveSite } from './site.ts'
import { noteStreams } from './streams.ts'

const missing = (() => {
  try {
    chromiumVersion()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
})()
beforeEach(({ skip }) => {
  if (missing) skip(missing)
})

const soon = { timeout: 15_000, interval: 20 }
/** How long a subscription is kept after nobody looks, and some. */
const lingerMs = 2000
const longTtl = 600_000

let browser: Browser
beforeAll(async () => {
  if (!missing) browser = await startChromium()
})
afterAll(() => browser?.close())

describe.each(Object.keys(frameworks) as Framework[])('%s', (framework) => {
  let server: ServerProcess
  let site: Site
  let mr: Millrace
  let ttl = longTtl
  beforeAll(async () => {
    if (missing) return
    server = await startServer({ flags: ['--http-origins', '*'] })
    site = await serveSite(
      framework,
      () => mr,
      () => ttl,
    )
  }, 60_000)
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    ttl = longTtl
  })

  /** Opens the page in a namespace and a queue of its own. */
  async function open() {
    const namespace = freshName()
    mr = clientOf(server, { namespace, circuitBreaker: false })
    const page = await browser.newPage()
    onTestFinished(() => page.close())
    const faults: string[] = []
    page.on('pageerror', (error) => faults.push(String(error)))
    const streams = await noteStreams(page)
    await page.goto(`${site.origin}?${new URLSearchParams({ endpoint: `http://${server.http}`, namespace })}`)
    await page.waitForSelector('#nothing')
    expect(await page.title()).toMatch(new RegExp(`^${framework}[.]`))
    const queue = 'q'
    return {
      page,
      queue,
      streams,
      faults,
      show: (scene: Partial<Scene>) => page.evaluate((next) => window.show(next), { queue, ...scene }),
      /** What the page shows of something. */
      see: async <T = Record<string, unknown>>(id: string) => JSON.parse((await page.textContent(`#${id}`))!) as T,
    }
  }

  /** A worker whose tasks go on as the test says. */
  async function work(queue: string) {
    const begun: JobContext[] = []
    const ends: ((how: number | Error) => void)[] = []
    const handler = (_payload: unknown, ctx: JobContext) =>
      new Promise<number>((resolve, reject) => {
        begun.push(ctx)
        ends.push((how) => (how instanceof Error ? reject(how) : resolve(how)))
        ctx.signal.addEventListener('abort', () => reject(new Error('stopped')))
      })
    await startWorker(mr.worker({ queue, tasks: { work: handler } }))
    return {
      begun,
      progress: (percent: number, message?: string) => begun.at(-1)!.progress(percent, message),
      end: (how: number | Error) => ends.at(-1)!(how),
    }
  }

  const see = (page: Awaited<ReturnType<typeof open>>, id: string) => expect.poll(() => page.see(id), soon)

  test('a task is submitted, its progress and its result are seen', async () => {
    const opened = await open()
    const { page, queue, show, faults } = opened
    const worker = await work(queue)
    await show({ name: 'task' })
    await see(opened, 'task').toMatchObject({ isLoading: false, progress: 0, state: 'idle' })
    await page.click('#submit')
    await expect.poll(() => worker.begun.length, soon).toBe(1)
    worker.progress(30, 'counting')
    await see(opened, 'task').toMatchObject({ status: 'running', progress: 30, message: 'counting', isLoading: true, state: 'live' })
    worker.end(42)
    await see(opened, 'task').toMatchObject({ status: 'completed', progress: 100, result: 42, isLoading: false, state: 'ended' })
    await page.click('#reset')
    await see(opened, 'task').toMatchObject({ progress: 0, isLoading: false, state: 'idle' })
    expect(await opened.see('task')).toMatchObject({ functions: 3 })
    expect(faults).toEqual([])
  })

  test('a task that is cancelled and one that fails are seen as what they are', async () => {
    const opened = await open()
    const { page, queue, show } = opened
    const worker = await work(queue)
    await show({ name: 'task' })
    await page.click('#submit')
    await see(opened, 'task').toMatchObject({ status: 'running' })
    await page.click('#cancel')
    await see(opened, 'task').toMatchObject({ status: 'cancelled', isLoading: false, state: 'ended' })
    await mr.queue(queue).setRetryPolicy({ maxAttempts: 1 })
    await page.click('#submit')
    await expect.poll(() => worker.begun.length, soon).toBe(2)
    worker.end(new Error('out of paper'))
    await see(opened, 'task').toMatchObject({ status: 'failed', error: { message: 'out of paper' }, isLoading: false })
  })

  test('a list, counts and health follow what happens', async () => {
    const opened = await open()
    const { queue, show } = opened
    await show({ name: 'list' })
    await see(opened, 'list').toMatchObject({ tasks: [], isLoading: false, state: 'live' })
    const worker = await work(queue)
    const { taskId } = await mr.tasks.submit({ function: 'work', queue })
    await mr.tasks.submit({ function: 'work', queue, delay: '1h' })
    await see(opened, 'list').toMatchObject({ tasks: [{ status: 'scheduled' }, { taskId, status: 'running' }], more: false })
    await see(opened, 'stats').toMatchObject({ stats: { scheduled: 1, processing: 1, total: 2 } })
    await see(opened, 'health').toMatchObject({ health: { healthy: true } })
    worker.end(7)
    await see(opened, 'list').toMatchObject({ tasks: [{ status: 'scheduled' }, { taskId, status: 'completed', result: 7 }] })
    await see(opened, 'stats').toMatchObject({ stats: { processing: 0, completed: 1 } })
  })

  test('the page recovers by itself from a server that is killed and comes back', async () => {
    const opened = await open()
    const { page, queue, show, faults } = opened
    const worker = await work(queue)
    await show({ name: 'task' })
    await page.click('#submit')
    await see(opened, 'task').toMatchObject({ status: 'running', state: 'live' })
    await server.kill()
    await see(opened, 'task').toMatchObject({
      status: 'running',
      state: 'reconnecting',
      isLoading: true,
      error: { name: 'UnavailableError' },
    })
    await server.restart()
    await see(opened, 'task').toMatchObject({ status: 'running', state: 'live' })
    worker.end(5)
    await see(opened, 'task').toMatchObject({ status: 'completed', result: 5, isLoading: false })
    expect(faults).toEqual([])
  })

  test('a token that ends is renewed, and what is looked at is missed nothing of', async () => {
    ttl = 2000
    const opened = await open()
    const { page, queue, show } = opened
    const before = site.tokens
    const worker = await work(queue)
    await show({ name: 'task' })
    await page.click('#submit')
    await expect.poll(() => worker.begun.length, soon).toBe(1)
    await expect.poll(() => site.tokens - before, soon).toBeGreaterThanOrEqual(3)
    worker.progress(77)
    await see(opened, 'task').toMatchObject({ status: 'running', progress: 77, state: 'live' })
    worker.end(1)
    await see(opened, 'task').toMatchObject({ status: 'completed', result: 1 })
  })

  test('200 components on one task hold one connection, and nothing stays open when they are gone', async () => {
    const opened = await open()
    const { page, queue, show, streams } = opened
    const worker = await work(queue)
    const { taskId } = await mr.tasks.submit({ function: 'work', queue })
    await show({ name: 'many', taskId, count: 200 })
    await expect.poll(() => worker.begun.length, soon).toBe(1)
    worker.progress(50)
    const texts = () => page.locator('.one').allTextContents()
    await expect.poll(texts, soon).toEqual(Array.from({ length: 200 }, () => 'running 50'))
    expect(streams.all).toEqual(['/v1/tasks:follow'])
    expect(streams.open).toHaveLength(1)
    await show({})
    await page.waitForSelector('#nothing')
    await expect.poll(() => streams.open, soon).toEqual([])
    worker.end(1)
    await page.waitForTimeout(lingerMs)
    expect(streams.all).toHaveLength(1)
  })

  test('nothing stays open after a list, counts and health are unmounted, and a quick remount opens nothing anew', async () => {
    const opened = await open()
    const { page, show, streams } = opened
    await show({ name: 'list' })
    await see(opened, 'health').toMatchObject({ state: 'live' })
    await see(opened, 'stats').toMatchObject({ state: 'live' })
    await see(opened, 'list').toMatchObject({ state: 'live' })
    expect(streams.open.toSorted()).toEqual(['/v1/cluster/health:watch', '/v1/queues/q/stats:watch', '/v1/tasks:watch'])
    await show({})
    await page.waitForSelector('#nothing')
    await show({ name: 'list' })
    await see(opened, 'list').toMatchObject({ state: 'live' })
    expect(streams.all).toHaveLength(3)
    await show({})
    await expect.poll(() => streams.open, soon).toEqual([])
    expect(streams.all).toHaveLength(3)
  })

  test('a key of a store is seen and set from two places', async () => {
    const opened = await open()
    const { page, show, faults } = opened
    await show({ name: 'key' })
    await see(opened, 'key').toMatchObject({ revision: 0, isLoading: false, state: 'live' })
    await mr.kv('settings').set('theme', 'dark')
    await mr.kv('settings').set('theme-of-others', 'pink')
    await see(opened, 'key').toMatchObject({ value: 'dark' })
    await page.click('#set')
    await see(opened, 'key').toMatchObject({ value: 'light' })
    expect(await mr.kv('settings').get('theme')).toBe('light')
    await page.click('#remove')
    await see(opened, 'key').toMatchObject({ revision: 0, state: 'live' })
    expect(faults).toEqual([])
  })

  test('messages of a stream are seen as they are written, also after the server was killed', async () => {
    const opened = await open()
    const { page, show, faults } = opened
    const stream = mr.stream<number>('orders')
    await stream.write([{ payload: 1 }, { payload: 2 }])
    await show({ name: 'stream' })
    await see(opened, 'stream').toMatchObject({ messages: [{ offset: 0, payload: 1 }, { payload: 2 }], state: 'live' })
    await page.click('#write')
    await see(opened, 'stream').toMatchObject({ messages: [{ payload: 2 }, { offset: 2, payload: 3 }] })
    await server.kill()
    await see(opened, 'stream').toMatchObject({ state: 'reconnecting' })
    await server.restart()
    await see(opened, 'stream').toMatchObject({ state: 'live' })
    await page.click('#write')
    await see(opened, 'stream').toMatchObject({ messages: [{ offset: 2 }, { offset: 3, payload: 3 }] })
    expect(faults).toEqual([])
  })

  test('rows of a table are seen as they are changed, also after the server was killed', { timeout: 120_000 }, async () => {
    const opened = await open()
    const { queue, show, faults, streams } = opened
    await mr.tables.migrate([{ name: '001_people.sql', sql: 'CREATE TABLE people (id int PRIMARY KEY, name text)' }])
    const people = mr.table<{ id: number; name: string }>('people')
    await people.insert({ id: 1, name: 'Ann' })
    await show({ name: 'rows' })
    await see(opened, 'table').toMatchObject({ rows: [{ id: 1, name: 'Ann' }], isLoading: false, state: 'live' })
    await see(opened, 'query').toMatchObject({ rows: [], state: 'live' })
    await people.insert([
      { id: 2, name: 'Bob' },
      { id: 3, name: queue },
    ])
    await see(opened, 'table').toMatchObject({ rows: [{ name: 'Ann' }, { id: 2, name: 'Bob' }] })
    await see(opened, 'query').toMatchObject({ rows: [{ name: 'Bob' }, { name: queue }] })
    expect(streams.all).toHaveLength(2)
    await server.kill()
    await see(opened, 'table').toMatchObject({ state: 'reconnecting', rows: [{ name: 'Ann' }, { name: 'Bob' }] })
    await server.restart()
    await mr.tables.sql("DELETE FROM people WHERE name = 'Ann'")
    await see(opened, 'table').toMatchObject({ state: 'live', rows: [{ name: 'Bob' }] })
    expect(faults).toEqual([])
  })

  test('a pipeline is seen stage by stage, with its results', async () => {
    const opened = await open()
    const { queue, show, faults } = opened
    const worker = await work(queue)
    const pipeline = mr.pipelines.create('report')
    const count = pipeline.addStage({ name: 'count', function: 'work', queue })
    pipeline.addStage({ name: 'print', function: 'work', queue, dependsOn: [count] })
    const { pipelineId } = await pipeline.execute()
    await show({ name: 'pipeline', pipelineId })
    await see(opened, 'pipeline').toMatchObject({
      status: 'running',
      stages: [
        { name: 'count', status: 'running' },
        { name: 'print', status: 'blocked' },
      ],
      state: 'live',
    })
    worker.end(7)
    await see(opened, 'pipeline').toMatchObject({ stages: [{ status: 'completed' }, { status: 'running' }], results: { count: 7 } })
    worker.end(8)
    await see(opened, 'pipeline').toMatchObject({ status: 'completed', results: { count: 7, print: 8 }, state: 'ended' })
    expect(faults).toEqual([])
  })

  test('under Suspense a fallback is shown until there is something', async () => {
    const opened = await open()
    const { page, queue, show, streams, faults } = opened
    await mr.tasks.submit({ queue, delay: '1h' })
    await show({ name: 'suspended' })
    await see(opened, 'suspended').toMatchObject({ count: 1, state: 'live' })
    expect(await page.evaluate(() => window.fallbackShown)).toBe(true)
    await mr.tasks.submit({ queue, delay: '1h' })
    await see(opened, 'suspended').toMatchObject({ count: 2 })
    expect(streams.all).toEqual(['/v1/tasks:watch'])
    expect(faults).toEqual([])
    await show({})
    await expect.poll(() => streams.open, soon).toEqual([])
  })

  test('what cannot be looked at is an error that can be tried again', async () => {
    const opened = await open()
    const { page, show } = opened
    await show({ name: 'suspended', queue: 'wrong' })
    await expect.poll(() => page.textContent('#retry'), soon).toContain('limit: 1000 is not a whole number from 1 to 200')
    await page.click('#retry')
    await expect.poll(() => page.textContent('#retry'), soon).toContain('limit: 1000 is not a whole number from 1 to 200')
  })

  if (framework !== 'Vue 3') return

  test('what <KeepAlive> keeps aside is not looked at, and shows the present again when it is back', async () => {
    const opened = await open()
    const { queue, show, streams, page } = opened
    await show({ name: 'list', keep: true })
    await see(opened, 'list').toMatchObject({ tasks: [], state: 'live' })
    await show({ keep: true })
    await page.waitForSelector('#nothing')
    await expect.poll(() => streams.open, soon).toEqual([])
    await mr.tasks.submit({ queue, delay: '1h' })
    await show({ name: 'list', keep: true })
    await see(opened, 'list').toMatchObject({ tasks: [{ status: 'scheduled' }], state: 'live' })
  })
})
