import { expect, it } from 'vitest'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { type Clients, connectTo, failureOf, newJob, startTestServer } from './harness.ts'

const create = { name: 'k', tenant: '', scopes: ['queues:write', 'tasks:read'], namespaces: [], expiresAt: undefined }
const health = (client: Clients) => client.cluster.getHealth({})
const refusal = async (client: Clients) => (await failureOf(health(client))).details

async function start() {
  const clock = new ManualClock(Date.UTC(2030, 0, 1))
  const { server, admin } = await startTestServer({ http: '127.0.0.1:0' }, clock)
  const ask = async (secret: string, path = '/v1/cluster/health', headers = {}) => {
    const response = await fetch(`http://${server.http}${path}`, { headers: { 'x-api-key': secret, ...headers } })
    const limits = ['limit', 'remaining', 'reset'].map((name) => response.headers.get(`ratelimit-${name}`))
    return { status: response.status, limits, headers: response.headers, body: (await response.json()) as object }
  }
  return { clock, server, admin, ask }
}

it('holds over gRPC and HTTP together, and for the tokens of the key', async () => {
  const { clock, server, admin, ask } = await start()
  const { key, secret } = await admin.keys.createKey({ ...create, rateLimit: 4 })
  expect(key).toMatchObject({ rateLimit: 4 })
  const client = connectTo(server, secret)
  const { token } = await client.tokens.createToken({ scopes: ['tasks:read'], ttlMs: 0, namespaces: [], user: '', resources: undefined })
  await health(client)
  await health(connectTo(server, token))
  expect(await ask(token)).toMatchObject({ status: 200, limits: ['4', '0', '1'] })
  for (const each of [client, connectTo(server, token)]) {
    expect(await refusal(each)).toMatchObject({
      reason: 'RATE_LIMITED',
      retryAfterMs: 250,
      message: expect.stringContaining('4 calls per second'),
    })
  }
  const refused = await ask(secret)
  expect(refused).toMatchObject({ status: 429, limits: ['4', '0', '1'], body: { code: 'RATE_LIMITED', retryAfter: 0.25 } })
  expect(refused.headers.get('retry-after')).toBe('1')
  await clock.advance(249)
  expect(await refusal(client)).toMatchObject({ retryAfterMs: 1 })
  await clock.advance(1)
  await health(client)
  expect(await refusal(client)).toMatchObject({ retryAfterMs: 250 })
})

it('leaves other keys alone, and says nothing to those without', async () => {
  const { server, admin, ask } = await start()
  const secrets = await Promise.all([1, 1, 0].map(async (rateLimit) => (await admin.keys.createKey({ ...create, rateLimit })).secret))
  const [one, two, free] = secrets.map((secret) => connectTo(server, secret))
  await health(one!)
  expect(await refusal(one!)).toMatchObject({ reason: 'RATE_LIMITED' })
  await health(two!)
  for (let i = 0; i < 50; i++) await health(free!)
  expect(await ask(secrets[2]!)).toMatchObject({ status: 200, limits: [null, null, null] })
})

it('counts a batch as one call, and a stream when it begins', async () => {
  const { server, admin } = await start()
  const client = connectTo(server, (await admin.keys.createKey({ ...create, rateLimit: 2 })).secret)
  const jobs = Array.from({ length: 100 }, () => newJob())
  await client.queues.enqueueJobs({ queue: 'q', jobs, requestId: '', allowPartial: false })
  const watch = client.cluster.watchHealth({})[Symbol.asyncIterator]()
  await watch.next()
  expect(await refusal(client)).toMatchObject({ reason: 'RATE_LIMITED' })
  const stream = client.cluster.watchHealth({})[Symbol.asyncIterator]()
  expect((await failureOf(Promise.resolve(stream.next()))).details).toMatchObject({ reason: 'RATE_LIMITED' })
})

it('counts calls that are refused for other reasons, and is shown to pages', async () => {
  const { admin, ask } = await start()
  const { secret } = await admin.keys.createKey({ ...create, rateLimit: 3 })
  expect(await ask(secret, '/v1/keys')).toMatchObject({ status: 403, limits: ['3', '2', '1'] })
  expect(await ask(secret, '/v1/tasks/task_1')).toMatchObject({ status: 404, limits: ['3', '1', '1'] })
  const { limits, headers } = await ask(secret, '/v1/tasks', { origin: 'https://example.com' })
  expect(limits).toEqual(['3', '0', '1'])
  expect(headers.get('access-control-expose-headers')).toMatch(/ratelimit-limit, ratelimit-remaining, ratelimit-reset.*retry-after/)
})

it('is no way around that of the key which makes another', async () => {
  const { server, admin } = await start()
  const { secret } = await admin.keys.createKey({ ...create, scopes: ['admin'], rateLimit: 20 })
  const client = connectTo(server, secret)
  const more = await failureOf(client.keys.createKey({ ...create, rateLimit: 21 }))
  expect(more.details).toMatchObject({ reason: 'PERMISSION_DENIED', message: expect.stringContaining('20 calls per second') })
  expect((await client.keys.createKey({ ...create, rateLimit: 0 })).key).toMatchObject({ rateLimit: 20 })
  expect((await client.keys.createKey({ ...create, rateLimit: 5 })).key).toMatchObject({ rateLimit: 5 })
})

it('is told to who asks, which counts too', async () => {
  const { clock, server, admin, ask } = await start()
  const { secret } = await admin.keys.createKey({ ...create, rateLimit: 10 })
  const client = connectTo(server, secret)
  const at = (ms: number) => new Date(clock.now() + ms)
  expect(await client.account.getRateLimit({})).toEqual({ limit: 10, remaining: 9, resetAt: at(100) })
  await clock.advance(50)
  expect(await client.account.getRateLimit({})).toEqual({ limit: 10, remaining: 8, resetAt: at(150) })
  const answer = await ask(secret, '/v1/account/rate-limit')
  expect(answer).toMatchObject({ limits: ['10', '7', '1'], body: { limit: 10, remaining: 7, resetAt: at(250).toISOString() } })
  expect(await admin.account.getRateLimit({})).toEqual({ limit: 0, remaining: 0, resetAt: undefined })
})

it('of what a tenant may have is told with what it has, but not to tokens for single things', async () => {
  const { server, admin, ask } = await start()
  const { secret } = await admin.keys.createKey({ ...create, tenant: 'acme', scopes: ['queues:write', 'kv:write'], rateLimit: 0 })
  const client = connectTo(server, secret)
  for (const queue of ['a', 'b']) await client.queues.enqueueJobs({ queue, jobs: [newJob()], requestId: '', allowPartial: false })
  await client.kv.updateKvStore({ store: 's', history: 2 })
  const expected = { queues: [2, 10_000], streams: [0, 10_000], kv_stores: [1, 10_000], buckets: [0, 10_000] }
  const { quotas } = await client.account.getQuotas({})
  expect(Object.fromEntries(quotas.map(({ type, current, limit }) => [type, [current, limit]]))).toEqual(expected)
  expect((await ask(secret, '/v1/account/quotas')).body).toEqual({ quotas })
  const resources = { taskIds: [], queues: ['a'], functions: [] }
  const { token } = await client.tokens.createToken({ scopes: ['queues:write'], ttlMs: 0, namespaces: [], user: '', resources })
  expect(await ask(token, '/v1/account/quotas')).toMatchObject({ status: 403, body: { code: 'PERMISSION_DENIED' } })
})
