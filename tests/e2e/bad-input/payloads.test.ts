import { type JobContext, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { clientOf, useServer } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'

const mebibyte = 1024 ** 2
const fixture = useServer()

describe('the payload limit', () => {
  test('4 MiB go through, both ways; one byte more is refused, and nothing of it is kept', async () => {
    const queue = fixture.client().queue<Uint8Array>('large')
    const largest = new Uint8Array(4 * mebibyte).fill(7)
    const { jobId } = await queue.enqueue(largest)
    const job = (await queue.reserve())!
    expect(Buffer.compare(job.payload, largest)).toBe(0)
    await expect(job.complete(new Uint8Array(4 * mebibyte + 1))).rejects.toBeInstanceOf(ValidationError)
    await job.complete(largest)
    expect(((await queue.get(jobId)).result as Uint8Array).length).toBe(largest.length)

    const refused = queue.enqueue(new Uint8Array(4 * mebibyte + 1))
    await expect(refused).rejects.toBeInstanceOf(ValidationError)
    await expect(refused).rejects.toMatchObject({
      code: 'VALIDATION',
      message: expect.stringMatching(/payload/),
      fields: [{ path: expect.stringMatching(/payload$/) }],
    })
    expect((await queue.stats()).total).toBe(1)
  })

  test('far too large: a clear refusal, and the client goes on', async () => {
    const mr = fixture.client()
    await expect(mr.tasks.submit({ payload: new Uint8Array(40 * mebibyte) })).rejects.toBeInstanceOf(ValidationError)
    expect((await mr.tasks.submit({ payload: 'small' })).created).toBe(true)
  })

  test('one payload that is too large does not refuse those that travel with it', async () => {
    const queue = fixture.client().queue('mixed')
    const calls = [1, new Uint8Array(4 * mebibyte + 1), 2].map((payload) => queue.enqueue(payload))
    const outcomes = await Promise.allSettled(calls)
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((await queue.stats()).total).toBe(2)
  })

  test('many large ones at once, in a batch, are no more than one', async () => {
    const queue = fixture.client().queue<Uint8Array>('sum')
    const payload = new Uint8Array(mebibyte)
    const jobs = await Promise.all(Array.from({ length: 40 }, () => queue.enqueue(payload)))
    expect(new Set(jobs.map(({ jobId }) => jobId)).size).toBe(40)
    let received = 0
    while (received < 40) received += (await queue.receive({ max: 40 })).length
    expect(received).toBe(40)
  })

  test('is configurable', async () => {
    await using server = await startServer({ flags: ['--payload-limit', '1KiB'] })
    const queue = clientOf(server).queue<Uint8Array>('small')
    await queue.enqueue(new Uint8Array(1024))
    await expect(queue.enqueue(new Uint8Array(1025))).rejects.toBeInstanceOf(ValidationError)
    expect((await queue.stats()).total).toBe(1)
  })
})

test('values that JSON cannot hold are refused before they are sent', async () => {
  const mr = fixture.client()
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  for (const payload of [cycle, 1n, () => 1, Symbol('x')]) {
    await expect(mr.tasks.submit({ payload })).rejects.toBeInstanceOf(ValidationError)
    await expect(mr.queue('json').enqueue(payload)).rejects.toBeInstanceOf(ValidationError)
  }
})

test('a handler’s result that JSON cannot hold fails the attempt with a clear error', async () => {
  const mr = fixture.client()
  const worker = mr.worker({ tasks: { default: async () => 1n } })
  await worker.start()
  const task = await mr.tasks.submit({ payload: {}, retry: { maxAttempts: 1 } })
  expect(await task.wait({ timeout: '10s' })).toMatchObject({ status: 'failed', error: { message: expect.stringMatching(/JSON/) } })
  await worker.stop()
})

test('a handler’s result that is too large fails the attempt with a clear error', async () => {
  const mr = fixture.client()
  const worker = mr.worker({ tasks: { default: async () => new Uint8Array(5 * mebibyte) } })
  await worker.start()
  const task = await mr.tasks.submit({ payload: {}, retry: { maxAttempts: 1 } })
  expect(await task.wait({ timeout: '10s' })).toMatchObject({ status: 'failed', error: { message: expect.stringMatching(/result/) } })
  await worker.stop()
})

test('a result and a state that are too large for one message fail the attempt, and break no connection', async () => {
  const mr = fixture.client()
  const work = (_payload: unknown, ctx: JobContext) => {
    ctx.state = 's'.repeat(17 * mebibyte)
    return new Uint8Array(16 * mebibyte)
  }
  const worker = mr.worker({ tasks: { work } })
  let breaks = 0
  worker.on('disconnected', () => breaks++)
  await worker.start()
  const task = await mr.tasks.submit({ function: 'work', payload: {}, stateKey: 'k', retry: { maxAttempts: 1 } })
  expect(await task.wait({ timeout: '10s' })).toMatchObject({ status: 'failed', error: { message: expect.stringMatching(/state/) } })
  expect(breaks).toBe(0)
  await worker.stop()
})
