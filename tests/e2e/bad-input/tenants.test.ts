import { Writable } from 'node:stream'
import * as grpc from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'
import { everyRpc, failure, json, type RawClient, rawClient, reader, type ServiceName, streamStatus } from '../raw/raw.ts'
import type { Attempt, Loot } from './attempt.ts'
import { attempts } from './every-rpc.ts'
import { everything, plant, secretWord } from './plant.ts'

const fixture = useServer()
const namespace = 'default'
const clients: RawClient[] = []
afterAll(() => {
  for (const client of clients) client[Symbol.dispose]()
})

function clientOf(service: ServiceName, key: string | undefined, inNamespace = namespace): RawClient {
  const client = rawClient(service, { endpoint: fixture.server.endpoint, key, namespace: inNamespace })
  clients.push(client)
  return client
}

async function createKey(request: object): Promise<{ secret: string; keyId: string }> {
  const { secret, key } = await clientOf('KeyService', fixture.server.key).call<{ secret: string; key: { keyId: string } }>(
    'CreateKey',
    request,
  )
  return { secret, keyId: key.keyId }
}

let owner: { secret: string; keyId: string }
let stranger: { secret: string; keyId: string }
let loot: Loot
const queue = 'vault'
const store = 'safe'

beforeAll(async () => {
  owner = await createKey({ name: 'owner', tenant: 'owner', scopes: everything })
  stranger = await createKey({ name: 'stranger', tenant: 'stranger', scopes: everything })
  loot = await plant(owner, fixture.server.endpoint, (service) => clientOf(service, owner.secret))
  // The first call of tables makes their Postgres.
}, 120_000)

const rpcs = everyRpc.map((rpc) => ({ ...rpc, path: `${rpc.service}/${rpc.method}` }))
type Rpc = (typeof rpcs)[number]

test('every RPC of the contract is tried', () => {
  expect(rpcs.map(({ path }) => path).sort()).toEqual(Object.keys(attempts).sort())
})

/** Calls an RPC: the first answer, the error, or `silence`. */
async function outcome(rpc: Rpc, { request }: Attempt, client: RawClient): Promise<unknown> {
  if (!rpc.responseStream) {
    const answer = rpc.requestStream ? client.send(rpc.method, [request(loot)]) : client.call(rpc.method, request(loot))
    return answer.catch((error: grpc.ServiceError) => grpc.status[error.code])
  }
  const stream = rpc.requestStream ? client.talk(rpc.method) : client.open(rpc.method, request(loot))
  const answers = reader<Record<string, unknown>>(stream)
  try {
    if (stream instanceof Writable) stream.write(request(loot))
    let answer = await answers.next(500)
    if (answer.subscribed) answer = await answers.next(500)
    return answer
  } catch (error) {
    if (error instanceof Error && 'code' in error) return grpc.status[(error as grpc.ServiceError).code]
    return 'silence'
  } finally {
    stream.cancel()
  }
}

/** What the owner sees of everything. */
async function snapshot(): Promise<unknown> {
  const queues = clientOf('QueueService', owner.secret)
  const jobs = [loot.jobId, loot.heldJobId, loot.deadJobId].map((jobId) => queues.call('GetJob', { queue, jobId }))
  const { oldestAgeMs: _age, ...stats } = await queues.call<Record<string, string>>('GetQueueStats', { queue })
  return {
    stats,
    jobs: await Promise.all(jobs),
    settings: await queues.call('GetQueue', { queue }),
    queues: await queues.call('ListQueues'),
    task: await clientOf('TaskService', owner.secret).call('GetTask', { taskId: loot.taskId }),
    keys: await clientOf('KeyService', owner.secret).call('ListKeys'),
    pipeline: await clientOf('PipelineService', owner.secret).call('GetPipeline', { pipelineId: loot.pipelineId }),
    state: await clientOf('StateService', owner.secret).call('GetState', { key: loot.stateKey }),
    entries: await clientOf('KvService', owner.secret).call('ListEntries', { store, withValues: true }),
    stream: await clientOf('StreamService', owner.secret).call('GetStream', { stream: store }),
    messages: await clientOf('StreamService', owner.secret).call('ReadMessages', { stream: store }),
    group: await clientOf('StreamService', owner.secret).call('GetGroup', { stream: store, group: 'g' }),
    replay: await clientOf('StreamService', owner.secret).call('GetReplay', { stream: store, group: 'again' }),
    rows: await clientOf('TableService', owner.secret).call('SelectRows', { table: store }),
    vectors: await clientOf('VectorService', owner.secret).call('GetVectors', { name: 'owned', ids: ['a'] }),
    schema: await clientOf('SchemaService', owner.secret).call('GetSchema', { name: store }),
    attachments: await clientOf('SchemaService', owner.secret).call('ListSchemaAttachments', {}),
    webhook: await clientOf('WebhookService', owner.secret).call('GetWebhook', { name: store }),
    database: await clientOf('DatabaseService', owner.secret).call('QueryRows', { database: store, sql: `FROM ${store}` }),
    store: await clientOf('KvService', owner.secret).call('GetKvStore', { store }),
    bucket: await clientOf('ObjectService', owner.secret).call('GetBucket', { bucket: store }),
    object: await clientOf('ObjectService', owner.secret).call('StatObject', { bucket: store, key: store }),
    parts: await clientOf('ObjectService', owner.secret).call('ListParts', { bucket: store, uploadId: loot.uploadId }),
  }
}

// Each test uses a namespace of the stranger's own making as well as the owner's, so the order of tests does not matter.
describe('another tenant’s key sees and changes nothing', () => {
  test.each(rpcs)('$path', async (rpc) => {
    const attempt = attempts[rpc.path]!
    const before = await snapshot()
    const { secret } = await createKey({ name: rpc.method, tenant: `stranger-${rpc.method}`, scopes: everything })
    const answer = await outcome(rpc, attempt, clientOf(rpc.service, secret))
    expect(JSON.stringify(answer)).not.toContain(secretWord)
    if (typeof attempt.stranger === 'string') expect(answer).toBe(attempt.stranger)
    else if (rpc.path === 'KeyService/CreateKey') expect(answer).toMatchObject({ key: { tenant: `stranger-${rpc.method}` } })
    else expect(answer).toMatchObject(attempt.stranger)
    expect(await snapshot()).toEqual(before)
  })

  test('naming the other tenant does not help', async () => {
    const keys = clientOf('KeyService', stranger.secret)
    for (const call of [
      keys.call('ListKeys', { tenant: 'owner' }),
      keys.call('CreateKey', { name: 'x', tenant: 'owner' }),
      keys.call('CreateKey', { name: 'x', scopes: ['root'] }),
    ]) {
      expect(grpc.status[(await failure(call)).code]).toBe('PERMISSION_DENIED')
    }
  })

  test('ids and idempotency keys of two tenants have nothing to do with each other', async () => {
    const enqueue = async (key: string, payload: unknown) =>
      (
        await clientOf('QueueService', key).call<{ results: { created: boolean }[] }>('EnqueueJobs', {
          queue: 'idem',
          jobs: [{ payload: json(payload), idempotencyKey: 'k' }],
        })
      ).results[0]!.created
    expect(await enqueue(owner.secret, 1)).toBe(true)
    expect(await enqueue(stranger.secret, 2)).toBe(true)
  })
})

describe('without a valid key', () => {
  test.each(rpcs)('$path: none, a wrong one, an almost right one', async (rpc) => {
    for (const key of [undefined, 'mr_nobody', `${owner.secret}x`, owner.secret.slice(0, -1)]) {
      expect(await outcome(rpc, attempts[rpc.path]!, clientOf(rpc.service, key))).toBe('UNAUTHENTICATED')
    }
  })
})

describe('without the scope', () => {
  test.each(rpcs.filter(({ path }) => attempts[path]!.scope))('$path', async (rpc) => {
    const { scope } = attempts[rpc.path]!
    const { secret } = await createKey({
      name: 'short',
      tenant: 'short',
      scopes: everything.filter((name) => name !== scope && name !== 'admin'),
    })
    expect(await outcome(rpc, attempts[rpc.path]!, clientOf(rpc.service, secret))).toBe('PERMISSION_DENIED')
  })

  test('outside of the key’s namespaces', async () => {
    const { secret } = await createKey({ name: 'narrow', tenant: 'owner', namespaces: ['elsewhere'] })
    expect((await failure(clientOf('QueueService', secret).call('GetQueueStats', { queue }))).code).toBe(grpc.status.PERMISSION_DENIED)
    expect(await clientOf('QueueService', secret, 'elsewhere').call('GetQueueStats', { queue })).toMatchObject({ total: '0' })
  })

  test('a key cannot give more than it has', async () => {
    const { secret } = await createKey({ name: 'narrow admin', tenant: 'owner', scopes: ['admin'], namespaces: ['elsewhere'] })
    const keys = clientOf('KeyService', secret, 'elsewhere')
    for (const request of [{ scopes: ['root'] }, { namespaces: ['elsewhere', namespace] }]) {
      expect(grpc.status[(await failure(keys.call('CreateKey', { name: 'more', ...request }))).code]).toBe('PERMISSION_DENIED')
    }
    const { key } = await keys.call<{ key: { namespaces: string[] } }>('CreateKey', { name: 'as much' })
    expect(key.namespaces).toEqual(['elsewhere'])
  })
})

describe('keys that end', () => {
  const health = async (secret: string) =>
    clientOf('ClusterService', secret)
      .call('GetHealth')
      .then(
        () => 'OK',
        (error: grpc.ServiceError) => grpc.status[error.code],
      )

  test('a revoked key ends at once, and its streams with it', async () => {
    const { secret, keyId } = await createKey({ name: 'short-lived', tenant: 'owner', scopes: everything })
    expect(await health(secret)).toBe('OK')
    const stream = clientOf('QueueService', secret).open('StreamJobs', { queue: 'none' })
    const status = streamStatus(stream)
    await clientOf('QueueService', secret).call('GetQueueStats', { queue }) // the stream's call was sent before
    await clientOf('KeyService', owner.secret).call('RevokeKey', { keyId })
    await until('the key is refused', async () => (await health(secret)) === 'UNAUTHENTICATED')
    expect((await status).code).toBe(grpc.status.UNAUTHENTICATED)
  })

  test('an expired key', async () => {
    const expires = Date.now() + 1500
    const expiresAt = { seconds: Math.floor(expires / 1000), nanos: (expires % 1000) * 1e6 }
    const { secret } = await createKey({ name: 'expiring', tenant: 'owner', expiresAt })
    expect(await health(secret)).toBe('OK')
    await until('the key is refused', async () => (await health(secret)) === 'UNAUTHENTICATED')
    expect(Date.now()).toBeGreaterThanOrEqual(expires - 10)
  })

  test('secrets are shown once, and are not in the data', async () => {
    const keys = clientOf('KeyService', owner.secret)
    const listed = JSON.stringify(await keys.call('ListKeys'))
    expect(listed).toContain(owner.keyId)
    expect(listed).not.toContain(owner.secret)
  })
})
