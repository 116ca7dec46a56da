import * as protocol from '@millrace/protocol'
import { fromJson, fromProblem, type HttpRoute, httpBindings, toHttpRequest } from '@millrace/protocol/http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useServer } from '../harness/fixture.ts'
import { type RawClient, rawClient } from '../raw/raw.ts'
import type { Attempt, Loot } from './attempt.ts'
import { attempts } from './every-rpc.ts'
import { everything, plant, secretWord } from './plant.ts'

// The matrix of tenants.test.ts over HTTP: every route, without a key, with another tenant's, without the scope.
const fixture = useServer()
const clients: RawClient[] = []
afterAll(() => {
  for (const client of clients) client[Symbol.dispose]()
})

const routes = httpBindings.filter(([, http]) => http === undefined).map(([route]) => ({ path: route[0], route }))
let loot: Loot
let owner: { readonly secret: string; readonly keyId: string }

function clientOf(service: Parameters<typeof rawClient>[0], key: string): RawClient {
  const client = rawClient(service, { endpoint: fixture.server.endpoint, key, namespace: 'default' })
  clients.push(client)
  return client
}

async function createKey(tenant: string, scopes: readonly string[]): Promise<{ readonly secret: string; readonly keyId: string }> {
  const answer = await clientOf('KeyService', fixture.server.key).call<{ secret: string; key: { keyId: string } }>('CreateKey', {
    name: 'k',
    tenant,
    scopes,
  })
  return { secret: answer.secret, keyId: answer.key.keyId }
}

beforeAll(async () => {
  owner = await createKey('owner', everything)
  loot = await plant(owner, fixture.server.endpoint, (service) => clientOf(service, owner.secret))
  // The first call of tables makes their Postgres.
}, 120_000)

/** Sends what the attempt of the gRPC tests says; what came within half a second. */
async function send(
  route: HttpRoute,
  { request }: Attempt,
  key: string | undefined,
): Promise<{ readonly status: number; readonly text: string }> {
  const { verb, path, body } = toHttpRequest(route, fromJson(route[2], asJson(request(loot))))
  const response = await fetch(`http://${fixture.server.http}${path}`, {
    method: verb,
    headers: { ...(key === undefined ? {} : { 'x-api-key': key }), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  })
  expect(response.headers.get('request-id')).toBeTruthy()
  if (route[4] === undefined || response.status !== 200) return { status: response.status, text: await response.text() }
  let text = ''
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const end = setTimeout(() => void reader.cancel(), 500)
  for (;;) {
    const { value, done } = await reader.read()
    if (done) break
    text += value
  }
  clearTimeout(end)
  return { status: response.status, text }
}

/** A request as gRPC takes it, with its payloads as JSON. */
function asJson(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return JSON.parse(value.toString())
  if (Array.isArray(value)) return value.map(asJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, asJson(part)]))
}

function codeOf({ status, text }: { readonly status: number; readonly text: string }): string {
  return fromProblem(status, JSON.parse(text)).reason
}

test('every method with one request is a route', () => {
  const oneRequest = Object.values(protocol as unknown as Readonly<Record<string, unknown>>).flatMap((value) => {
    const { name, methods } = (value ?? {}) as { name?: string; methods?: Record<string, { name: string; requestStream: boolean }> }
    return name && methods ? Object.values(methods).flatMap((method) => (method.requestStream ? [] : [`${name}/${method.name}`])) : []
  })
  // The bytes of objects are bodies, not messages: objects-guide.test.ts.
  expect(routes.map(({ path }) => path).sort()).toEqual(oneRequest.filter((path) => path !== 'ObjectService/GetObject').sort())
})

describe('another tenant’s key sees and changes nothing', () => {
  test.each(routes)('$path', async ({ path, route }) => {
    const attempt = attempts[path]!
    const { secret } = await createKey(`stranger-${path.replace('/', '-')}`, everything)
    const before = await snapshot()
    const answer = await send(route, attempt, secret)
    expect(answer.text).not.toContain(secretWord)
    if (attempt.stranger === 'NOT_FOUND') expect([answer.status, codeOf(answer)]).toEqual([404, 'NOT_FOUND'])
    else expect(answer.status).toBe(200)
    expect(await snapshot()).toEqual(before)
  })
})

describe('without a valid key', () => {
  test.each(routes)('$path', async ({ path, route }) => {
    for (const key of [undefined, 'mr_nobody', `${owner.secret}x`]) {
      const answer = await send(route, attempts[path]!, key)
      expect([answer.status, codeOf(answer)]).toEqual([401, 'UNAUTHENTICATED'])
    }
  })
})

describe('without the scope', () => {
  test.each(routes.filter(({ path }) => attempts[path]!.scope))('$path', async ({ path, route }) => {
    const { scope } = attempts[path]!
    const { secret } = await createKey(
      'short',
      everything.filter((name) => name !== scope && name !== 'admin'),
    )
    const answer = await send(route, attempts[path]!, secret)
    expect(answer.status).toBe(403)
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'PERMISSION_DENIED', requiredScope: scope })
  })
})

/** What the owner sees. */
async function snapshot(): Promise<unknown> {
  const paths = [
    `/v1/tasks/${loot.taskId}`,
    `/v1/queues/${loot.queue}`,
    `/v1/queues/${loot.queue}/jobs/${loot.jobId}`,
    `/v1/queues/${loot.queue}/jobs/${loot.heldJobId}`,
    `/v1/queues/${loot.queue}/jobs/${loot.deadJobId}`,
    `/v1/states/${loot.stateKey}`,
    `/v1/kv/${loot.store}/${loot.store}`,
    '/v1/keys',
  ]
  return Promise.all(
    paths.map(async (path) => {
      const response = await fetch(`http://${fixture.server.http}${path}`, { headers: { 'x-api-key': owner.secret } })
      expect(response.status).toBe(200)
      return response.json()
    }),
  )
}
