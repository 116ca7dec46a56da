import { Client, credentials, Metadata as RawMetadata } from '@grpc/grpc-js'
import {
  JobState,
  type ProcessJobsRequest,
  type ProcessJobsResponse,
  RevocationReason,
  type Settlement,
  StreamJobsRequest,
  StreamJobsResponse,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { type Clients, failureOf, newJob, newTask, Outgoing, startTestServer } from './harness.ts'

type Message = NonNullable<ProcessJobsResponse['message']>

type ValueOf<K extends Message['$case']> = Extract<Message, { readonly $case: K }> extends { readonly value: infer V } ? V : never

/** A worker that does what the test says. */
function openWorker(client: Clients, subscribe: { queue?: string; functions?: string[]; maxInFlight: number; leaseMs?: number }) {
  const outgoing = new Outgoing<ProcessJobsRequest>()
  const stream = client.workers.processJobs(outgoing)[Symbol.asyncIterator]()
  const value = { queue: '', functions: [], workerId: '', leaseMs: 0, attestation: undefined, ...subscribe }
  outgoing.send({ message: { $case: 'subscribe', value } })
  return {
    outgoing,
    /** The next message. */
    async next(): Promise<Message> {
      const { value, done } = await stream.next()
      if (done) throw new Error('the stream has ended')
      return value.message!
    },
    /** The next message, which must be of this kind. */
    async take<K extends Message['$case']>(kind: K): Promise<ValueOf<K>> {
      const message = await this.next()
      expect(message.$case).toBe(kind)
      return message.value as ValueOf<K>
    },
    settle(sequence: number, settlements: Settlement[]): void {
      outgoing.send({ message: { $case: 'settle', value: { sequence, settlements } } })
    },
    ended: () => stream.next(),
  }
}

const complete = (job: { jobId: string; leaseToken: string }, result = 'null'): Settlement => ({
  jobId: job.jobId,
  leaseToken: job.leaseToken,
  action: {
    $case: 'complete',
    value: { result: Buffer.from(result), contentType: '', state: undefined, deleteState: false, proof: undefined },
  },
})

describe('ProcessJobs', () => {
  it('pushes jobs while there is room, and settles them', async () => {
    const { admin } = await startTestServer()
    const worker = openWorker(admin, { functions: ['work'], maxInFlight: 2, leaseMs: 5000 })
    expect((await worker.take('subscribed')).workerId).toMatch(/^worker-/)
    const { results } = await admin.tasks.submitTasks({
      tasks: Array.from({ length: 5 }, (_, i) =>
        newTask({ payload: Buffer.from(`${i}`), labels: { n: `${i}` }, headers: { h: 'v' }, priority: 7 }),
      ),
      requestId: '',
      allowPartial: false,
      batch: false,
    })
    const first = (await worker.take('deliveries')).jobs
    const rest = first.length === 2 ? [] : (await worker.take('deliveries')).jobs
    const jobs = [...first, ...rest]
    expect(jobs.map((job) => job.jobId)).toEqual(results.slice(0, 2).map((result) => result.taskId))
    expect(jobs[0]).toMatchObject({
      queue: 'default',
      function: 'work',
      labels: { n: '0' },
      headers: { h: 'v' },
      priority: 7,
      attempt: 1,
      maxAttempts: 3,
    })
    expect(jobs[0]!.payload).toEqual(Buffer.from('0'))
    expect(jobs[0]!.leaseExpiresAt!.getTime() - Date.now()).toBeLessThanOrEqual(5000)
    worker.outgoing.send({ message: { $case: 'heartbeat', value: { sequence: 42 } } })
    expect(await worker.take('heartbeatAck')).toEqual({ sequence: 42 })

    worker.settle(1, [complete(jobs[0]!, '"done"'), complete({ ...jobs[1]!, leaseToken: '999' })])
    const seen: string[] = []
    let settled: Extract<Message, { $case: 'settled' }>['value'] | undefined
    while (!settled || seen.length < 1) {
      const message = await worker.next()
      if (message.$case === 'settled') settled = message.value
      if (message.$case === 'deliveries') seen.push(...message.value.jobs.map((job) => job.jobId))
    }
    expect(settled).toMatchObject({ sequence: 1, rejected: [{ jobId: jobs[1]!.jobId, error: { reason: 'CONFLICT' } }] })
    expect(seen).toEqual([results[2]!.taskId])
    const { task } = await admin.tasks.getTask({ taskId: jobs[0]!.jobId })
    expect(task).toMatchObject({ state: JobState.COMPLETED, attempts: 1, workerId: expect.stringMatching(/^worker-/) })
    expect(task!.result).toEqual(Buffer.from('"done"'))
    expect((await admin.cluster.listWorkers({})).workers).toMatchObject([
      { queue: 'default', functions: ['work'], maxInFlight: 2, inFlight: 2 },
    ])
  })

  it('ends when the worker closes its side, after it has answered everything', async () => {
    const { admin } = await startTestServer()
    await admin.tasks.submitTask({ task: newTask(), requestId: '' })
    const worker = openWorker(admin, { functions: ['work'], maxInFlight: 1 })
    await worker.take('subscribed')
    const { jobs } = await worker.take('deliveries')
    worker.settle(7, [complete(jobs[0]!)])
    worker.outgoing.end()
    expect(await worker.take('settled')).toEqual({ sequence: 7, rejected: [] })
    expect(await worker.ended()).toEqual({ done: true, value: undefined })
  })

  it('pauses at max_in_flight 0', async () => {
    const { admin } = await startTestServer()
    const worker = openWorker(admin, { functions: ['work'], maxInFlight: 5 })
    await worker.take('subscribed')
    const subscribe = { queue: '', functions: [], workerId: '', leaseMs: 0, attestation: undefined }
    worker.outgoing.send({ message: { $case: 'subscribe', value: { ...subscribe, maxInFlight: 0 } } })
    worker.outgoing.send({ message: { $case: 'heartbeat', value: { sequence: 1 } } })
    await worker.take('heartbeatAck')
    await admin.tasks.submitTask({ task: newTask(), requestId: '' })
    worker.outgoing.send({ message: { $case: 'heartbeat', value: { sequence: 2 } } })
    await worker.take('heartbeatAck')
    worker.outgoing.send({ message: { $case: 'subscribe', value: { ...subscribe, maxInFlight: 1 } } })
    expect((await worker.take('deliveries')).jobs).toHaveLength(1)
  })

  it('revokes what was cancelled, timed out or not renewed', async () => {
    const clock = new ManualClock(Date.now())
    const { admin } = await startTestServer({}, clock)
    const worker = openWorker(admin, { functions: ['work'], maxInFlight: 3, leaseMs: 30_000 })
    await worker.take('subscribed')
    const ids: string[] = []
    for (const timeoutMs of [0, 5000, 0]) {
      const task = newTask({
        timeoutMs,
        retry: { maxAttempts: 1, initialBackoffMs: 0, maxBackoffMs: 0, multiplier: 0, strategy: 0, jitter: 0 },
      })
      ids.push((await admin.tasks.submitTask({ task, requestId: '' })).taskId)
      await worker.take('deliveries')
    }
    await admin.tasks.cancelTask({ taskId: ids[0]!, reason: 'no' })
    expect((await worker.take('revoked')).jobs).toMatchObject([{ jobId: ids[0], reason: RevocationReason.CANCELLED }])
    await clock.advance(5000)
    expect((await worker.take('revoked')).jobs).toMatchObject([{ jobId: ids[1], reason: RevocationReason.TIMEOUT }])
    await clock.advance(25_000)
    expect((await worker.take('revoked')).jobs).toMatchObject([{ jobId: ids[2], reason: RevocationReason.LEASE_EXPIRED }])
  })

  it('refuses a stream that does not begin with subscribe', async () => {
    const { admin } = await startTestServer()
    const outgoing = new Outgoing<ProcessJobsRequest>()
    outgoing.send({ message: { $case: 'heartbeat', value: { sequence: 1 } } })
    const stream = admin.workers.processJobs(outgoing)[Symbol.asyncIterator]()
    expect((await failureOf(Promise.resolve(stream.next()))).details).toMatchObject({ reason: 'VALIDATION', fields: [{ path: 'message' }] })
  })

  it.each([
    ['a function without a name', { functions: ['a', ''], maxInFlight: 1 }, 'subscribe.functions[1]'],
    ['more than 10000 in flight', { maxInFlight: 10_001 }, 'subscribe.maxInFlight'],
    ['a lease of a millisecond', { maxInFlight: 1, leaseMs: 1 }, 'subscribe.leaseMs'],
    ['a bad queue', { maxInFlight: 1, queue: 'a b' }, 'subscribe.queue'],
  ])('refuses %s', async (_, subscribe, path) => {
    const { admin } = await startTestServer()
    const failure = await failureOf(openWorker(admin, subscribe).next())
    expect(failure.details).toMatchObject({ reason: 'VALIDATION', fields: [{ path }] })
  })
})

describe('a worker that does not read', () => {
  it('gets no more jobs than the connection and a small buffer hold, and all of them once it reads', async () => {
    const { server, admin } = await startTestServer()
    const count = 300
    for (let sent = 0; sent < count; sent += 100) {
      const jobs = Array.from({ length: 100 }, () => newJob({ payload: Buffer.alloc(100_000, 'x') }))
      await admin.queues.enqueueJobs({ queue: 'q', jobs, requestId: '', allowPartial: false })
    }
    const client = new Client(server.grpc, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
    const metadata = new RawMetadata()
    metadata.set('x-api-key', server.key!)
    const request: StreamJobsRequest = { queue: 'q', leaseMs: 0, maxInFlight: count, workerId: '' }
    const encode = (message: StreamJobsRequest) => Buffer.from(StreamJobsRequest.encode(message).finish())
    const stream = client.makeServerStreamRequest(
      '/millrace.v1.QueueService/StreamJobs',
      encode,
      StreamJobsResponse.decode,
      request,
      metadata,
    )
    stream.on('error', () => {})
    // grpc-js holds the connection back only after a first read.
    let received = await new Promise<number>((resolve) => {
      stream.once('data', ({ jobs }: StreamJobsResponse) => {
        stream.pause()
        resolve(jobs.length)
      })
    })
    // It is at rest when nothing has been claimed between two looks.
    let processing = -1
    for (;;) {
      const now = (await admin.queues.getQueueStats({ queue: 'q' })).processing
      if (now === processing && now > 0) break
      processing = now
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect(processing).toBeLessThan(150)

    for await (const { jobs } of stream) {
      received += (jobs as unknown[]).length
      if (received === count) break
    }
    client.close()
    expect(received).toBe(count)
  })
})

describe('StreamJobs', () => {
  it('gives back what never left when the client goes', async () => {
    const { admin } = await startTestServer()
    const controller = new AbortController()
    const stream = admin.queues.streamJobs({ queue: 'q', leaseMs: 0, maxInFlight: 2, workerId: 'me' }, { signal: controller.signal })
    const iterator = stream[Symbol.asyncIterator]()
    const first = iterator.next()
    while ((await admin.cluster.listWorkers({})).workers.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await admin.queues.enqueueJobs({ queue: 'q', jobs: [newJob(), newJob(), newJob()], requestId: '', allowPartial: false })
    const received = (await first).value.jobs
    expect(received.length).toBeGreaterThan(0)
    expect(await admin.queues.getQueueStats({ queue: 'q' })).toMatchObject({ processing: 2, pending: 1 })
    controller.abort()
    await expect(iterator.next().then(() => iterator.next())).rejects.toMatchObject({ name: 'AbortError' })
    while ((await admin.cluster.listWorkers({})).workers.length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  })
})

describe('watching a task', () => {
  it('shows its state now and after each change, and ends with it', async () => {
    const { admin } = await startTestServer()
    const { taskId } = await admin.tasks.submitTask({ task: newTask(), requestId: '' })
    const updates = admin.tasks.watchTask({ taskId, afterRevision: 0 })[Symbol.asyncIterator]()
    const next = async () => (await updates.next()).value?.update
    expect(await next()).toMatchObject({ taskId, state: JobState.PENDING, attempts: 0 })
    const worker = openWorker(admin, { functions: ['work'], maxInFlight: 1 })
    await worker.take('subscribed')
    const { jobs } = await worker.take('deliveries')
    expect(await next()).toMatchObject({ state: JobState.RUNNING, attempts: 1 })
    const { jobId, leaseToken } = jobs[0]!
    worker.settle(1, [{ jobId, leaseToken, action: { $case: 'progress', value: { percent: 40, message: 'going' } } }])
    expect(await next()).toMatchObject({ state: JobState.RUNNING, progress: 40, message: 'going' })
    worker.settle(2, [complete(jobs[0]!, '"x"')])
    const last = await next()
    expect(last).toMatchObject({ state: JobState.COMPLETED, progress: 100, result: Buffer.from('"x"') })
    expect(await updates.next()).toMatchObject({ done: true })

    const again: unknown[] = []
    for await (const { update } of admin.tasks.watchTask({ taskId, afterRevision: 0 })) again.push(update!.state)
    expect(again).toEqual([JobState.COMPLETED])
    for await (const { update } of admin.tasks.watchTask({ taskId, afterRevision: last!.revision })) again.push(update!.state)
    expect(again).toHaveLength(1)
  })

  it('refuses a task that does not exist', async () => {
    const { admin } = await startTestServer()
    const stream = admin.tasks.watchTask({ taskId: 'task_00000000001', afterRevision: 0 })[Symbol.asyncIterator]()
    expect((await failureOf(Promise.resolve(stream.next()))).details).toMatchObject({ reason: 'NOT_FOUND', resource: 'task' })
  })
})

describe('following tasks', () => {
  it('tells of each change of many, of missing ones, and of the end alone where that was asked', async () => {
    const { admin } = await startTestServer()
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push((await admin.tasks.submitTask({ task: newTask(), requestId: '' })).taskId)
    const outgoing = new Outgoing<{ add: string[]; remove: string[]; terminalOnly: boolean }>()
    outgoing.send({ add: [ids[0]!, 'task_00000000001', 'nonsense'], remove: [], terminalOnly: false })
    outgoing.send({ add: [ids[1]!, ids[2]!], remove: [], terminalOnly: true })
    outgoing.send({ add: [], remove: [ids[2]!], terminalOnly: false })
    outgoing.end()
    const states: Record<string, JobState[]> = {}
    const missing: string[] = []
    let cancelled = false
    for await (const response of admin.tasks.followTasks(outgoing)) {
      missing.push(...response.missing)
      for (const { taskId, state } of response.updates) states[taskId] = [...(states[taskId] ?? []), state]
      if (cancelled || missing.length < 2) continue
      cancelled = true
      for (const taskId of ids) await admin.tasks.cancelTask({ taskId, reason: '' })
    }
    expect(missing.sort()).toEqual(['nonsense', 'task_00000000001'])
    expect(states).toEqual({ [ids[0]!]: [JobState.PENDING, JobState.CANCELLED], [ids[1]!]: [JobState.CANCELLED] })
  })

  it('are followed as a set by callers that cannot stream, until all have ended', async () => {
    const { admin } = await startTestServer()
    const ids = await Promise.all([0, 1].map(async () => (await admin.tasks.submitTask({ task: newTask(), requestId: '' })).taskId))
    const states: Record<string, number[]> = {}
    const missing: string[] = []
    for await (const response of admin.tasks.followTaskSet({ taskIds: [ids[0]!, 'nonsense'], terminalTaskIds: [ids[1]!] })) {
      missing.push(...response.missing)
      for (const { taskId, state } of response.updates) states[taskId] = [...(states[taskId] ?? []), state]
      if (states[ids[0]!]?.length === 1 && missing.length === 1)
        for (const taskId of ids) await admin.tasks.cancelTask({ taskId, reason: '' })
    }
    expect(missing).toEqual(['nonsense'])
    expect(states).toEqual({ [ids[0]!]: [JobState.PENDING, JobState.CANCELLED], [ids[1]!]: [JobState.CANCELLED] })
  })
})

describe("a task's log", () => {
  it('is read in pages and as it grows', async () => {
    const { admin } = await startTestServer()
    const { taskId } = await admin.tasks.submitTask({ task: newTask(), requestId: '' })
    const worker = openWorker(admin, { functions: ['work'], maxInFlight: 1 })
    await worker.take('subscribed')
    const job = (await worker.take('deliveries')).jobs[0]!
    const log = (...messages: string[]): Settlement => ({
      jobId: job.jobId,
      leaseToken: job.leaseToken,
      action: {
        $case: 'log',
        value: {
          entries: messages.map((message) => ({ timestamp: new Date(5000), level: 3, message, fieldsJson: '{"a":1}', sequence: 0 })),
        },
      },
    })
    const tail = admin.tasks.tailTaskLogs({ taskId, afterSequence: 0 })[Symbol.asyncIterator]()
    worker.settle(1, [log('one', 'two')])
    const first = (await tail.next()).value.entries
    expect(first).toMatchObject([
      { message: 'one', level: 3, fieldsJson: '{"a":1}', sequence: 1, timestamp: new Date(5000) },
      { message: 'two', sequence: 2 },
    ])
    worker.settle(2, [log('three')])
    expect((await tail.next()).value.entries).toMatchObject([{ message: 'three', sequence: 3 }])
    worker.settle(3, [log('four'), complete(job)])
    expect((await tail.next()).value.entries).toMatchObject([{ message: 'four' }])
    expect(await tail.next()).toMatchObject({ done: true })
    const page = await admin.tasks.listTaskLogs({ taskId, afterSequence: 1, limit: 2 })
    expect(page).toMatchObject({ entries: [{ message: 'two' }, { message: 'three' }], more: true })
    expect(await admin.tasks.listTaskLogs({ taskId, afterSequence: 3, limit: 2 })).toMatchObject({
      entries: [{ message: 'four' }],
      more: false,
    })
  })
})
