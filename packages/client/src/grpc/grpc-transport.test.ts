import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ServerCredentials } from '@grpc/grpc-js'
import { AbortError, MillraceError, TimeoutError, UnavailableError, ValidationError } from '@millrace/core'
import { ClusterServiceDefinition, type GetTaskResponse, QueueServiceDefinition, TaskServiceDefinition } from '@millrace/protocol'
import { type ErrorDetails, type ErrorReason, errorCatalogue } from '@millrace/protocol/errors'
import { encodeErrorDetails, grpcDefinition, statusDetailsTrailer } from '@millrace/protocol/grpc'
import { type CallContext, createServer, ServerError } from 'nice-grpc'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { Millrace } from '../millrace.ts'
import { compileGrpcOptions } from '../options.ts'
import { gate, silentLogger } from '../testing/setup.ts'
import { TcpProxy } from '../testing/tcp-proxy.ts'
import { GrpcTransport } from './grpc-transport.ts'

type GetTask = (request: { taskId: string }, context: CallContext) => Promise<GetTaskResponse>

const taskService = grpcDefinition(TaskServiceDefinition)
const clusterService = grpcDefinition(ClusterServiceDefinition)
const queueService = grpcDefinition(QueueServiceDefinition)
const pem = (name: string): Buffer => readFileSync(new URL(`../testing/certs/${name}`, import.meta.url))
const never = new Promise<never>(() => undefined)
const stop: (() => void)[] = []
afterEach(() => {
  for (const fn of stop.splice(0)) fn()
})

/** A real server for a few methods, whose answers are the test's. */
async function serve(
  implementation: {
    getTask?: GetTask
    tailTaskLogs?: (request: { taskId: string }, context: CallContext) => AsyncIterable<{ entries: [] }>
    enqueued?: (bytes: number) => void
  },
  options: { credentials?: ServerCredentials; maxBytes?: number } = {},
): Promise<string> {
  const server = createServer({ 'grpc.max_receive_message_length': options.maxBytes ?? 64 << 20 })
  const { getTask = () => never, tailTaskLogs = async function* () {}, enqueued } = implementation
  server.add({ getTask: taskService.getTask, tailTaskLogs: taskService.tailTaskLogs }, { getTask, tailTaskLogs })
  server.add(
    { getHealth: clusterService.getHealth },
    { getHealth: async () => ({ healthy: true, version: '1', nodes: undefined, queue: undefined, detail: '' }) },
  )
  server.add(
    { enqueueJobs: queueService.enqueueJobs },
    {
      enqueueJobs: async ({ jobs }) => {
        for (const { payload } of jobs) enqueued?.(payload.length)
        return { results: jobs.map((_, i) => ({ jobId: `job_${i}`, seq: i, created: true, error: undefined })) }
      },
    },
  )
  const port = await server.listen('127.0.0.1:0', options.credentials)
  stop.push(() => server.forceShutdown())
  return `127.0.0.1:${port}`
}

function client(endpoint: string, options: ConstructorParameters<typeof Millrace>[0] = {}): Millrace {
  const mr = new Millrace({ endpoint, logger: silentLogger, retry: false, circuitBreaker: false, ...options })
  onTestFinished(() => mr.close())
  return mr
}

describe('errors', () => {
  test.each(Object.keys(errorCatalogue) as ErrorReason[])('%s comes as its class over a real call', async (reason) => {
    const details: ErrorDetails = {
      reason,
      message: 'What was wrong.',
      requestId: 'req-1',
      ...(reason === 'QUOTA_EXCEEDED' && { quota: { type: 'queue.depth', current: 2, limit: 1 } }),
      ...(reason === 'VALIDATION' && { fields: [{ path: 'taskId', message: 'is empty.' }] }),
    }
    const endpoint = await serve({
      getTask: async (_request, { trailer }) => {
        trailer.set(statusDetailsTrailer, encodeErrorDetails(details))
        throw new ServerError(errorCatalogue[reason].grpc, details.message)
      },
    })
    const error = await client(endpoint)
      .tasks.get('task_1')
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(MillraceError)
    expect(error).toMatchObject({
      code: reason,
      statusCode: errorCatalogue[reason].http,
      message: 'What was wrong.',
      requestId: 'req-1',
      details,
    })
  })

  test('nothing listens', async () => {
    const mr = client('127.0.0.1:1')
    await expect(mr.tasks.get('task_1')).rejects.toThrow(UnavailableError)
    await expect(mr.ready({ timeout: 200 })).rejects.toThrow(/No connection to '127\.0\.0\.1:1' within \d+ ms/)
  })

  test('a connection that breaks in the middle', async () => {
    let arrived = () => {}
    const inside = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const endpoint = await serve({
      getTask: () => {
        arrived()
        return never
      },
    })
    const proxy = await TcpProxy.start(endpoint)
    const mr = client(proxy.endpoint)
    const call = expect(mr.tasks.get('task_1')).rejects.toThrow(UnavailableError)
    await inside
    proxy.cut()
    await call
    expect(await mr.health()).toMatchObject({ healthy: true })
  })

  test('a message that the server finds too large', async () => {
    const endpoint = await serve({}, { maxBytes: 1000 })
    const call = client(endpoint).queue('q').enqueue('x'.repeat(2000))
    await expect(call).rejects.toThrow(ValidationError)
    await expect(call).rejects.toThrow(/Send less at a time/)
  })
})

describe('ends', () => {
  /** A server that says when a call begins and when it is cancelled there. */
  async function serveHanging() {
    let began = () => {}
    let cancelled = () => {}
    const begun = new Promise<void>((resolve) => {
      began = resolve
    })
    const gone = new Promise<void>((resolve) => {
      cancelled = resolve
    })
    const hang = (context: CallContext): Promise<never> => {
      context.signal.addEventListener('abort', cancelled)
      began()
      return never
    }
    const endpoint = await serve({
      getTask: (_request, context) => hang(context),
      async *tailTaskLogs(_request, context) {
        yield { entries: [] }
        await hang(context)
      },
    })
    return { mr: client(endpoint), begun, gone }
  }

  test('a deadline is a TimeoutError, and the server stops too', async () => {
    const { mr, gone } = await serveHanging()
    await expect(mr.tasks.get('task_1', { timeout: 50 })).rejects.toThrow(TimeoutError)
    await gone
  })

  test('an abort is an AbortError, and the server stops too', async () => {
    const { mr, begun, gone } = await serveHanging()
    const controller = new AbortController()
    const call = expect(mr.tasks.get('task_1', { signal: controller.signal })).rejects.toThrow(AbortError)
    await begun
    controller.abort()
    await call
    await gone
  })

  test('of a stream: abort and return', async () => {
    const aborted = await serveHanging()
    const controller = new AbortController()
    const logs = aborted.mr.tasks.logs('task_1', { follow: true, signal: controller.signal })[Symbol.asyncIterator]()
    const next = expect(logs.next()).rejects.toThrow(AbortError)
    await aborted.begun
    controller.abort()
    await next
    await aborted.gone
  })

  test('of what is to be sent, while the call waits for its token: nothing is sent', async () => {
    const endpoint = await serve({})
    const token = gate<string>()
    const transport = new GrpcTransport(compileGrpcOptions({ endpoint, logger: silentLogger, token: () => token.passed }, {}))
    onTestFinished(() => transport.close())
    let asked = false
    const source = (async function* () {
      asked = true
      yield { content: undefined }
    })()
    const abort = new AbortController()
    const sent = transport.clientStream('ObjectService/PutObject', source as never, { signal: abort.signal })
    abort.abort()
    await expect(sent).rejects.toThrow(AbortError)
    token.open('t')
    await transport.unary('ClusterService/GetHealth', {}, { timeoutMs: 5000 })
    expect(asked).toBe(false)
  })

  test('of the client: calls under way reject, later ones too', async () => {
    const { mr, begun } = await serveHanging()
    const call = expect(mr.tasks.get('task_1')).rejects.toThrow('This client is closed.')
    await begun
    await mr.close()
    await call
    await expect(mr.tasks.get('task_1')).rejects.toThrow(UnavailableError)
    await mr.close()
  })
})

describe('connections', () => {
  test('none before the first call, one for many calls', async () => {
    const proxy = await TcpProxy.start(await serve({}))
    const mr = client(proxy.endpoint)
    expect(proxy.connections).toBe(0)
    await Promise.all(Array.from({ length: 20 }, () => mr.health()))
    expect(proxy.connections).toBe(1)
  })

  test('as many as maxConnections says', async () => {
    const proxy = await TcpProxy.start(await serve({}))
    const mr = client(proxy.endpoint, { maxConnections: 3 })
    await Promise.all(Array.from({ length: 20 }, () => mr.health()))
    expect(proxy.connections).toBe(3)
  })

  test('compression: gzip makes what is sent smaller', async () => {
    const sizes: number[] = []
    const endpoint = await serve({ enqueued: (bytes) => sizes.push(bytes) })
    const sent = async (compression: 'none' | 'gzip'): Promise<number> => {
      const proxy = await TcpProxy.start(endpoint)
      await client(proxy.endpoint, { compression }).queue('q').enqueue('x'.repeat(100_000))
      return proxy.sent
    }
    expect(await sent('none')).toBeGreaterThan(100_000)
    expect(await sent('gzip')).toBeLessThan(10_000)
    expect(sizes).toEqual([100_002, 100_002])
  })

  test('the key and the namespace travel with each call', async () => {
    let metadata: CallContext['metadata'] | undefined
    const endpoint = await serve({
      getTask: async (_request, context) => {
        metadata = context.metadata
        return { task: undefined }
      },
    })
    await client(endpoint, { apiKey: 'mr_key', namespace: 'blue' })
      .tasks.get('task_1')
      .catch(() => undefined)
    expect(metadata?.get('authorization')).toBe('Bearer mr_key')
    expect(metadata?.get('millrace-namespace')).toBe('blue')
  })

  test('a token that cannot be got fails the call, and says why', async () => {
    const endpoint = await serve({})
    const token = () => Promise.reject(new Error('the login is over'))
    await expect(client(endpoint, { token }).health()).rejects.toThrow("The option 'token' gave no token: the login is over")
  })
})

describe('TLS', () => {
  const server = (mutual: boolean) =>
    ServerCredentials.createSsl(pem('ca.pem'), [{ private_key: pem('server.key'), cert_chain: pem('server.pem') }], mutual)

  test('with the authority of the server', async () => {
    const endpoint = await serve({}, { credentials: server(false) })
    const ca = pem('ca.pem')
    expect(await client(`https://${endpoint}`, { tls: { ca } }).health()).toMatchObject({ healthy: true })
    expect(await client(endpoint, { tls: { ca: ca.toString() } }).health()).toMatchObject({ healthy: true })
    expect(await client(endpoint, { tls: { ca, serverName: 'inside.example' } }).health()).toMatchObject({ healthy: true })
    await expect(client(endpoint, { tls: { ca, serverName: 'other.example' } }).health()).rejects.toThrow(UnavailableError)
    await expect(client(`https://${endpoint}`).health()).rejects.toThrow(UnavailableError)
    await expect(client(endpoint, { timeout: '2s' }).health()).rejects.toThrow(MillraceError)
  })

  test("with the client's certificate", async () => {
    const endpoint = await serve({}, { credentials: server(true) })
    const ca = pem('ca.pem')
    const tls = { ca, cert: pem('client.pem'), key: pem('client.key') }
    expect(await client(endpoint, { tls }).health()).toMatchObject({ healthy: true })
    await expect(client(endpoint, { tls: { ca } }).health()).rejects.toThrow(UnavailableError)
  })
})

test('the error of a server that is not there, or speaks no gRPC, says where and why', async () => {
  await expect(client('127.0.0.1:1').health()).rejects.toThrow(
    /^The server '127\.0\.0\.1:1' cannot be reached \(connect ECONNREFUSED 127\.0\.0\.1:1\)\. Does one run there/,
  )
  const web = createHttpServer((_, response) => response.end())
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  onTestFinished(() => void web.close())
  const { port } = web.address() as AddressInfo
  await expect(client(`http://127.0.0.1:${port}`).health()).rejects.toThrow(
    `The server 'http://127.0.0.1:${port}' cannot be reached (Protocol error). Does one run there, and is it where it serves gRPC?`,
  )
  await expect(client(`https://localhost:${port}`).health()).rejects.toThrow(
    /cannot be reached \(TLS: wrong version number\)\. Does one run there, and is it where it serves gRPC\? Without TLS, leave out https:\/\/\.$/,
  )
})
