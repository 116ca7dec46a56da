import { Client, type ClientReadableStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import {
  AccountServiceDefinition,
  ClusterServiceDefinition,
  KeyServiceDefinition,
  KvServiceDefinition,
  type ProcessJobsRequest,
  QueueServiceDefinition,
  StreamServiceDefinition,
  TaskServiceDefinition,
  TokenServiceDefinition,
  WorkerServiceDefinition,
} from '@millrace/protocol'
import { decodeErrorDetails, grpcDefinition, statusDetailsTrailer } from '@millrace/protocol/grpc'
import { describe, expect, it, onTestFinished } from 'vitest'
import { apiScopes, impliedScopes } from '../src/domain/keys/api-scopes.ts'
import { methodScopes } from '../src/services/method-scopes.ts'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { type Clients, connectTo, failureOf, newJob, Outgoing, startTestServer } from './harness.ts'

interface Method {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
}

const definitions = [
  TaskServiceDefinition,
  QueueServiceDefinition,
  WorkerServiceDefinition,
  ClusterServiceDefinition,
  KeyServiceDefinition,
  AccountServiceDefinition,
  TokenServiceDefinition,
  KvServiceDefinition,
  StreamServiceDefinition,
]
const methods = definitions.flatMap((definition) =>
  Object.entries(grpcDefinition(definition) as Record<string, Method>).map(([name, method]) => ({
    ...method,
    required: methodScopes[definition.fullName]?.[name],
  })),
)

/** Calls a method with an empty message and tells the status; a stream counts as let in when it says something or lasts. */
function statusOf(
  client: Client,
  { path, requestStream, responseStream }: Method,
  headers: Record<string, string>,
): Promise<ServiceError | undefined> {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
  const encode = () => Buffer.alloc(0)
  const decode = (bytes: Buffer) => bytes
  const deadline = Date.now() + 10_000
  return new Promise((resolve) => {
    if (!responseStream) {
      client.makeUnaryRequest(path, encode, decode, {}, metadata, { deadline }, (error) => resolve(error ?? undefined))
      return
    }
    const listen = (stream: ClientReadableStream<Buffer>) => {
      stream.on('error', (error: ServiceError) => resolve(error))
      // What answers has let it in.
      stream.on('data', () => {
        resolve(undefined)
        stream.cancel()
      })
      stream.on('end', () => resolve(undefined))
    }
    if (!requestStream) return listen(client.makeServerStreamRequest(path, encode, decode, {}, metadata, { deadline }))
    const stream = client.makeBidiStreamRequest(path, encode, decode, metadata, { deadline })
    listen(stream)
    stream.write({})
    stream.end()
  })
}

function rawClient(address: string): Client {
  const client = new Client(address, credentials.createInsecure())
  onTestFinished(() => client.close())
  return client
}

const reason = (error: ServiceError | undefined) =>
  error && decodeErrorDetails(error.code, error.details, error.metadata.get(statusDetailsTrailer)[0] as Buffer | undefined).reason

describe('every method of every service', () => {
  it('has a row in the table of scopes', () => {
    expect(methods.length).toBeGreaterThan(30)
    expect(methods.filter(({ required }) => required === undefined)).toEqual([])
  })

  it('refuses calls without a key, with an unknown, a revoked and an expired one', async () => {
    const clock = new ManualClock(Date.now())
    const { server, admin } = await startTestServer({}, clock)
    const create = { name: 'k', tenant: '', scopes: ['admin'], namespaces: [], rateLimit: 0 }
    const revoked = await admin.keys.createKey({ ...create, expiresAt: undefined })
    await admin.keys.revokeKey({ keyId: revoked.key!.keyId, tenant: '' })
    const expired = await admin.keys.createKey({ ...create, expiresAt: new Date(clock.now() + 60_000) })
    await clock.advance(60_000)
    const client = rawClient(server.grpc)
    const bad: Record<string, string>[] = [
      {},
      { 'x-api-key': 'mr_unknown' },
      { authorization: 'Basic abc' },
      { authorization: `Bearer ${revoked.secret}` },
      { 'x-api-key': expired.secret },
    ]
    for (const method of methods) {
      for (const headers of bad) {
        const error = await statusOf(client, method, headers)
        expect([method.path, headers, error?.code, reason(error)]).toEqual([method.path, headers, 16, 'UNAUTHENTICATED'])
      }
    }
  })

  it('lets in exactly the scopes of its row', async () => {
    const { server, admin } = await startTestServer()
    const client = rawClient(server.grpc)
    for (const scope of apiScopes) {
      const { secret } = await admin.keys.createKey({
        name: scope,
        tenant: '',
        scopes: [scope],
        namespaces: [],
        rateLimit: 0,
        expiresAt: undefined,
      })
      const may = impliedScopes([scope])
      for (const method of methods) {
        const { path, required } = method
        const error = await statusOf(client, method, { authorization: `bearer ${secret}` })
        const allowed = required === 'any key' || may.has(required!)
        // An allowed call with an empty message may still be wrong, but is not refused for its key.
        if (allowed) expect([scope, path, error?.code === 7 || error?.code === 16]).toEqual([scope, path, false])
        else expect([scope, path, reason(error)]).toEqual([scope, path, 'PERMISSION_DENIED'])
      }
    }
  })
})

describe('a key', () => {
  it('belongs to one tenant, whose jobs others do not see', async () => {
    const { server, admin } = await startTestServer()
    const { secret } = await admin.keys.createKey({
      name: 'acme',
      tenant: 'acme',
      scopes: ['admin'],
      namespaces: [],
      rateLimit: 0,
      expiresAt: undefined,
    })
    const acme = connectTo(server, secret)
    const { results } = await admin.queues.enqueueJobs({
      queue: 'q',
      jobs: [newJob()],
      requestId: '',
      allowPartial: false,
    })
    const failure = await failureOf(acme.queues.getJob({ queue: '', jobId: results[0]!.jobId }))
    expect(failure.details).toMatchObject({ reason: 'NOT_FOUND', resource: 'job', id: results[0]!.jobId })
    expect((await acme.queues.getQueueStats({ queue: 'q' })).total).toBe(0)
    expect((await acme.keys.listKeys({ tenant: '' })).keys.map((key) => key.name)).toEqual(['acme'])
    expect((await failureOf(acme.keys.listKeys({ tenant: 'default' }))).details.requiredScope).toBe('root')
  })

  it('grants no more than its maker may', async () => {
    const { server, admin } = await startTestServer()
    const limited = await admin.keys.createKey({
      name: 'l',
      tenant: '',
      scopes: ['admin'],
      namespaces: ['a'],
      rateLimit: 0,
      expiresAt: undefined,
    })
    const client = connectTo(server, limited.secret, 'a')
    const root = await failureOf(
      client.keys.createKey({ name: 'x', tenant: '', scopes: ['root'], namespaces: [], rateLimit: 0, expiresAt: undefined }),
    )
    expect(root.details).toMatchObject({ reason: 'PERMISSION_DENIED', requiredScope: 'root' })
    const elsewhere = await failureOf(
      client.keys.createKey({ name: 'x', tenant: '', scopes: [], namespaces: ['b'], rateLimit: 0, expiresAt: undefined }),
    )
    expect(elsewhere.details.reason).toBe('PERMISSION_DENIED')
    const child = await client.keys.createKey({ name: 'x', tenant: '', scopes: [], namespaces: [], rateLimit: 0, expiresAt: undefined })
    expect(child.key).toMatchObject({ namespaces: ['a'], tenant: 'default' })
    expect(child.key!.scopes).not.toContain('admin')
  })

  it('of a tenant’s administrator does not end the root key', async () => {
    const { server, admin } = await startTestServer()
    const { secret } = await admin.keys.createKey({
      name: 'a',
      tenant: '',
      scopes: ['admin'],
      namespaces: [],
      rateLimit: 0,
      expiresAt: undefined,
    })
    const root = (await admin.keys.listKeys({ tenant: '' })).keys.find((key) => key.scopes.includes('root'))!
    const client = connectTo(server, secret)
    expect((await failureOf(client.keys.revokeKey({ keyId: root.keyId, tenant: '' }))).details).toMatchObject({ requiredScope: 'root' })
    expect((await admin.keys.revokeKey({ keyId: root.keyId, tenant: '' })).key!.revokedAt).toBeDefined()
  })

  it('may be limited to namespaces', async () => {
    const { server, admin } = await startTestServer()
    const { secret } = await admin.keys.createKey({
      name: 'n',
      tenant: '',
      scopes: [],
      namespaces: ['a', 'b'],
      rateLimit: 0,
      expiresAt: undefined,
    })
    await connectTo(server, secret, 'b').cluster.getHealth({})
    expect((await failureOf(connectTo(server, secret).cluster.getHealth({}))).details.reason).toBe('PERMISSION_DENIED')
    const wrong = await failureOf(connectTo(server, secret, 'a b').cluster.getHealth({}))
    expect(wrong.details).toMatchObject({ reason: 'VALIDATION', fields: [{ path: 'millrace-namespace' }] })
  })

  it('that is limited to namespaces sees the workers of these alone', async () => {
    const { server, admin } = await startTestServer()
    const key = { name: 'n', tenant: '', scopes: ['queues:read'], namespaces: ['a'], rateLimit: 0, expiresAt: undefined }
    const client = connectTo(server, (await admin.keys.createKey(key)).secret, 'a')
    const token = { scopes: ['queues:read'], namespaces: ['b'], ttlMs: 0, user: '', resources: undefined }
    const page = connectTo(server, (await admin.tokens.createToken(token)).token, 'b')
    const { key: root } = server
    for (const namespace of ['a', 'b']) {
      const outgoing = new Outgoing<ProcessJobsRequest>()
      const value = { queue: 'q', functions: [], workerId: '', leaseMs: 0, maxInFlight: 1, attestation: undefined }
      outgoing.send({ message: { $case: 'subscribe', value } })
      await connectTo(server, root, namespace).workers.processJobs(outgoing)[Symbol.asyncIterator]().next()
    }
    const seenBy = async (who: Clients) => (await who.cluster.listWorkers({})).workers.map(({ namespace }) => namespace).sort()
    await expect.poll(() => seenBy(admin)).toEqual(['a', 'b'])
    expect(await seenBy(client)).toEqual(['a'])
    expect(await seenBy(page)).toEqual(['b'])
  })

  it('ends its open streams and waits when it is revoked', async () => {
    const { server, admin } = await startTestServer()
    const { key, secret } = await admin.keys.createKey({
      name: 's',
      tenant: '',
      scopes: ['admin'],
      namespaces: [],
      rateLimit: 0,
      expiresAt: undefined,
    })
    const client = connectTo(server, secret)
    const outgoing = new Outgoing<ProcessJobsRequest>()
    outgoing.send({
      message: {
        $case: 'subscribe',
        value: { queue: 'q', functions: [], workerId: '', leaseMs: 0, maxInFlight: 1, attestation: undefined },
      },
    })
    const stream = client.workers.processJobs(outgoing)[Symbol.asyncIterator]()
    await stream.next()
    const ended = failureOf(Promise.resolve(stream.next()))
    const waited = failureOf(client.queues.receiveJobs({ queue: 'q', maxJobs: 1, leaseMs: 0, waitMs: 60_000, workerId: '' }))
    while ((await admin.cluster.listWorkers({})).workers.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await admin.keys.revokeKey({ keyId: key!.keyId, tenant: '' })
    expect((await ended).details.reason).toBe('UNAUTHENTICATED')
    expect((await waited).details.reason).toBe('UNAUTHENTICATED')
    expect((await failureOf(client.cluster.getHealth({}))).details.reason).toBe('UNAUTHENTICATED')
  })
})
