import { expect, test } from 'vitest'
import { AuthenticationError, UnavailableError } from './errors/errors.ts'
import { turn } from './testing/manual-clock.ts'
import { collect, setUp } from './testing/setup.ts'

const health = { healthy: true, version: '1.2.3', nodes: { active: 1, total: 2 }, queue: { depth: 7 }, detail: '' }

test('health and workers', async () => {
  const { transport, mr } = setUp()
  const worker = {
    workerId: 'w',
    namespace: 'default',
    queue: 'q',
    functions: ['f'],
    maxInFlight: 10,
    inFlight: 1,
    connectedAt: new Date(5),
  }
  transport.on('ClusterService/GetHealth', () => health).on('ClusterService/ListWorkers', () => ({ workers: [worker] }))
  const expected = { healthy: true, version: '1.2.3', nodes: { active: 1, total: 2 }, queue: { depth: 7 } }
  expect(await mr.health()).toEqual(expected)
  expect(await mr.cluster.health()).toEqual(expected)
  expect(await mr.cluster.workers()).toEqual([worker])
})

test('ready waits until the server can work', async () => {
  const { clock, transport, mr } = setUp()
  let healthy = false
  let asked = 0
  transport.on('ClusterService/GetHealth', () => {
    if (++asked === 1) throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'starting' })
    return { ...health, healthy, detail: 'the disk is full' }
  })
  const ready = mr.ready({ timeout: '5s' })
  await clock.advance(1000)
  healthy = true
  await clock.advance(1000)
  await ready
  healthy = false
  const late = expect(mr.ready({ timeout: '1s' })).rejects.toThrow('The server is not ready: the disk is full')
  await clock.advance(2000)
  await late
})

test('ready says when the key is wrong', async () => {
  const { transport, mr } = setUp()
  transport.on('ClusterService/GetHealth', () => {
    throw new AuthenticationError({ reason: 'UNAUTHENTICATED', message: 'no' })
  })
  await expect(mr.ready()).rejects.toThrow(AuthenticationError)
})

test('keys', async () => {
  const { transport, mr } = setUp()
  const key = {
    keyId: 'key_1',
    name: 'ci',
    tenant: 't',
    scopes: ['workers'],
    namespaces: [],
    createdAt: new Date(1),
    expiresAt: undefined,
    revokedAt: undefined,
    hint: 'mr_abc',
    rateLimit: 5,
  }
  transport
    .on('KeyService/CreateKey', () => ({ key, secret: 'mr_secret' }))
    .on('KeyService/ListKeys', () => ({ keys: [key] }))
    .on('KeyService/RevokeKey', () => ({ key: { ...key, revokedAt: new Date(2) } }))
  expect(await mr.keys.create({ name: 'ci', scopes: ['workers'], rateLimit: 5 })).toEqual({ keyId: 'key_1', key: 'mr_secret' })
  expect(transport.requests('KeyService/CreateKey')).toEqual([
    { name: 'ci', tenant: '', scopes: ['workers'], namespaces: [], rateLimit: 5, expiresAt: undefined },
  ])
  const { expiresAt: _expiresAt, revokedAt: _revokedAt, ...shown } = key
  expect(await collect(mr.keys.list())).toEqual([shown])
  expect(await mr.keys.revoke('key_1')).toEqual({ ...shown, revokedAt: new Date(2) })
})

test('limits', async () => {
  const { transport, mr } = setUp()
  let limited = true
  transport
    .on('AccountService/GetRateLimit', () =>
      limited ? { limit: 5, remaining: 2, resetAt: new Date(1) } : { limit: 0, remaining: 0, resetAt: undefined },
    )
    .on('AccountService/GetQuotas', () => ({ quotas: [{ type: 'queues', current: 3, limit: 10 }] }))
  expect(await mr.account.rateLimit()).toEqual({ limit: 5, remaining: 2, resetAt: new Date(1) })
  limited = false
  expect(await mr.account.rateLimit()).toEqual({ limit: Infinity, remaining: Infinity })
  expect(await mr.account.quotas()).toEqual({ queues: { used: 3, limit: 10 } })
})

test('queues are listed', async () => {
  const { transport, mr } = setUp()
  const retryPolicy = { maxAttempts: 3, initialBackoffMs: 1, maxBackoffMs: 2, multiplier: 2, strategy: 1 as const, jitter: 0 }
  transport.on('QueueService/ListQueues', () => ({
    queues: [{ name: 'q', retryPolicy, maxDepth: 0, paused: true, createdAt: new Date(1) }],
    nextCursor: '',
  }))
  expect(await collect(mr.queues.list())).toMatchObject([{ name: 'q', paused: true, retryPolicy: { strategy: 'fixed' } }])
})

test('a disposed client closes its transport', async () => {
  const { transport, mr } = setUp()
  {
    await using _client = mr
  }
  expect(transport.closed).toBe(true)
})

test('streams that wait to be opened again end with the client', async () => {
  const { transport, mr } = setUp()
  // biome-ignore lint/correctness/useYield: it fails first.
  const away = async function* (): AsyncGenerator<never> {
    throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'away' })
  }
  transport.onStream('StreamService/SubscribeMessages', away).onStream('QueueService/StreamJobs', away)
  transport.onStream('TaskService/TailTaskLogs', away).onStream('PipelineService/WatchPipeline', away)
  const streams: AsyncIterable<unknown>[] = [
    mr.stream('s').subscribe({ partition: 0 }),
    mr.queue('q').deliveries(),
    mr.tasks.logs('task_1', { follow: true }),
    mr.pipelines.monitor('pipe_1'),
  ]
  const ended = Promise.all(streams.map((stream) => expect(collect(stream)).rejects.toThrow('This client is closed.')))
  await turn()
  await mr.close()
  // The clock stands still.
  await ended
})
