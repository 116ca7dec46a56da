import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as grpc from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'
import { everyRpc, failure, json, loadOwn, protoFolder, rawClient, reader, streamStatus } from './raw.ts'

// No SDK here: what anybody can do with @grpc/grpc-js, @grpc/proto-loader and the .proto files from npm.

interface Job {
  readonly jobId: string
  readonly queue: string
  readonly function: string
  readonly payload: Buffer
  readonly attempt: number
  readonly leaseToken: string
  readonly leaseExpiresAt: { readonly seconds: string }
}

interface Stats {
  readonly queue: string
  readonly pending: string
  readonly processing: string
  readonly completed: string
  readonly failed: string
}

interface Pushed {
  readonly message: 'deliveries' | 'settled' | 'revoked' | 'heartbeatAck' | 'subscribed'
  readonly deliveries?: { readonly jobs: readonly Job[] }
  readonly settled?: {
    readonly sequence: string
    readonly rejected: readonly { readonly jobId: string; readonly error: { readonly reason: string } }[]
  }
  readonly revoked?: { readonly jobs: readonly { readonly jobId: string; readonly leaseToken: string; readonly reason: string }[] }
  readonly heartbeatAck?: { readonly sequence: string }
  readonly subscribed?: { readonly workerId: string }
}

const fixture = useServer()

test('the package ships the .proto files, and proto-loader loads every service of them', () => {
  const texts = readdirSync(join(protoFolder, 'millrace/v1')).map((file) => readFileSync(join(protoFolder, 'millrace/v1', file), 'utf8'))
  const written = texts.flatMap((text) => [...text.matchAll(/^service (\w+) \{/gm)].map(([, name]) => name))
  expect(written).toContain('TaskService')
  const loaded = new Set(everyRpc.map(({ service }) => service))
  expect([...loaded].sort()).toEqual(written.sort())
})

describe('queue', () => {
  test('enqueues, receives, completes and counts', async () => {
    const queues = fixture.raw('QueueService')
    const queue = freshName('emails')
    const { results } = await queues.call<{ results: { jobId: string; created: boolean; seq: string }[] }>('EnqueueJobs', {
      queue,
      jobs: [{ payload: json({ to: 'user@example.com' }), priority: 5, maxAttempts: 3, headers: { source: 'signup' } }],
    })
    expect(results).toMatchObject([{ jobId: expect.stringMatching(/^job_/), created: true }])

    const { jobs } = await queues.call<{ jobs: Job[] }>('ReceiveJobs', { queue, workerId: 'worker-1', maxJobs: 10, leaseMs: 300_000 })
    expect(jobs).toHaveLength(1)
    const [job] = jobs as [Job]
    expect(job).toMatchObject({ jobId: results[0]!.jobId, queue, function: '', attempt: 1, headers: { source: 'signup' } })
    expect(JSON.parse(job.payload.toString())).toEqual({ to: 'user@example.com' })
    expect(await queues.call<Stats>('GetQueueStats', { queue })).toMatchObject({ pending: '0', processing: '1' })

    await queues.call('CompleteJob', { jobId: job.jobId, leaseToken: job.leaseToken, result: json({ sent: true }) })
    const done = await queues.call<{ job: { state: string; result: Buffer } }>('GetJob', { queue, jobId: job.jobId })
    expect(done.job.state).toBe('JOB_STATE_COMPLETED')
    expect(JSON.parse(done.job.result.toString())).toEqual({ sent: true })
    expect(await queues.call<Stats>('GetQueueStats', { queue })).toMatchObject({
      queue,
      pending: '0',
      processing: '0',
      completed: '1',
      failed: '0',
    })
  })

  test('a long poll is answered by the enqueue', async () => {
    const queues = fixture.raw('QueueService')
    const queue = freshName('poll')
    const began = performance.now()
    const received = queues.call<{ jobs: Job[] }>('ReceiveJobs', { queue, waitMs: 15_000 })
    await queues.call('EnqueueJobs', { queue, jobs: [{ payload: json(1) }] })
    expect((await received).jobs).toHaveLength(1)
    expect(performance.now() - began).toBeLessThan(5_000)
  })

  test('StreamJobs pushes jobs while there is room, one by default', async () => {
    const queues = fixture.raw('QueueService')
    const queue = freshName('stream')
    const stream = queues.open('StreamJobs', { queue, workerId: 'worker-1', leaseMs: 300_000 })
    const pushed = reader<{ jobs: Job[] }>(stream)
    await queues.call('EnqueueJobs', { queue, jobs: [{ payload: json(1) }, { payload: json(2) }] })

    const seen: unknown[] = []
    for (let i = 0; i < 2; i++) {
      const { jobs } = await pushed.next()
      expect(jobs).toHaveLength(1)
      const [job] = jobs as [Job]
      seen.push(JSON.parse(job.payload.toString()))
      await queues.call('CompleteJob', { jobId: job.jobId, leaseToken: job.leaseToken })
    }
    expect(seen).toEqual([1, 2])
    const status = streamStatus(stream)
    stream.cancel()
    expect((await status).code).toBe(grpc.status.CANCELLED)
  })

  test('RenewLease moves the end of the lease', async () => {
    const queues = fixture.raw('QueueService')
    const queue = freshName('renew')
    await queues.call('EnqueueJobs', { queue, jobs: [{ payload: json(1) }] })
    const { jobs } = await queues.call<{ jobs: Job[] }>('ReceiveJobs', { queue, leaseMs: 2000 })
    const [job] = jobs as [Job]
    const renewed = await queues.call<{ leaseExpiresAt: { seconds: string } }>('RenewLease', {
      jobId: job.jobId,
      leaseToken: job.leaseToken,
      leaseMs: 600_000,
    })
    expect(Number(renewed.leaseExpiresAt.seconds) - Number(job.leaseExpiresAt.seconds)).toBeGreaterThan(500)
  })
})

describe('ProcessJobs', () => {
  const subscribe = (queue: string, maxInFlight: number, functions: string[] = []) => ({
    subscribe: { queue, workerId: 'worker-1', leaseMs: 300_000, maxInFlight, functions },
  })

  test('subscribe, deliveries with credit, settle, heartbeat', async () => {
    const queues = fixture.raw('QueueService')
    const queue = freshName('bidi')
    const call = fixture.raw('WorkerService').talk('ProcessJobs')
    const pushed = reader<Pushed>(call)

    call.write(subscribe(queue, 2))
    expect(await pushed.next()).toMatchObject({ message: 'subscribed', subscribed: { workerId: 'worker-1' } })

    call.write({ heartbeat: { sequence: 7 } })
    expect(await pushed.next()).toMatchObject({ message: 'heartbeatAck', heartbeatAck: { sequence: '7' } })

    await queues.call('EnqueueJobs', { queue, jobs: [1, 2, 3].map((n) => ({ payload: json(n), maxAttempts: 1 })) })
    const held: Job[] = []
    while (held.length < 2) held.push(...(await pushed.next()).deliveries!.jobs)
    expect(held.map(({ payload }) => JSON.parse(payload.toString()))).toEqual([1, 2]) // no third: both places are taken
    expect(await queues.call<Stats>('GetQueueStats', { queue })).toMatchObject({ pending: '1', processing: '2' })

    const [first, second] = held as [Job, Job]
    call.write({
      settle: {
        sequence: 1,
        settlements: [
          { jobId: first.jobId, leaseToken: first.leaseToken, complete: { result: json('done') } },
          { jobId: second.jobId, leaseToken: second.leaseToken, fail: { error: { message: 'mailbox full' }, noRetry: true } },
        ],
      },
    })
    const answers = [await pushed.next(), await pushed.next()]
    expect(answers.find(({ settled }) => settled)?.settled).toMatchObject({ sequence: '1', rejected: [] })
    const [third] = answers.find(({ deliveries }) => deliveries)!.deliveries!.jobs as [Job]
    expect(JSON.parse(third.payload.toString())).toBe(3)

    const stale = { jobId: first.jobId, leaseToken: third.leaseToken, complete: {} }
    call.write({ settle: { sequence: 2, settlements: [stale, { jobId: third.jobId, leaseToken: third.leaseToken, complete: {} }] } })
    const { settled } = await pushed.next()
    expect(settled).toMatchObject({ sequence: '2', rejected: [{ jobId: first.jobId, error: { reason: 'CONFLICT' } }] })

    expect(await queues.call<Stats>('GetQueueStats', { queue })).toMatchObject({ processing: '0', completed: '2', failed: '1' })
    const status = streamStatus(call)
    call.end()
    expect((await status).code).toBe(grpc.status.OK)
  })

  test('takes tasks by function, and hears of a cancel', async () => {
    const tasks = fixture.raw('TaskService')
    const queue = freshName('functions')
    const call = fixture.raw('WorkerService').talk('ProcessJobs')
    const pushed = reader<Pushed>(call)
    call.write(subscribe(queue, 10, ['resize']))
    await pushed.next()

    const submit = (name: string) => tasks.call<{ taskId: string }>('SubmitTask', { task: { function: name, queue, payload: json({}) } })
    const other = await submit('crop')
    const mine = await submit('resize')
    const [job] = (await pushed.next()).deliveries!.jobs as [Job]
    expect(job).toMatchObject({ jobId: mine.taskId, function: 'resize' })

    await tasks.call('CancelTask', { taskId: mine.taskId, reason: 'not needed' })
    const { revoked } = await pushed.next()
    expect(revoked?.jobs).toEqual([{ jobId: job.jobId, leaseToken: job.leaseToken, reason: 'REVOCATION_REASON_CANCELLED' }])
    const { task } = await tasks.call<{ task: { state: string } }>('GetTask', { taskId: other.taskId })
    expect(task.state).toBe('JOB_STATE_PENDING')
    call.end()
    await streamStatus(call)
  })

  test('subscribing with 0 pauses the stream, with more it goes on', async () => {
    const queues = fixture.raw('QueueService')
    const queue = freshName('pause')
    const call = fixture.raw('WorkerService').talk('ProcessJobs')
    const pushed = reader<Pushed>(call)
    call.write(subscribe(queue, 0))
    await pushed.next()
    await queues.call('EnqueueJobs', { queue, jobs: [{ payload: json(1) }] })
    call.write({ heartbeat: { sequence: 1 } })
    expect((await pushed.next()).message).toBe('heartbeatAck') // and no delivery before it
    call.write(subscribe(queue, 1))
    expect((await pushed.next()).deliveries?.jobs).toHaveLength(1)
    call.end()
    await streamStatus(call)
  })

  test('a first message other than subscribe is refused', async () => {
    const call = fixture.raw('WorkerService').talk('ProcessJobs')
    call.write({ heartbeat: { sequence: 1 } })
    expect((await streamStatus(call)).code).toBe(grpc.status.INVALID_ARGUMENT)
  })
})

describe('errors have the right status', () => {
  test('no key, a wrong key: UNAUTHENTICATED, on calls and on streams', async () => {
    for (const key of [undefined, '', 'mr_wrong', 'x'.repeat(10_000)]) {
      const queues = fixture.raw('QueueService', { key })
      expect((await failure(queues.call('GetQueueStats', { queue: 'emails' }))).code).toBe(grpc.status.UNAUTHENTICATED)
      expect((await streamStatus(queues.open('StreamJobs', { queue: 'emails' }))).code).toBe(grpc.status.UNAUTHENTICATED)
      const call = fixture.raw('WorkerService', { key }).talk('ProcessJobs')
      expect((await streamStatus(call)).code).toBe(grpc.status.UNAUTHENTICATED)
    }
  })

  test('the key may come as a bearer token', async () => {
    const { endpoint, key } = fixture.server
    const queues = fixture.raw('QueueService', { endpoint, key: undefined })
    queues.metadata.set('authorization', `Bearer ${key}`)
    expect(await queues.call<Stats>('GetQueueStats', { queue: 'emails' })).toMatchObject({ queue: 'emails' })
  })

  test.each([
    ['INVALID_ARGUMENT', 'EnqueueJobs', { queue: '', jobs: [{}] }],
    ['NOT_FOUND', 'GetJob', { queue: 'emails', jobId: 'job_00000000000' }],
    ['NOT_FOUND', 'CompleteJob', { jobId: 'job_zzzzzzz0000', leaseToken: '1' }],
    ['UNIMPLEMENTED', 'NoSuchMethod', {}],
  ] as const)('%s of %s', async (code, method, request) => {
    const queues = fixture.raw('QueueService')
    const call =
      method === 'NoSuchMethod'
        ? new Promise((resolve, reject) => {
            const bytes = (value: unknown) => Buffer.from(String(value))
            queues.client.makeUnaryRequest('/millrace.v1.QueueService/NoSuchMethod', bytes, String, {}, queues.metadata, (error, value) =>
              error ? reject(error) : resolve(value),
            )
          })
        : queues.call(method, request)
    expect(grpc.status[(await failure(call)).code]).toBe(code)
  })

  test('ABORTED for a stale lease, FAILED_PRECONDITION for what has ended, ALREADY_EXISTS for a reused key', async () => {
    const queues = fixture.raw('QueueService')
    const queue = freshName('codes')
    const enqueue = (payload: unknown) =>
      queues.call<{ results: { jobId: string }[] }>('EnqueueJobs', { queue, jobs: [{ payload: json(payload), idempotencyKey: 'once' }] })
    await enqueue(1)
    expect((await failure(enqueue(2))).code).toBe(grpc.status.ALREADY_EXISTS)
    const { jobs } = await queues.call<{ jobs: Job[] }>('ReceiveJobs', { queue })
    const [job] = jobs as [Job]
    for (const method of ['CompleteJob', 'FailJob', 'RenewLease']) {
      const error = await failure(queues.call(method, { jobId: job.jobId, leaseToken: `${job.leaseToken}9` }))
      expect([method, error.code]).toEqual([method, grpc.status.ABORTED])
    }
    await queues.call('CompleteJob', { jobId: job.jobId, leaseToken: job.leaseToken })
    await queues.call('CompleteJob', { jobId: job.jobId, leaseToken: job.leaseToken }) // a repeat answers as the first did
    expect((await failure(queues.call('FailJob', { jobId: job.jobId, leaseToken: job.leaseToken }))).code).toBe(grpc.status.ABORTED)
    expect((await failure(queues.call('CancelJob', { jobId: job.jobId }))).code).toBe(grpc.status.FAILED_PRECONDITION)
  })

  test('DEADLINE_EXCEEDED when the caller waits too short', async () => {
    const queues = fixture.raw('QueueService')
    const call = queues.call('ReceiveJobs', { queue: freshName('empty'), waitMs: 10_000 }, { deadline: Date.now() + 200 })
    expect((await failure(call)).code).toBe(grpc.status.DEADLINE_EXCEEDED)
  })
})

describe('connections', () => {
  test('waitForReady, with keepalive options that the server tolerates', async () => {
    const queues = fixture.raw('QueueService', {
      channel: {
        'grpc.keepalive_time_ms': 1000,
        'grpc.keepalive_timeout_ms': 1000,
        'grpc.keepalive_permit_without_calls': 1,
        'grpc.http2.min_time_between_pings_ms': 1000,
      },
    })
    await new Promise<void>((resolve, reject) =>
      queues.client.waitForReady(Date.now() + 5000, (error) => (error ? reject(error) : resolve())),
    )
    // A call that outlives several pings: a server that minds them ends it with ENHANCE_YOUR_CALM.
    const { jobs } = await queues.call<{ jobs: Job[] }>('ReceiveJobs', { queue: freshName('idle'), waitMs: 4000 })
    expect(jobs).toEqual([])
  })

  test('waitForReady fails in time when nobody listens', async () => {
    using queues = rawClient('QueueService', { endpoint: '127.0.0.1:1', key: fixture.server.key })
    const ready = new Promise<void>((resolve, reject) =>
      queues.client.waitForReady(Date.now() + 300, (error) => (error ? reject(error) : resolve())),
    )
    await expect(ready).rejects.toThrow(/deadline/i)
    expect((await failure(queues.call('GetQueueStats', { queue: 'emails' }, { deadline: Date.now() + 3000 }))).code).toBe(
      grpc.status.UNAVAILABLE,
    )
  })
})

describe('standard services', () => {
  test('health needs no key: the server and each service serve', async () => {
    using health = rawClient(loadOwn('health.proto', ['grpc', 'health', 'v1'], 'Health'), { endpoint: fixture.server.endpoint })
    for (const service of ['', 'millrace.v1.QueueService', 'millrace.v1.TaskService', 'millrace.v1.WorkerService']) {
      expect(await health.call('Check', { service })).toEqual({ status: 'SERVING' })
    }
    expect((await failure(health.call('Check', { service: 'no.such.Service' }))).code).toBe(grpc.status.NOT_FOUND)
    const watch = health.open('Watch', { service: '' })
    expect(await reader(watch).next()).toEqual({ status: 'SERVING' })
    watch.cancel()
  })

  test('reflection lists the services and describes them', async () => {
    const Reflection = loadOwn('reflection.proto', ['grpc', 'reflection', 'v1'], 'ServerReflection')
    using reflection = rawClient(Reflection, { endpoint: fixture.server.endpoint, key: fixture.server.key })
    const call = reflection.talk('ServerReflectionInfo')
    const answers = reader<{
      listServicesResponse?: { service: { name: string }[] }
      fileDescriptorResponse?: { fileDescriptorProto: Buffer[] }
    }>(call)
    call.write({ listServices: '*' })
    const names = (await answers.next()).listServicesResponse?.service.map(({ name }) => name)
    for (const service of new Set(everyRpc.map((rpc) => rpc.service))) expect(names).toContain(`millrace.v1.${service}`)
    call.write({ fileContainingSymbol: 'millrace.v1.QueueService' })
    const files = (await answers.next()).fileDescriptorResponse?.fileDescriptorProto
    expect(files?.some((file) => file.includes('millrace/v1/queue_service.proto'))).toBe(true)
    call.end()
  })
})
