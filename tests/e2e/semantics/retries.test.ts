import { NonRetryableError, type RetryPolicy } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { startWorker, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()

/** Timers, a commit and a delivery: what the promptest retry may be late by. */
const slack = 500
/** Retries of so many tasks: a busy machine is late with some. */
const tasks = 10

describe('backoff', () => {
  const shapes: readonly (readonly [string, RetryPolicy, readonly number[]])[] = [
    ['fixed', { strategy: 'fixed', maxAttempts: 4, initialBackoff: 300 }, [300, 300, 300]],
    ['linear', { strategy: 'linear', maxAttempts: 4, initialBackoff: 200 }, [200, 400, 600]],
    ['exponential', { strategy: 'exponential', maxAttempts: 4, initialBackoff: 150, multiplier: 3 }, [150, 450, 1350]],
    ['capped', { strategy: 'exponential', maxAttempts: 5, initialBackoff: 100, multiplier: 10, maxBackoff: 400 }, [100, 400, 400, 400]],
  ]
  test.for(shapes)('%s', async ([, retry, expected]) => {
    const mr = fixture.client()
    const times = Array.from({ length: tasks }, (): number[] => [])
    await startWorker(
      mr.worker({
        concurrency: tasks,
        tasks: {
          default: async (task: number) => {
            times[task]!.push(performance.now())
            throw new Error(`attempt ${times[task]!.length}`)
          },
        },
      }),
    )
    const submitted = times.map((_, payload) => mr.tasks.submit({ payload, retry: { jitter: 0, ...retry } }))
    for (const task of submitted) {
      expect(await (await task).wait()).toMatchObject({ status: 'failed', error: { message: `attempt ${retry.maxAttempts}` } })
    }
    for (const own of times) expect(own).toHaveLength(expected.length + 1)
    for (const [i, wait] of expected.entries()) {
      const promptest = Math.min(...times.map((own) => own[i + 1]! - own[i]!))
      expect(promptest).toBeGreaterThanOrEqual(wait * 0.9)
      expect(promptest).toBeLessThanOrEqual(wait * 1.1 + slack)
    }
  })

  test('jitter spreads the waits, and stays in its bounds', async () => {
    const mr = fixture.client()
    const queue = mr.queue<number>('jitter')
    await queue.setRetryPolicy({ strategy: 'fixed', initialBackoff: 600_000, jitter: 0.5, maxAttempts: 2, maxBackoff: '1d' })
    await queue.enqueueBatch(Array.from({ length: 40 }, (_, payload) => ({ payload })))
    const waits: number[] = []
    for (const job of await queue.receive({ max: 40 })) {
      await job.fail(new Error('no'))
      const { runAt } = await queue.get(job.id)
      waits.push(runAt!.getTime() - Date.now())
    }
    expect(Math.min(...waits)).toBeGreaterThan(299_000)
    expect(Math.max(...waits)).toBeLessThan(901_000)
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(200_000) // 40 draws all in a third of the range: one in 10^15
  })
})

test('a job that always fails runs exactly so often, and is dead once; its replay does the same', async () => {
  const mr = fixture.client()
  const queue = mr.queue<number>('hopeless')
  await queue.setRetryPolicy({ maxAttempts: 4, initialBackoff: 10, strategy: 'fixed', jitter: 0 })
  const runs = new Map<string, number[]>()
  await startWorker(
    mr.worker<number>({
      queue: 'hopeless',
      concurrency: 10,
      handler: async (job, ctx) => {
        runs.set(job.id, [...(runs.get(job.id) ?? []), ctx.attempt])
        throw new Error('never')
      },
    }),
  )
  const jobs = await queue.enqueueBatch(Array.from({ length: 30 }, (_, payload) => ({ payload })))
  await until('all are dead', async () => (await queue.stats()).dead === 30)
  expect(jobs.map(({ jobId }) => runs.get(jobId))).toEqual(jobs.map(() => [1, 2, 3, 4]))
  const listed = await Array.fromAsync(queue.deadLetters.list())
  expect(listed.map(({ id }) => id)).toEqual(jobs.map(({ jobId }) => jobId))
  expect(await queue.stats()).toMatchObject({ pending: 0, scheduled: 0, processing: 0, failed: 30, dead: 30 })

  runs.clear()
  await queue.deadLetters.replay({ all: true })
  await until('all have run again', async () => (await queue.stats()).dead === 30 && runs.size === 30)
  expect([...runs.values()]).toEqual(jobs.map(() => [1, 2, 3, 4]))
  expect(await queue.stats()).toMatchObject({ failed: 30, dead: 30, total: 30 })
})

test('an error that says so ends the job at once', async () => {
  const mr = fixture.client()
  let runs = 0
  await startWorker(
    mr.worker({
      tasks: {
        default: async () => {
          runs++
          throw new NonRetryableError('pointless')
        },
      },
    }),
  )
  const task = await mr.tasks.submit({ payload: {}, retry: { maxAttempts: 5, initialBackoff: 0 } })
  expect(await task.wait()).toMatchObject({ status: 'failed', error: { message: 'pointless' } })
  expect(runs).toBe(1)
  expect(await mr.tasks.get(task.taskId)).toMatchObject({ attempts: 1, maxAttempts: 5 })
})

test('a job that succeeds in the end has no error, and its result', async () => {
  const mr = fixture.client()
  const work = async (_payload: unknown, { attempt }: { attempt: number }) => {
    if (attempt < 3) throw new Error('not yet')
    return attempt
  }
  await startWorker(mr.worker({ tasks: { default: work } }))
  const task = await mr.tasks.submit({ payload: {}, retry: { maxAttempts: 5, initialBackoff: 10, strategy: 'fixed' } })
  const status = await task.wait()
  expect(status).toMatchObject({ status: 'completed', result: 3 })
  expect(status.error).toBeUndefined()
})
