import { type EnqueueOptions, MillraceError, type SubmitTaskOptions, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { useServer } from '../harness/fixture.ts'

const fixture = useServer()

async function rejection(promise: Promise<unknown>): Promise<ValidationError> {
  const error = await promise.then(
    (value) => new Error(`It was accepted: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  )
  if (!(error instanceof ValidationError)) throw error
  return error
}

/** Names that are not 1 to 255 characters of `[A-Za-z0-9._:/-]`. */
const badNames: readonly [string, string][] = [
  ['empty', ''],
  ['too long', 'x'.repeat(256)],
  ['far too long', 'x'.repeat(100_000)],
  ['a space', 'my queue'],
  ['a line break', 'a\nb'],
  ['a zero', 'a\0b'],
  ['an umlaut', 'größe'],
  ['an emoji', '📬'],
  ['quotes', `'; DROP TABLE jobs; --`],
  ['a star', '*'],
  ['a backslash', 'a\\b'],
]

describe('names', () => {
  test.each(badNames)('a queue’s: %s', async (_what, name) => {
    const error = await rejection(fixture.client().queue(name).enqueue(1))
    expect(error.fields.map(({ path }) => path)).toEqual(['queue'])
    expect(error.message).toMatch(/queue/)
    expect(error.message.length).toBeLessThan(400)
  })

  test.each(badNames.filter(([, name]) => name !== ''))('a function’s, a worker’s, a label’s, a header’s: %s', async (_what, name) => {
    const mr = fixture.client()
    const submit = (options: SubmitTaskOptions) => mr.tasks.submit({ payload: 1, ...options })
    expect((await rejection(submit({ function: name }))).fields[0]!.path).toMatch(/function$/)
    expect((await rejection(submit({ queue: name }))).fields[0]!.path).toMatch(/queue$/)
    expect((await rejection(submit({ labels: { [name]: 'x' } }))).fields[0]!.path).toMatch(/labels/)
    expect((await rejection(submit({ headers: { [name]: 'x' } }))).fields[0]!.path).toMatch(/headers/)
    expect((await rejection(mr.queue('q').receive({ workerId: name }))).fields[0]!.path).toMatch(/workerId$/)
    expect((await mr.tasks.list()).items).toEqual([])
  })

  test('a namespace’s', async () => {
    for (const namespace of ['x'.repeat(256), 'my namespace', 'a*b']) {
      await rejection(fixture.client({ namespace }).queue('q').enqueue(1))
    }
  })

  test('the longest and oddest that are allowed', async () => {
    const mr = fixture.client()
    for (const name of ['x'.repeat(255), 'A-Za-z0-9._:/-', '-', '.', '..', '/', 'a/b:c.d', '__proto__', 'constructor', '0']) {
      const { jobId } = await mr.queue(name).enqueue(name)
      expect((await mr.queue(name).reserve())?.id).toBe(jobId)
      const task = await mr.tasks.submit({ function: name, queue: name, payload: 1, labels: { [name]: name }, headers: { [name]: name } })
      expect(await mr.tasks.get(task.taskId)).toMatchObject({ function: name, queue: name })
      if (name !== '__proto__') expect((await mr.tasks.get(task.taskId)).labels).toEqual({ [name]: name })
    }
  })
})

describe('numbers', () => {
  const bad: readonly [string, EnqueueOptions][] = [
    ['priority', { priority: 101 }],
    ['priority', { priority: -101 }],
    ['priority', { priority: 0.5 }],
    ['priority', { priority: Number.NaN }],
    ['priority', { priority: Number.POSITIVE_INFINITY }],
    ['priority', { priority: 2 ** 40 }],
    ['priority', { priority: '5' as never }],
    ['maxAttempts', { maxAttempts: -1 }],
    ['maxAttempts', { maxAttempts: 1001 }],
    ['maxAttempts', { maxAttempts: Number.NaN }],
    ['maxAttempts', { maxAttempts: 1.5 }],
    ['timeout', { timeout: -1 }],
    ['timeout', { timeout: Number.NaN }],
    ['timeout', { timeout: '8d' }],
    ['timeout', { timeout: 'soon' as never }],
    ['delay', { delay: -1 }],
    ['delay', { delay: Number.NaN }],
    ['delay', { delay: '367d' }],
    ['delay', { delay: Number.MAX_VALUE }],
    ['runAt', { runAt: new Date(Number.NaN) }],
    ['runAt', { runAt: 'tomorrow' as never }],
    ['idempotencyKey', { idempotencyKey: 'x'.repeat(256) }],
  ]
  test.each(bad)('a job’s %s: %j', async (field, options) => {
    const queue = fixture.client().queue('numbers')
    const error = await rejection(queue.enqueue(1, options))
    expect(error.fields[0]!.path).toMatch(new RegExp(`${field}(Ms)?$`))
    expect(error.fields[0]!.message).toMatch(/./)
    await rejection(queue.enqueueBatch([{ payload: 1 }, { payload: 2, ...options }]))
    expect((await queue.stats()).total).toBe(0) // all or none
  })

  test('delay and runAt together', async () => {
    await rejection(fixture.client().queue('numbers').enqueue(1, { delay: 1, runAt: new Date() }))
  })

  test('of a receive', async () => {
    const queue = fixture.client().queue('numbers')
    await queue.enqueue(1)
    for (const options of [
      { max: -1 },
      { max: 1001 },
      { max: Number.NaN },
      { lease: 999 },
      { lease: '13h' },
      { lease: -1 },
      { wait: -1 },
      { wait: '61s' },
      { wait: Number.NaN },
    ] as const) {
      await rejection(queue.receive(options))
    }
    expect(await queue.stats()).toMatchObject({ pending: 1, processing: 0 })
  })

  test('of a retry policy, a page and a worker', async () => {
    const mr = fixture.client()
    const queue = mr.queue('numbers')
    for (const policy of [
      { maxAttempts: 1001 },
      { initialBackoff: -1 },
      { initialBackoff: '8d' },
      { multiplier: 0.5 },
      { multiplier: 101 },
      { multiplier: Number.NaN },
      { jitter: 2 },
      { jitter: -0.1 },
      { strategy: 'random' as never },
    ] as const) {
      await rejection(queue.setRetryPolicy(policy))
    }
    await rejection(queue.update({ maxDepth: -1 }))
    for (const limit of [-1, 1001, Number.NaN]) await rejection(Promise.resolve(mr.tasks.list({ limit })))
    for (const cursor of ['x', '-1', '\0', 'y'.repeat(10_000)]) await rejection(Promise.resolve(mr.tasks.list({ cursor })))
    for (const concurrency of [0, -1, Number.NaN, 10_001]) {
      await rejection(
        (async () => {
          const worker = mr.worker({ queue: 'numbers', concurrency, handler: async () => {} })
          try {
            await worker.start()
          } finally {
            await worker.stop()
          }
        })(),
      )
    }
  })
})

describe('ids', () => {
  test.each([
    '',
    'x',
    'job_',
    'job_00000000000',
    'job_zzzzzzzzzzz',
    'job_0000000000',
    'JOB_00000000001',
    'batch_00000000001',
    '../../etc/passwd',
    'x'.repeat(100_000),
  ])('unknown, %#', async (id) => {
    const mr = fixture.client()
    const calls = [
      () => mr.tasks.get(id),
      () => mr.tasks.cancel(id),
      () => mr.tasks.retry(id),
      () => mr.queue('q').get(id),
      () => mr.queue('q').cancel(id),
    ]
    for (const call of calls) {
      const error: unknown = await call().catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(MillraceError)
      expect((error as MillraceError).code).toMatch(/NOT_FOUND|VALIDATION/)
    }
    await expect(mr.tasks.wait(id, { timeout: 5000 })).rejects.toMatchObject({ code: expect.stringMatching(/NOT_FOUND|VALIDATION/) })
    expect(await mr.tasks.statusBatch(id === '' ? [] : [id]).catch(() => ({}))).toEqual({})
  })
})

test('too many things at once', async () => {
  const mr = fixture.client()
  await rejection(mr.queue('many').enqueueBatch(Array.from({ length: 10_001 }, () => ({ payload: 1 }))))
  await rejection(mr.tasks.submitBatch({ tasks: Array.from({ length: 10_001 }, () => ({ payload: 1 })) }))
  const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']))
  await rejection(mr.tasks.submit({ payload: 1, labels: fields(33) }))
  await rejection(mr.tasks.submit({ payload: 1, headers: fields(65) }))
  await rejection(mr.tasks.submit({ payload: 1, labels: { k: 'x'.repeat(256) } }))
  await rejection(mr.tasks.submit({ payload: 1, headers: { k: 'x'.repeat(4097) } }))
  expect((await mr.tasks.list()).items).toEqual([])
})
