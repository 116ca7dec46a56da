import { ConflictError } from '@millrace/core'
import type { Settlement } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { wireJob } from '../testing/job-server.ts'
import { conflict, event, gate, json, setUpWorker, started } from '../testing/setup.ts'
import { NonRetryableError } from './job-errors.ts'

describe('jobs', () => {
  test('a worker says who it is and what it takes', async () => {
    const { worker, server } = await setUpWorker({
      tasks: { resize: () => 1, hash: () => 2 },
      concurrency: 7,
      lease: '45s',
      workerId: 'me',
      queue: 'media',
    })
    const connected = event(worker, 'connected')
    await worker.start()
    const session = await server.sessions.next()
    expect(await session.subscriptions.next()).toEqual({
      queue: 'media',
      functions: ['resize', 'hash'],
      workerId: 'me',
      leaseMs: 45_000,
      maxInFlight: 7,
    })
    expect(await connected).toEqual({ workerId: 'me' })
    await worker.stop()
  })

  test('task functions get the payload, and what they return is the result', async () => {
    const { worker, server } = await setUpWorker({
      tasks: { double: async ({ n }: { n: number }) => n * 2, bytes: () => new Uint8Array([1, 2]), nothing: () => undefined },
    })
    await worker.start()
    const session = await server.sessions.next()
    session.deliver(
      wireJob('task_1', { function: 'double', payload: json({ n: 21 }) }),
      wireJob('task_2', { function: 'bytes' }),
      wireJob('task_3', { function: 'nothing' }),
    )
    const results = new Map(
      [await session.settlements.next(), await session.settlements.next(), await session.settlements.next()].map((s) => [s.jobId, s]),
    )
    expect(results.get('task_1')?.action).toEqual({
      $case: 'complete',
      value: { result: json(42), contentType: '', state: undefined, deleteState: false },
    })
    expect(results.get('task_2')?.action).toEqual({
      $case: 'complete',
      value: { result: new Uint8Array([1, 2]), contentType: 'application/octet-stream', state: undefined, deleteState: false },
    })
    expect(results.get('task_3')?.action).toEqual({
      $case: 'complete',
      value: { result: new Uint8Array(0), contentType: '', state: undefined, deleteState: false },
    })
    await worker.stop()
  })

  test('a queue handler gets the job and its context', async () => {
    const seen: unknown[] = []
    const { worker, session } = await started((job, ctx) => {
      seen.push(job, { id: ctx.id, attempt: ctx.attempt, labels: ctx.labels, headers: ctx.headers, deadline: ctx.deadline })
    })
    session.deliver(wireJob('job_1'))
    await session.settlements.next()
    expect(seen).toEqual([
      {
        id: 'job_1',
        queue: 'emails',
        payload: { id: 'job_1' },
        headers: { trace: 'x' },
        priority: 3,
        attempt: 1,
        maxAttempts: 5,
        createdAt: new Date(1000),
      },
      { id: 'job_1', attempt: 1, labels: { env: 'test' }, headers: { trace: 'x' }, deadline: undefined },
    ])
    await worker.stop()
  })

  test('what is thrown fails the attempt; a NonRetryableError ends the job', async () => {
    const { worker, session } = await started(async (job) => {
      if (job.id === 'job_1') throw new RangeError('too far')
      if (job.id === 'job_2') throw new NonRetryableError('no such address')
      if (job.id === 'job_3') return Promise.reject('text')
      return 1n
    })
    session.deliver(
      wireJob('job_1'),
      wireJob('job_2'),
      wireJob('job_3'),
      wireJob('job_4'),
      wireJob('job_5', { payload: new Uint8Array([123]) }),
    )
    const failures = new Map<string, Settlement['action']>()
    for (let i = 0; i < 5; i++) {
      const settlement = await session.settlements.next()
      failures.set(settlement.jobId, settlement.action)
    }
    const error = (code: string, message: unknown) => ({ code, message, stack: expect.any(String) })
    expect(failures.get('job_1')).toEqual({
      $case: 'fail',
      value: { error: error('RangeError', 'too far'), noRetry: false, delayMs: undefined },
    })
    expect(failures.get('job_2')).toMatchObject({ value: { error: error('NonRetryableError', 'no such address'), noRetry: true } })
    expect(failures.get('job_3')).toMatchObject({ value: { error: { code: 'Error', message: 'text', stack: '' }, noRetry: false } })
    expect(failures.get('job_4')).toMatchObject({ value: { error: error('ValidationError', expect.stringContaining('result: ')) } })
    expect(failures.get('job_5')).toMatchObject({
      value: { error: error('NonRetryableError', expect.stringContaining('not valid JSON')), noRetry: true },
    })
    await worker.stop()
  })

  test('no more than `concurrency` run at a time; the others wait in order', async () => {
    const running: string[] = []
    const gates = new Map<string, ReturnType<typeof gate<void>>>()
    const both = gate()
    const { worker, session } = await started(
      async (job) => {
        running.push(job.id)
        const one = gate()
        gates.set(job.id, one)
        if (running.length === 2) both.open()
        await one.passed
      },
      { concurrency: 2 },
    )
    session.deliver(wireJob('job_1'), wireJob('job_2'), wireJob('job_3'), wireJob('job_4'))
    await both.passed
    gates.get('job_2')!.open()
    await session.settlements.next()
    expect(running).toEqual(['job_1', 'job_2', 'job_3'])
    gates.get('job_1')!.open()
    await session.settlements.next()
    expect(running).toEqual(['job_1', 'job_2', 'job_3', 'job_4'])
    for (const one of gates.values()) one.open()
    await worker.stop()
  })

  test('while handlers are short, more jobs are asked for; what then waits for long is given back', async () => {
    const begun = gate()
    const end = gate()
    const { worker, session, clock } = await started(
      (job) => {
        if (job.id === 'long_2') begun.open()
        return job.id.startsWith('long') ? end.passed : undefined
      },
      { concurrency: 2 },
    )
    session.deliver(wireJob('job_1'))
    expect((await session.subscriptions.next()).maxInFlight).toBe(514)
    session.deliver(wireJob('long_1'), wireJob('long_2'), wireJob('long_3'), wireJob('job_2'))
    await begun.passed
    clock.advance(1000)
    expect((await session.subscriptions.next()).maxInFlight).toBe(2)
    await session.settlements.until(() => session.settled('release').length === 2)
    expect(session.settled('release')).toEqual(['long_3', 'job_2'])
    end.open()
    await worker.stop()
    expect(session.settled('complete')).toEqual(['job_1', 'long_1', 'long_2'])
  })

  test('ten thousand handlers that return at once do not exhaust the stack, and share few messages', async () => {
    const { worker, session } = await started(() => 1, { concurrency: 1 })
    session.deliver(...Array.from({ length: 10_000 }, (_, i) => wireJob(`job_${i}`)))
    for (let i = 0; i < 10_000; i++) await session.settlements.next()
    expect(session.settles.all.length).toBeLessThan(50)
    expect(session.settles.all.map((settle) => settle.sequence)).toEqual(session.settles.all.map((_, i) => i + 1))
    await worker.stop()
  })

  test('progress and log lines travel before the end of the job', async () => {
    const { worker, session } = await started(async (_job, ctx) => {
      ctx.progress(10)
      ctx.progress(250, 'half')
      ctx.log.info('begun', { size: 3 })
      ctx.log.error('odd')
      expect(() => ctx.progress(Number.NaN)).toThrow(TypeError)
    })
    session.deliver(wireJob('job_1'))
    const actions = [await session.settlements.next(), await session.settlements.next(), await session.settlements.next()].map(
      (s) => s.action,
    )
    expect(actions[0]).toEqual({ $case: 'progress', value: { percent: 100, message: 'half' } })
    expect(actions[1]).toMatchObject({
      $case: 'log',
      value: {
        entries: [
          { level: 2, message: 'begun', fieldsJson: '{"size":3}', timestamp: new Date('2030-01-01') },
          { level: 4, message: 'odd', fieldsJson: '' },
        ],
      },
    })
    expect(actions[2]).toMatchObject({ $case: 'complete' })
    await worker.stop()
  })

  test('progress of a handler that goes on is sent too', async () => {
    const one = gate()
    const { worker, session } = await started(async (_job, ctx) => {
      ctx.progress(50)
      await one.passed
    })
    session.deliver(wireJob('job_1'))
    expect((await session.settlements.next()).action).toMatchObject({ $case: 'progress' })
    one.open()
    expect((await session.settlements.next()).action).toMatchObject({ $case: 'complete' })
    await worker.stop()
  })

  test('a handler does not fail for what it logs', async () => {
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    const { worker, session } = await started((_job, ctx) => {
      ctx.log.warn('x'.repeat(10_000), cycle)
      ctx.log.warn('fields', { large: 'x'.repeat(10_000) })
    })
    session.deliver(wireJob('job_1'))
    const { action } = await session.settlements.next()
    const entries = action?.$case === 'log' ? action.value.entries : []
    expect(entries.map((entry) => entry.message.length)).toEqual([8192, 6])
    for (const entry of entries) expect(JSON.parse(entry.fieldsJson)).toEqual({ dropped: expect.any(String) })
    expect((await session.settlements.next()).action).toMatchObject({ $case: 'complete' })
    await worker.stop()
  })

  test('log lines that come too fast are dropped, and the log says so', async () => {
    const { worker, session } = await started((_job, ctx) => {
      for (let i = 0; i < 1500; i++) ctx.log.debug(`line ${i}`)
    })
    session.deliver(wireJob('job_1'))
    const { action } = await session.settlements.next()
    const entries = action?.$case === 'log' ? action.value.entries : []
    expect(entries).toHaveLength(1001)
    expect(entries[0]?.message).toMatch(/^500 lines before this one were dropped/)
    expect(entries.at(-1)?.message).toBe('line 1499')
    await worker.stop()
  })
})

describe('events', () => {
  test('tell of what is durable, not before', async () => {
    const { worker, session, clock } = await started(async (job) => {
      clock.advance(40)
      if (job.id === 'job_2') throw new Error('no')
      return 'ok'
    })
    const events: string[] = []
    const both = new Promise<void>((resolve) => {
      worker.on('completed', ({ id, result, durationMs, attempt, queue }) =>
        events.push(`${id} ${result} ${durationMs} ${attempt} ${queue}`),
      )
      worker.on('failed', ({ id, error }) => {
        events.push(`${id} ${error}`)
        resolve()
      })
    })
    session.answers = false
    session.deliver(wireJob('job_1'), wireJob('job_2'))
    await session.settlements.next()
    await session.settlements.next()
    expect(events).toEqual([])
    for (const settle of session.settles.all) session.answer(settle)
    await both
    expect(events.sort()).toEqual([expect.stringMatching(/^job_1 ok \d+ 1 emails$/), 'job_2 Error: no'])
    session.answers = true
    await worker.stop()
  })

  test('a result that comes too late is an error event', async () => {
    const { worker, session } = await started(() => 'ok')
    session.refuse = () => conflict
    const error = event(worker, 'error')
    session.deliver(wireJob('job_1'))
    expect(await error).toBeInstanceOf(ConflictError)
    await worker.stop()
  })

  test('a result that the server does not take fails the job', async () => {
    const { worker, session } = await started(() => 'too large')
    session.refuse = ({ action }) =>
      action?.$case === 'complete' ? { ...conflict, reason: 'VALIDATION', message: 'result: too large' } : undefined
    const failed = event(worker, 'failed')
    session.deliver(wireJob('job_1'))
    expect(await failed).toMatchObject({ id: 'job_1', error: { name: 'ValidationError' } })
    expect(session.settlements.all.at(-1)?.action).toMatchObject({
      $case: 'fail',
      value: { noRetry: true, error: { message: 'result: too large' } },
    })
    await worker.stop()
  })
})

describe('a worker that gets its evidence', () => {
  const evidence = { platform: 'simulated', quote: new Uint8Array(1), endorsements: new Uint8Array() } as const

  test('and is stopped meanwhile does not begin', async () => {
    const { passed, open } = gate<typeof evidence>()
    const { worker, clock, stopped } = await setUpWorker({ queue: 'q', handler: () => undefined, attestation: () => passed })
    const starting = worker.start()
    await worker.stop()
    open(evidence)
    await starting
    expect(stopped()).toBe(1)
    expect(clock.pending).toBe(0)
  })

  test('and cannot has stopped', async () => {
    const attestation = () => Promise.reject(new Error('no enclave'))
    const { worker, clock, stopped } = await setUpWorker({ queue: 'q', handler: () => undefined, attestation })
    await expect(worker.start()).rejects.toThrow('no enclave')
    expect(stopped()).toBe(1)
    await worker.stop()
    expect(clock.pending).toBe(0)
  })
})
