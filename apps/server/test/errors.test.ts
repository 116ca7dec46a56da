import { Client, credentials, Metadata as RawMetadata, type ServiceError } from '@grpc/grpc-js'
import { ClusterServiceDefinition, type GetHealthRequest, type GetHealthResponse } from '@millrace/protocol'
import { type ErrorDetails, type ErrorReason, errorCatalogue } from '@millrace/protocol/errors'
import { Metadata } from 'nice-grpc'
import { type Logger, pino } from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../src/clock.ts'
import { defaultRetryPolicy, retryPlanner } from '../src/domain/jobs/retry.ts'
import { Keyring } from '../src/domain/keys/keyring.ts'
import { RateLimits } from '../src/domain/keys/rate-limits.ts'
import { MillraceError } from '../src/errors.ts'
import { Metrics } from '../src/metrics.ts'
import type { Call } from '../src/services/call.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { CallLifetimes } from '../src/transport/call-lifetimes.ts'
import { startGrpcServer } from '../src/transport/grpc/server.ts'
import { connectTo, failureOf, newTask, startTestServer } from './harness.ts'

/** A server whose health call does what it is told. */
async function serverThat(getHealth: (request: GetHealthRequest, call: Call) => Promise<GetHealthResponse>) {
  const store = await openSqliteStore({
    path: ':memory:',
    planRetry: retryPlanner(),
    defaultRetry: defaultRetryPolicy,
    defaultMaxDepth: 10,
    now: Date.now,
  })
  const keyring = new Keyring({ store: store.keys, clock: systemClock })
  const { secret } = await keyring.create({ tenant: await keyring.tenant('t'), name: 'k', scopes: ['admin'], namespaces: [] })
  const lines: Record<string, unknown>[] = []
  const logger: Logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const server = await startGrpcServer({
    address: { host: '127.0.0.1', port: 0 },
    payloadLimit: 1024,
    services: [
      {
        definition: ClusterServiceDefinition,
        implementation: {
          getHealth,
          listWorkers: () => ({ workers: [] }),
          listServices: () => ({ services: [] }),
          async *watchHealth() {},
        },
      },
    ],
    health: { problem: async () => '', stop: () => {} },
    clock: systemClock,
    keyring,
    lifetimes: new CallLifetimes(keyring),
    rateLimits: new RateLimits(systemClock),
    logger,
    metrics: new Metrics(),
  })
  onTestFinished(async () => {
    await server.stop(100)
    await store.close()
  })
  return { grpc: `127.0.0.1:${server.port}`, secret, lines }
}

const details: Partial<Record<ErrorReason, Omit<ErrorDetails, 'reason' | 'message'>>> = {
  VALIDATION: {
    fields: [
      { path: 'jobs[3].priority', message: 'is too large' },
      { path: 'queue', message: 'is missing' },
    ],
  },
  PERMISSION_DENIED: { requiredScope: 'tasks:write' },
  NOT_FOUND: { resource: 'task', id: 'task_1' },
  RATE_LIMITED: { retryAfterMs: 1500 },
  QUOTA_EXCEEDED: { quota: { type: 'queue_depth', current: 7, limit: 5 }, retryAfterMs: 250 },
  UNAVAILABLE: { retryAfterMs: 5 },
}

describe('an error of a call', () => {
  it.each(Object.keys(errorCatalogue) as ErrorReason[])('arrives whole: %s', async (reason) => {
    const message = `what was wrong — ü 漢 🙂 (${reason})`
    const { grpc, secret } = await serverThat(() => Promise.reject(new MillraceError(reason, message, details[reason])))
    const failure = await failureOf(connectTo({ grpc }, secret).cluster.getHealth({}))
    expect(failure.code).toBe(errorCatalogue[reason].grpc)
    expect(failure.details).toMatchObject({ reason, message, ...details[reason] })
    expect(failure.details.requestId).toMatch(/^\S{8,}$/)
  })

  it('that is a fault tells its request id and nothing else; the log has the rest', async () => {
    const { grpc, secret, lines } = await serverThat(() => Promise.reject(new Error('secret detail /etc/passwd')))
    const failure = await failureOf(connectTo({ grpc }, secret).cluster.getHealth({}))
    expect(failure.details.reason).toBe('INTERNAL')
    expect(JSON.stringify(failure.details)).not.toContain('secret')
    const line = lines.find(({ requestId }) => requestId === failure.details.requestId)
    expect(line).toMatchObject({
      level: 50,
      method: '/millrace.v1.ClusterService/GetHealth',
      err: { message: 'secret detail /etc/passwd' },
    })
  })

  it('with an endless message arrives cut', async () => {
    const { grpc, secret } = await serverThat(() => Promise.reject(new MillraceError('CONFLICT', '漢'.repeat(100_000))))
    const failure = await failureOf(connectTo({ grpc }, secret).cluster.getHealth({}))
    expect(failure.details.reason).toBe('CONFLICT')
    expect(failure.details.message).toBe('漢'.repeat(333))
  })
})

it('an error that quotes endless input can still be sent', async () => {
  const { admin } = await startTestServer()
  for (const id of ['x'.repeat(100_000), '漢'.repeat(100_000)]) {
    const failure = await failureOf(admin.tasks.getTask({ taskId: id }))
    expect(failure.details).toMatchObject({ reason: 'NOT_FOUND', resource: 'task', id: id.slice(0, id[0] === 'x' ? 300 : 100) })
  }
  const bad = '?'.repeat(5000)
  const labels = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${bad}${i}`, bad]))
  const failure = await failureOf(admin.tasks.submitTask({ task: newTask({ labels, function: bad, queue: bad }), requestId: '' }))
  expect(failure.details).toMatchObject({ reason: 'VALIDATION' })
  expect(failure.trailerBytes).toBeGreaterThan(1000)
  expect(failure.trailerBytes).toBeLessThan(8192)
})

describe('the request id', () => {
  it('of the caller comes back', async () => {
    const { admin } = await startTestServer()
    let header: Metadata | undefined
    await admin.cluster
      .getHealth({}, { metadata: Metadata({ 'request-id': 'mine-1' }), onHeader: (received) => (header = received) })
      .catch(() => {})
    expect(header?.get('request-id')).toBe('mine-1')
  })

  it('of a caller that names none, or nonsense, is made by the server', async () => {
    const { admin } = await startTestServer()
    const seen = new Set<string | undefined>()
    for (const id of ['', 'has a blank', 'x'.repeat(129)]) {
      const metadata = id ? Metadata({ 'request-id': id }) : Metadata()
      await admin.cluster.getHealth({}, { metadata, onHeader: (received) => seen.add(received.get('request-id')) }).catch(() => {})
    }
    expect(seen.size).toBe(3)
    for (const id of seen) expect(id).toMatch(/^[\w-]{8,30}$/)
  })
})

describe('malformed protobuf', () => {
  const nonsense = Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x01])
  const headers = (key: string) => {
    const metadata = new RawMetadata()
    metadata.set('x-api-key', key)
    return metadata
  }
  const raw = (bytes: Buffer) => bytes

  it('in a unary call is the caller’s fault', async () => {
    const { server } = await startTestServer()
    const client = new Client(server.grpc, credentials.createInsecure())
    const error = await new Promise<ServiceError | null>((resolve) => {
      client.makeUnaryRequest('/millrace.v1.TaskService/SubmitTask', raw, raw, nonsense, headers(server.key!), (err) => resolve(err))
    })
    expect(error).toMatchObject({ code: 3, details: expect.stringContaining('protobuf') })
    client.close()
  })

  it('in a stream is too', async () => {
    const { server } = await startTestServer()
    const client = new Client(server.grpc, credentials.createInsecure())
    const error = await new Promise<ServiceError>((resolve) => {
      const stream = client.makeBidiStreamRequest('/millrace.v1.WorkerService/ProcessJobs', raw, raw, headers(server.key!))
      stream.on('error', resolve)
      stream.on('data', () => {})
      stream.write(nonsense)
    })
    expect(error).toMatchObject({ code: 3, details: expect.stringContaining('protobuf') })
    client.close()
  })
})

it('a call that its caller gave up ends without a word in the log', async () => {
  const ended = Promise.withResolvers<unknown>()
  const { grpc, secret, lines } = await serverThat((_request, { signal }) => {
    signal.addEventListener('abort', () => ended.resolve(signal.reason))
    return ended.promise.then((reason) => Promise.reject(reason))
  })
  const controller = new AbortController()
  const call = connectTo({ grpc }, secret).cluster.getHealth({}, { signal: controller.signal })
  setTimeout(() => controller.abort(), 50)
  await expect(call).rejects.toMatchObject({ name: 'AbortError' })
  expect(await ended.promise).toMatchObject({ name: 'AbortError' })
  expect(lines).toEqual([])
})
