import { once } from 'node:events'
import { createServer as createTcpServer } from 'node:net'
import { TimeoutError, UnavailableError } from '@millrace/core'
import { ClusterServiceDefinition, type GetHealthResponse } from '@millrace/protocol'
import { grpcDefinition } from '@millrace/protocol/grpc'
import { createServer, ServerError, Status } from 'nice-grpc'
import { expect, onTestFinished, test } from 'vitest'
import { Millrace } from '../millrace.ts'
import { compileGrpcOptions } from '../options.ts'
import { JobServer } from '../testing/job-server.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { event, silentLogger } from '../testing/setup.ts'
import { TcpProxy } from '../testing/tcp-proxy.ts'
import { Worker } from '../worker/worker.ts'
import { compileWorkerOptions } from '../worker/worker-options.ts'
import { GrpcTransport } from './grpc-transport.ts'

const { getHealth } = grpcDefinition(ClusterServiceDefinition)
const nobody = '127.0.0.1:1'

/** A server that says its name, or what else it is told to say. */
async function serve(name: string, answer: () => GetHealthResponse | Promise<GetHealthResponse> = () => healthOf(name)): Promise<TcpProxy> {
  const server = createServer()
  server.add({ getHealth }, { getHealth: async () => answer() })
  const port = await server.listen('127.0.0.1:0')
  onTestFinished(() => server.forceShutdown())
  return TcpProxy.start(`127.0.0.1:${port}`)
}

function healthOf(version: string): GetHealthResponse {
  return { healthy: true, version, nodes: undefined, queue: undefined, detail: '' }
}

function client(endpoint: string | readonly string[], options: ConstructorParameters<typeof Millrace>[0] = {}): Millrace {
  const mr = new Millrace({ endpoint, logger: silentLogger, retry: false, circuitBreaker: false, ...options })
  onTestFinished(() => mr.close())
  return mr
}

/** A port that takes connections and says nothing, as behind a broken network. */
async function silence(): Promise<string> {
  const server = createTcpServer((socket) => socket.on('error', () => undefined))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const address = server.address()
  return `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}

test('one server is used at a time; when it is gone, calls go on at another, without an error', async () => {
  const servers = await Promise.all(['a', 'b'].map((name) => serve(name)))
  const mr = client(
    servers.map(({ endpoint }) => endpoint),
    { retry: { initialDelay: 1 } },
  )
  const [first] = await Promise.all([mr.health(), mr.health(), mr.health()])
  expect(servers.map(({ connections }) => connections).sort()).toEqual([0, 1])
  const used = servers.find(({ connections }) => connections === 1)!
  used.stop()
  const second = await mr.health()
  expect([first!.version, second.version].sort()).toEqual(['a', 'b'])
})

test.each([1, 2, 3, 4])('servers that are not there are passed over (%i)', async () => {
  const { endpoint } = await serve('a')
  const mr = client(`${nobody},${endpoint}`)
  expect(await mr.health()).toMatchObject({ version: 'a' })
  await mr.ready({ timeout: '5s' })
})

test('a server that takes connections and never speaks is passed over', async () => {
  const { endpoint } = await serve('a')
  const mr = client([await silence(), endpoint])
  expect(await mr.health()).toMatchObject({ version: 'a' })
  await expect(client([await silence(), await silence()], { timeout: 100 }).health()).rejects.toThrow(TimeoutError)
})

test('a call whose server dies under it is made again at another', async () => {
  let proxies: TcpProxy[] = []
  const die = () => {
    for (const proxy of proxies) if (proxy.connections > 0) proxy.stop()
    return new Promise<never>(() => undefined)
  }
  let calls = 0
  proxies = await Promise.all(['a', 'b'].map((name) => serve(name, () => (++calls === 1 ? die() : healthOf(name)))))
  const mr = client(
    proxies.map(({ endpoint }) => endpoint),
    { retry: { initialDelay: 1 } },
  )
  expect(await mr.health()).toMatchObject({ healthy: true })
  expect(calls).toBe(2)
})

test('a server that says that it cannot work is left for another', async () => {
  let broken = ''
  const answers = (name: string) => () => {
    broken ||= name
    if (broken === name) throw new ServerError(Status.UNAVAILABLE, 'The server is stopping.')
    return healthOf(name)
  }
  const proxies = await Promise.all(['a', 'b'].map((name) => serve(name, answers(name))))
  const mr = client(proxies.map(({ endpoint }) => endpoint))
  await expect(mr.health()).rejects.toThrow('The server is stopping.')
  expect((await mr.health()).version).toBe(broken === 'a' ? 'b' : 'a')
})

test('no server: the error names all', async () => {
  const mr = client(`${nobody},127.0.0.1:2`)
  await expect(mr.health()).rejects.toThrow(UnavailableError)
  await expect(mr.health()).rejects.toThrow(/None of the servers '127\.0\.0\.1:1,127\.0\.0\.1:2'/)
  await expect(mr.ready({ timeout: 200 })).rejects.toThrow(/No connection to '127\.0\.0\.1:1,127\.0\.0\.1:2'/)
})

test('a client is not held up by another one that waits to connect again', async () => {
  const server = createTcpServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address!.port : 0
  await new Promise((resolve) => server.close(resolve))
  const endpoint = `127.0.0.1:${port}`
  await expect(client(endpoint).health()).rejects.toThrow(UnavailableError)
  const real = createServer()
  real.add({ getHealth }, { getHealth: async () => healthOf('back') })
  await real.listen(endpoint)
  onTestFinished(() => real.forceShutdown())
  expect(await client(endpoint).health()).toMatchObject({ version: 'back' })
})

test('a worker whose server dies subscribes at another', async () => {
  const servers = await Promise.all([new JobServer().start(), new JobServer().start()])
  const endpoint = servers.map((server) => server.endpoint)
  const options = compileGrpcOptions({ endpoint, logger: silentLogger }, {})
  const transport = new GrpcTransport(options)
  const clock = new ManualClock()
  const workerOptions = compileWorkerOptions({ queue: 'emails', handler: () => undefined, signals: false })
  const worker = new Worker(
    {
      transport,
      client: options,
      clock,
      resultOf: async () => ({ result: new Uint8Array(), contentType: '' }),
      onStopped: () => undefined,
    },
    workerOptions,
  )
  onTestFinished(async () => {
    await transport.close()
    await Promise.all(servers.map((server) => server.kill()))
  })
  await worker.start()
  const used = servers.findIndex(({ sessions }) => sessions.all.length > 0)
  const disconnected = event(worker, 'disconnected')
  await servers[used]!.kill()
  await disconnected
  clock.advance(1000)
  const session = await servers[1 - used]!.sessions.next()
  expect(await session.subscriptions.next()).toMatchObject({ queue: 'emails' })
})
