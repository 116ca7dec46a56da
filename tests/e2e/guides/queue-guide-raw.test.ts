import { setTimeout as sleep } from 'node:timers/promises'
import * as grpc from '@grpc/grpc-js'
import { expect, onTestFinished, test } from 'vitest'
import { useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'
import { json, metadata, millrace } from '../raw/raw.ts'

// The queue guide's examples in the way of grpc-js: callbacks, events, and a service client made from the .proto files.

interface Job {
  readonly jobId: string
  readonly payload: Buffer
  readonly leaseToken: string
}

type Callback<T> = (error: grpc.ServiceError | null, response: T) => void

const channelOptions = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.http2.min_time_between_pings_ms': 10_000,
}

const fixture = useServer()

function connect(service: 'QueueService' | 'WorkerService'): grpc.Client & Record<string, CallableFunction> {
  const client = new millrace[service](fixture.server.endpoint, grpc.credentials.createInsecure(), channelOptions)
  onTestFinished(() => client.close())
  return client as unknown as grpc.Client & Record<string, CallableFunction>
}

/** Gives a callback method a promise. */
function promised<T>(client: Record<string, CallableFunction>, method: string, meta: grpc.Metadata) {
  return (request: object) =>
    new Promise<T>((resolve, reject) => {
      const callback: Callback<T> = (error, response) => (error ? reject(error) : resolve(response))
      client[method]!(request, meta, callback)
    })
}

test('a streaming worker: jobs in, leases renewed, results out, cancelled at shutdown', async () => {
  const client = connect('QueueService')
  const meta = metadata(fixture.server.key, 'raw-streaming')
  const enqueue = promised<{ results: { jobId: string; created: boolean }[] }>(client, 'EnqueueJobs', meta)
  const complete = promised(client, 'CompleteJob', meta)
  const fail = promised(client, 'FailJob', meta)
  const renew = promised(client, 'RenewLease', meta)

  const stream: grpc.ClientReadableStream<{ jobs: Job[] }> = client.StreamJobs!(
    { queue: 'emails', workerId: `worker-${process.pid}`, leaseMs: 2000, maxInFlight: 5 },
    meta,
  )
  const renewals = new Map<string, NodeJS.Timeout>()
  const settled: string[] = []
  const processEmail = async ({ to }: { to: string }) => {
    await sleep(to === 'slow' ? 3000 : 1)
    if (to === 'bad') throw new Error('mailbox full')
    return { sent: true }
  }
  stream.on('data', ({ jobs }) => {
    for (const { jobId, leaseToken, payload } of jobs) {
      renewals.set(
        jobId,
        setInterval(() => renew({ jobId, leaseToken, leaseMs: 2000 }).catch(() => {}), 300), // refused once it is settled
      )
      processEmail(JSON.parse(payload.toString()))
        .then(
          (result) => complete({ jobId, leaseToken, result: json(result) }),
          (error: Error) => fail({ jobId, leaseToken, error: { message: error.message }, noRetry: true }),
        )
        .finally(() => {
          clearInterval(renewals.get(jobId))
          settled.push(jobId)
        })
    }
  })
  const ended = new Promise<grpc.ServiceError>((resolve) => stream.on('error', resolve))

  const { results } = await enqueue({
    queue: 'emails',
    jobs: ['user@example.com', 'slow', 'bad'].map((to) => ({ payload: json({ to }), maxAttempts: 3 })),
  })
  expect(results.map(({ created }) => created)).toEqual([true, true, true])
  await until('all three are settled', () => settled.length === 3)
  expect(settled.sort()).toEqual(results.map(({ jobId }) => jobId).sort())

  stream.cancel()
  expect((await ended).code).toBe(grpc.status.CANCELLED)
  const stats = await promised<Record<string, string>>(client, 'GetQueueStats', meta)({ queue: 'emails' })
  expect(stats).toMatchObject({ queue: 'emails', pending: '0', processing: '0', completed: '2', failed: '1' })
})

test('full duplex: subscribe, jobs, complete and fail, heartbeats', async () => {
  const meta = metadata(fixture.server.key, 'raw-duplex')
  const enqueue = promised(connect('QueueService'), 'EnqueueJobs', meta)
  const call: grpc.ClientDuplexStream<object, { deliveries?: { jobs: Job[] }; heartbeatAck?: object; settled?: { rejected: object[] } }> =
    connect('WorkerService').ProcessJobs!(meta)
  let acknowledged = 0
  let settled = 0
  let sequence = 0
  call.on('data', (response) => {
    for (const { jobId, leaseToken, payload } of response.deliveries?.jobs ?? []) {
      const { to } = JSON.parse(payload.toString()) as { to: string }
      const outcome =
        to === 'bad' ? { fail: { error: { message: 'mailbox full' }, noRetry: true } } : { complete: { result: json({ sent: true }) } }
      call.write({ settle: { sequence: ++sequence, settlements: [{ jobId, leaseToken, ...outcome }] } })
    }
    if (response.heartbeatAck) acknowledged++
    if (response.settled) {
      expect(response.settled.rejected).toEqual([])
      settled++
    }
  })
  call.write({ subscribe: { queue: 'emails', workerId: 'worker-1', leaseMs: 300_000, maxInFlight: 10 } })
  const heartbeats = setInterval(() => call.write({ heartbeat: { sequence: 1 } }), 20)
  onTestFinished(() => clearInterval(heartbeats))

  await enqueue({ queue: 'emails', jobs: ['a', 'b', 'bad'].map((to) => ({ payload: json({ to }) })) })
  await until('all are settled and heartbeats answered', () => settled === 3 && acknowledged > 2)
  clearInterval(heartbeats)
  const ended = new Promise((resolve) => call.on('end', resolve))
  call.end()
  await ended
})

test('errors by their code, and a client that connects with retries', async () => {
  const client = connect('QueueService')
  const codeOf = (meta: grpc.Metadata, options: grpc.CallOptions = {}) =>
    new Promise<string>((resolve) =>
      client.ReceiveJobs!({ queue: 'emails', waitMs: 5000 }, meta, options, (error: grpc.ServiceError | null) =>
        resolve(grpc.status[error?.code ?? 0]!),
      ),
    )
  expect(await codeOf(metadata('mr_wrong'))).toBe('UNAUTHENTICATED')
  expect(await codeOf(metadata(fixture.server.key), { deadline: Date.now() + 100 })).toBe('DEADLINE_EXCEEDED')

  let retries = 0
  const connectWithRetry = (endpoints: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const [endpoint, ...others] = endpoints as [string, ...string[]]
      const candidate = new millrace.QueueService(endpoint, grpc.credentials.createInsecure())
      onTestFinished(() => candidate.close())
      candidate.waitForReady(Date.now() + 300, (error) => {
        if (!error) return resolve(endpoint)
        retries++
        connectWithRetry(others).then(resolve, reject)
      })
    })
  expect(await connectWithRetry(['127.0.0.1:1', fixture.server.endpoint])).toBe(fixture.server.endpoint)
  expect(retries).toBe(1)
})
