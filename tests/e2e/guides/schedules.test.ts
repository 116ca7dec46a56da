import { ConflictError, type JobContext, NotFoundError, ValidationError } from '@millrace/client'
import { Millrace as WebMillrace } from '@millrace/web'
import { expect, test } from 'vitest'
import { startWorker, useServer } from '../harness/fixture.ts'

const fixture = useServer()

test('the guide: a task each night, changed, paused, triggered', async () => {
  const mr = fixture.client()
  const ran = Promise.withResolvers<{ kind: string; taskId: string }>()
  const report = (payload: { kind: string }, ctx: JobContext) => ran.resolve({ ...payload, taskId: ctx.id })
  await startWorker(mr.worker({ tasks: { report } }))
  const made = await mr.schedules.create({
    name: 'nightly-report',
    cron: '0 3 * * *',
    timezone: 'Europe/Berlin',
    function: 'report',
    payload: { kind: 'daily' },
    labels: { team: 'sales' },
  })
  expect(made).toMatchObject({ name: 'nightly-report', function: 'report', queue: 'default', overlap: 'skip', catchUp: { max: 1 } })
  expect(made.nextAt!.getTime()).toBeGreaterThan(Date.now())
  expect(new Intl.DateTimeFormat('de', { timeZone: 'Europe/Berlin', timeStyle: 'short' }).format(made.nextAt)).toBe('03:00')

  const { jobId } = await mr.schedules.trigger('nightly-report')
  expect(await ran.promise).toEqual({ kind: 'daily', taskId: jobId })
  expect(await mr.tasks.get(jobId)).toMatchObject({ function: 'report', labels: { team: 'sales' } })
  expect(await mr.schedules.history('nightly-report')).toMatchObject([{ manual: true, outcome: 'submitted', jobId }])

  await mr.schedules.update('nightly-report', { payload: { kind: 'weekly' }, overlap: 'queue', catchUp: 'none', cron: '0 3 * * 1' })
  const changed = await mr.schedules.get('nightly-report')
  expect(changed).toMatchObject({ cron: '0 3 * * 1', payload: { kind: 'weekly' }, overlap: 'queue', catchUp: { max: 0 } })
  expect((await mr.schedules.pause('nightly-report')).nextAt).toBeUndefined()
  expect((await mr.schedules.resume('nightly-report')).nextAt).toBeInstanceOf(Date)
  expect((await mr.schedules.list()).items.map(({ name }) => name)).toEqual(['nightly-report'])
  expect([await mr.schedules.delete('nightly-report'), await mr.schedules.delete('nightly-report')]).toEqual([true, false])
  await expect(mr.schedules.get('nightly-report')).rejects.toBeInstanceOf(NotFoundError)
})

test('its tasks have what submitted ones have: retries, a state, an attested worker', async () => {
  const mr = fixture.client()
  let attempts = 0
  await startWorker(
    mr.worker({
      tasks: {
        count(_: unknown, ctx: JobContext<{ counter: number }>) {
          if (++attempts === 1) throw new Error('the first attempt fails')
          ctx.state.counter += 1
          return ctx.state.counter
        },
      },
    }),
  )
  const retry = { maxAttempts: 2, initialBackoff: 1, strategy: 'fixed' } as const
  const state = { stateKey: 'counter', initialState: { counter: 10 }, stateTtl: '7d' } as const
  const made = await mr.schedules.create({
    name: 'count',
    every: '1h',
    function: 'count',
    timeout: '5m',
    priority: 'high',
    retry,
    ...state,
  })
  expect(made).toMatchObject({ stateKey: 'counter', teeRequired: false })
  for (const result of [11, 12]) {
    const { jobId } = await mr.schedules.trigger('count')
    expect(await mr.tasks.wait(jobId)).toMatchObject({ status: 'completed', result })
    expect(await mr.tasks.get(jobId)).toMatchObject({ type: 'stateful', stateKey: 'counter', priority: 10, maxAttempts: 2 })
  }
  expect(attempts).toBe(3)
  expect(await mr.states.get('counter')).toMatchObject({ value: { counter: 12 }, expiresAt: expect.any(Date) })

  expect(await mr.schedules.create({ name: 'secret', every: '1h', function: 'count', teeRequired: true })).toMatchObject({
    function: 'count',
    teeRequired: true,
  })
  const { jobId } = await mr.schedules.trigger('secret')
  expect(await mr.tasks.get(jobId)).toMatchObject({ function: 'count', teeRequired: true, status: 'pending' })
})

test('a job at a set time runs then, and is told of', async () => {
  const mr = fixture.client()
  const ran = Promise.withResolvers<unknown>()
  await startWorker(mr.worker({ queue: 'once', handler: ({ payload }) => ran.resolve(payload) }))
  await mr.schedules.create({ name: 'once', at: new Date(Date.now() + 300), queue: 'once', payload: { n: 1 } })
  expect(await ran.promise).toEqual({ n: 1 })
  await expect
    .poll(async () => (await mr.schedules.history('once'))[0])
    .toMatchObject({ outcome: 'submitted', manual: false, jobId: expect.stringMatching(/^job_/) })
})

test('what is wrong is said by its name', async () => {
  const { schedules } = fixture.client()
  const failure = async (options: object) => {
    const error: unknown = await schedules.create({ name: 's', function: 'f', ...options }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ValidationError)
    return (error as ValidationError).message
  }
  expect(await failure({})).toContain('exactly one of cron, everyMs and at')
  expect(await failure({ cron: '* * * * *', every: '5m' })).toContain('exactly one')
  expect(await failure({ cron: '99 * * * *' })).toContain('schedule.cron')
  const plain = { every: '5m', function: undefined, queue: 'q' }
  expect(await failure({ ...plain, retry: { maxAttempts: 2 } })).toContain('schedule.retry')
  expect(await failure({ ...plain, stateKey: 'k' })).toContain('schedule.stateKey')
  expect(await failure({ ...plain, teeRequired: true })).toContain('schedule.teeRequired')
  expect(await failure({ every: '5m', retry: { maxAttempts: 2 }, maxAttempts: 3 })).toContain('schedule.maxAttempts')
  expect(await failure({ every: '5m', retry: { jitter: 2 } })).toContain('schedule.retry.jitter')
  expect(await failure({ every: '5m', initialState: 1 })).toContain('schedule.initialState')
  expect(await failure({ every: '5m', stateKey: 'k', initialState: 'x'.repeat(5000) })).toContain('a schedule keeps 4096')
  expect(await failure({ cron: '0 0 30 2 *' })).toContain('never comes')
  expect(await failure({ cron: '* * * * *', timezone: 'Mars/Olympus' })).toContain('schedule.timezone')
  expect(await failure({ every: 10 })).toContain('schedule.everyMs')
  expect(await failure({ every: '5m', name: 'a b' })).toContain('schedule.name')
  expect(await failure({ every: '5m', function: undefined })).toContain('give a function, or the queue')
  expect(await failure({ every: '5m', catchUp: { max: -1 } })).toContain('schedule.catchUp')
  await schedules.create({ name: 'twice', every: '1h', function: 'f' })
  await expect(schedules.create({ name: 'twice', every: '1h', function: 'f' })).rejects.toBeInstanceOf(ConflictError)
})

test('over HTTP it is the same', async () => {
  await using mr = new WebMillrace({ endpoint: `http://${fixture.server.http}`, apiKey: fixture.server.key })
  await mr.schedules.create({ name: 'web/1', every: '15m', queue: 'polls', payload: [1] })
  expect(await mr.schedules.get('web/1')).toMatchObject({ every: 900_000, payload: [1], queue: 'polls' })
  expect(await mr.schedules.update('web/1', { jitter: '1m' })).toMatchObject({ every: 900_000, jitter: 60_000, payload: [1] })
  expect((await mr.schedules.trigger('web/1')).jobId).toMatch(/^job_/)
  expect(await mr.schedules.history('web/1', { limit: 1 })).toHaveLength(1)
  expect(await mr.schedules.pause('web/1')).toMatchObject({ paused: true })
  expect(await mr.schedules.delete('web/1')).toBe(true)
})
