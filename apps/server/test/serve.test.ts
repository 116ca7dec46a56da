import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { join } from 'node:path'
import { StreamJobsRequest } from '@millrace/protocol'
import { grpcDefinition } from '@millrace/protocol/grpc'
import { createChannel, createClient, Metadata } from 'nice-grpc'
import { HealthDefinition } from 'nice-grpc-server-health'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startServer } from '../src/serve.ts'
import { StartError } from '../src/start-error.ts'
import { connectTo, failureOf, newJob, newTask, startTestServer, temporaryFolder } from './harness.ts'
import { spawnMillrace } from './process.ts'

const serveArgs = ['serve', '--json', '--dev', '--grpc', '127.0.0.1:0', '--log-level', 'warn']

/** Opens a stream of jobs whose reader stops reading, so that its call cannot end by itself. */
async function stallReader(grpc: string, key: string): Promise<void> {
  const admin = connectTo({ grpc }, key)
  const jobs = Array.from({ length: 30 }, () => newJob({ payload: Buffer.alloc(200_000) }))
  await admin.queues.enqueueJobs({ queue: 'stall', jobs, requestId: '', allowPartial: false })
  const session = connectHttp2(`http://${grpc}`)
  onTestFinished(() => session.destroy())
  session.on('error', () => undefined)
  const request = StreamJobsRequest.encode({ queue: 'stall', leaseMs: 0, maxInFlight: 100, workerId: '' }).finish()
  const length = Buffer.alloc(5)
  length.writeUInt32BE(request.length, 1)
  const path = '/millrace.v1.QueueService/StreamJobs'
  const call = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', 'x-api-key': key })
  call.on('error', () => undefined)
  call.end(Buffer.concat([length, request]))
  // It comes with the first job, which is larger than what may be on its way to a reader that reads nothing.
  await once(call, 'response')
}

describe('millrace serve', () => {
  it('prints one line of JSON when it is ready, serves, and stops on SIGTERM', async () => {
    const data = await temporaryFolder()
    const server = await spawnMillrace([...serveArgs, '--data', data])
    const { grpc, http, key } = JSON.parse(await server.firstLine())
    expect(grpc).toMatch(/^127\.0\.0\.1:\d+$/)
    expect(await (await fetch(`http://${http}/healthz`)).json()).toEqual({ status: 'ok' })
    expect(key).toMatch(/^mr_[0-9A-Za-z]{43}$/)
    const client = connectTo({ grpc }, key)
    const { taskId } = await client.tasks.submitTask({ task: newTask(), requestId: '' })
    const waiting = failureOf(client.queues.receiveJobs({ queue: 'q', maxJobs: 1, leaseMs: 0, waitMs: 60_000, workerId: '' }))
    const watching = client.tasks.watchTask({ taskId, afterRevision: 0 })[Symbol.asyncIterator]()
    await watching.next()
    server.child.kill('SIGTERM')
    expect((await failureOf(Promise.resolve(watching.next()))).details.reason).toBe('UNAVAILABLE')
    expect((await waiting).details.reason).toBe('UNAVAILABLE')
    const ended = await server.ended
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(ended.stdout.trim().split('\n')).toHaveLength(1)

    const again = await startTestServer({ data })
    expect((await again.admin.tasks.getTask({ taskId })).task).toMatchObject({ taskId, function: 'work' })
  })

  it('shows a banner without --json', async () => {
    const server = await spawnMillrace(serveArgs.filter((arg) => arg !== '--json'))
    await server.firstLine()
    server.child.kill('SIGINT')
    const { code, stdout } = await server.ended
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /Millrace \d+\.\d+\.\d+\n\n {2}gRPC +127\.0\.0\.1:\d+\n {2}HTTP +http:\/\/127\.0\.0\.1:\d+\n {2}data +\S+\n {2}key +mr_\w+/,
    )
    expect(stdout).toMatch(/export MILLRACE_ENDPOINT=127\.0\.0\.1:\d+ MILLRACE_API_KEY=mr_/)
  })

  it('says that there is no key, when there is none', async () => {
    const server = await spawnMillrace(['serve', '--grpc', '127.0.0.1:0', '--log-level', 'silent'])
    await server.firstLine()
    server.child.kill('SIGTERM')
    expect((await server.ended).stdout).toContain('There is no API key yet')
  })

  it('says which address is in use, and closes what it had opened', async () => {
    const { server } = await startTestServer()
    const start = startServer({ data: await temporaryFolder(), grpc: '127.0.0.1:0', http: server.http!, logLevel: 'silent' })
    await expect(start).rejects.toThrow(
      `The address ${server.http} is in use. Stop the other program, or give another with --http HOST:PORT`,
    )
  })

  it('serves no HTTP when that is off', async () => {
    const { server } = await startTestServer({ http: 'off' })
    expect(server.http).toBeUndefined()
  })

  it('ends at once on a second signal', async () => {
    const server = await spawnMillrace([...serveArgs, '--shutdown-grace', '60s'])
    const { grpc, key } = JSON.parse(await server.firstLine())
    await stallReader(grpc, key)
    server.child.kill('SIGTERM')
    await refusesConnections(grpc)
    expect(server.child.exitCode).toBe(null)
    // What comes too soon is taken for the first.
    const again = setInterval(() => server.child.kill('SIGINT'), 50)
    expect((await server.ended).code).toBe(1)
    clearInterval(again)
  })
})

/** Resolves when nobody listens any more. */
async function refusesConnections(grpc: string): Promise<void> {
  const [host, port] = grpc.split(':')
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), host)
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
      onTestFinished(() => void socket.destroy())
    })
    if (!open) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('a server in this process', () => {
  it('finishes what was asked before it stops', async () => {
    const { server, data, admin } = await startTestServer()
    const calls = Array.from({ length: 50 }, () => admin.tasks.submitTask({ task: newTask(), requestId: '' }).catch((error) => error))
    await calls[0]
    const stopped = server.stop()
    const answers = await Promise.all(calls)
    await stopped
    const done = answers.filter((answer) => answer.taskId !== undefined).map(({ taskId }) => taskId)
    expect(done.length).toBeGreaterThan(0)
    const again = await startTestServer({ data })
    const { tasks } = await again.admin.tasks.getTasks({ taskIds: done })
    expect(tasks.map(({ taskId }) => taskId)).toEqual(done)
  })

  it('does not wait longer than its grace for a peer that does not read', { timeout: 10_000 }, async () => {
    const { server } = await startTestServer({ shutdownGrace: '300ms' })
    await stallReader(server.grpc, server.key!)
    await server.stop() // or this test runs into its time limit
  })

  it('takes the root key of its configuration', async () => {
    const rootKey = 'a-root-key-of-thirty-two-characters!'
    const first = await startTestServer({ rootKey, dev: false })
    expect(first.server).toMatchObject({ key: undefined, notice: undefined })
    const root = connectTo(first.server, rootKey)
    const { key } = await root.keys.createKey({
      name: 'x',
      tenant: 'other',
      scopes: [],
      namespaces: [],
      rateLimit: 0,
      expiresAt: undefined,
    })
    expect(key!.tenant).toBe('other')
    await first.server.stop()
    const second = await startTestServer({ rootKey, dev: false, data: first.data })
    expect((await connectTo(second.server, rootKey).keys.listKeys({ tenant: '' })).keys).toHaveLength(1)
  })

  it('tells its health and that it stops', async () => {
    const { server } = await startTestServer()
    const channel = createChannel(server.grpc)
    onTestFinished(() => channel.close())
    const health = createClient(grpcDefinition(HealthDefinition), channel)
    expect(await health.check({ service: '' })).toEqual({ status: 1 })
    expect(await health.check({ service: 'millrace.v1.TaskService' })).toEqual({ status: 1 })
    await expect(health.check({ service: 'nonsense' })).rejects.toMatchObject({ code: 5 })
    const watch = health.watch({ service: '' })[Symbol.asyncIterator]()
    expect((await watch.next()).value).toEqual({ status: 1 })
    const unknown = health.watch({ service: 'nonsense' })[Symbol.asyncIterator]()
    expect((await unknown.next()).value).toEqual({ status: 3 })
    const stopped = server.stop()
    expect((await watch.next()).value).toEqual({ status: 2 })
    expect(await watch.next()).toMatchObject({ done: true })
    await stopped
  })

  it('describes its services to those who have a key', async () => {
    const { ServerReflectionService } = await import('nice-grpc-server-reflection')
    const { ServerReflectionRequest } = await import('nice-grpc-server-reflection/lib/proto/grpc/reflection/v1/reflection_pb.js')
    const { server } = await startTestServer()
    const channel = createChannel(server.grpc)
    onTestFinished(() => channel.close())
    const reflection = createClient(ServerReflectionService, channel)
    const request = new ServerReflectionRequest()
    request.setListServices('*')
    async function* requests() {
      yield request
    }
    const metadata = Metadata({ 'x-api-key': server.key! })
    const names: string[] = []
    for await (const response of reflection.serverReflectionInfo(requests(), { metadata })) {
      names.push(
        ...response
          .getListServicesResponse()!
          .getServiceList()
          .map((service) => service.getName()),
      )
    }
    expect(names).toEqual(expect.arrayContaining(['millrace.v1.TaskService', 'millrace.v1.WorkerService', 'millrace.v1.KeyService']))
    const refused = reflection.serverReflectionInfo(requests())[Symbol.asyncIterator]()
    await expect(refused.next()).rejects.toMatchObject({ code: 16 })
  })
})

describe('a server that cannot start', () => {
  const settings = { grpc: '127.0.0.1:0', dev: true, logLevel: 'silent' } as const

  it('says that the address is in use', async () => {
    const { server } = await startTestServer()
    const data = await temporaryFolder()
    const failure = startServer({ ...settings, data, grpc: server.grpc })
    await expect(failure).rejects.toThrow(
      new StartError(
        `The address ${server.grpc} is in use. Stop the other program, or give another with --grpc HOST:PORT (port 0 picks a free one).`,
      ),
    )
    await (await startServer({ ...settings, data })).stop() // and lets go of the data directory
  })

  it('says that the host does not exist', async () => {
    await expect(startServer({ ...settings, data: await temporaryFolder(), grpc: '192.0.2.1:0' })).rejects.toThrow(
      /192\.0\.2\.1:0 cannot be listened on/,
    )
  })

  it('says that another server uses the data directory', async () => {
    const { data } = await startTestServer()
    const second = await spawnMillrace([...serveArgs, '--data', data])
    const { code, stderr, stdout } = await second.ended
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toContain(data)
    expect(stderr).toMatch(/^error: .*(another|in use)/i)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  it('says that the database is corrupt, and leaves it as it is', async () => {
    const data = await temporaryFolder()
    const file = join(data, 'millrace.db')
    writeFileSync(file, 'this is not a database, not at all '.repeat(1000))
    const before = readFileSync(file)
    const failed = await spawnMillrace([...serveArgs, '--data', data])
    const { code, stderr } = await failed.ended
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: .*not a Millrace database.*restore it from a backup/)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(readFileSync(file)).toEqual(before)
  })

  it('says that the data directory cannot be used', async () => {
    const folder = mkdtempSync(join(await temporaryFolder(), 'x'))
    writeFileSync(join(folder, 'file'), '')
    await expect(startServer({ ...settings, data: join(folder, 'file', 'data') })).rejects.toThrow(/file.*\(ENOTDIR\)/)
    await expect(startServer({ ...settings, data: join(folder, 'file') })).rejects.toThrow(/file.*\(EEXIST\)/)
  })

  it('says that a file of TLS is missing or no certificate', async () => {
    const data = await temporaryFolder()
    const missing = { ...settings, data, tlsCert: join(data, 'none.pem'), tlsKey: join(data, 'none.key') }
    await expect(startServer(missing)).rejects.toThrow(/none\.pem cannot be used \(ENOENT\)/)
    writeFileSync(join(data, 'bad.pem'), 'nonsense')
    await expect(startServer({ ...settings, data, tlsCert: join(data, 'bad.pem'), tlsKey: join(data, 'bad.pem') })).rejects.toThrow(
      /TLS certificate or key/,
    )
  })

  it('says that a file of attestation is missing, and has let go of its data directory', async () => {
    const data = await temporaryFolder()
    const failure = startServer({ ...settings, data, attestationCollateral: 'no-such-file' })
    await expect(failure).rejects.toThrow(/--attestation-collateral 'no-such-file' cannot be read/)
    await (await startServer({ ...settings, data })).stop()
  })

  it('lists wrong settings, each with its place, and exits with 1', async () => {
    const failed = await spawnMillrace(['serve', '--grpc', 'nonsense'], { env: { MILLRACE_ROOT_KEY: 'short', MILLRACE_QUEUE_DEPTH: '-1' } })
    const { code, stderr } = await failed.ended
    expect(code).toBe(1)
    expect(stderr).toMatch(/error: --grpc: 'nonsense' is not HOST:PORT/)
    expect(stderr).toMatch(/error: MILLRACE_ROOT_KEY \(environment\): too weak/)
    expect(stderr).toMatch(/error: MILLRACE_QUEUE_DEPTH \(environment\): '-1' is not a whole number/)
    expect(stderr).not.toContain('short')
  })
})
