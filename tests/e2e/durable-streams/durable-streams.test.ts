import { DurableStream, type FetchError, IdempotentProducer } from '@durable-streams/client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'

const fixture = useServer()
const urlOf = (http: string, name: string) => `http://${http}/v1/durable-streams/${name}`
const json = 'application/json'

/** A request in a namespace; the answer's body is read. */
async function request(method: string, name: string, options: { headers?: Record<string, string>; body?: BodyInit; query?: string } = {}) {
  const { server } = fixture
  const headers = { 'x-api-key': server.key, ...options.headers }
  const response = await fetch(urlOf(server.http, name) + (options.query ?? ''), { method, headers, body: options.body })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

describe('with its own client', () => {
  test('what one writes, another follows to the end', async () => {
    const { server } = fixture
    const options = { url: urlOf(server.http, freshName('chat')), headers: { authorization: `Bearer ${server.key}` } }
    const stream = await DurableStream.create({ ...options, contentType: json })
    const answer = await new DurableStream(options).stream<{ n: number }>({ offset: '-1', live: 'sse' })
    const seen: number[] = []
    answer.subscribeJson(async ({ items }) => void seen.push(...items.map(({ n }) => n)))
    const producer = new IdempotentProducer(stream, 'writer', { autoClaim: true, lingerMs: 1 })
    onTestFinished(() => producer.detach())
    const all = Array.from({ length: 500 }, (_, n) => n)
    for (const n of all) producer.append(JSON.stringify({ n }))
    await producer.close()
    await answer.closed
    expect(seen).toEqual(all)
    expect((await stream.head()).streamClosed).toBe(true)
    await expect(stream.append('{}')).rejects.toThrow(/closed/)
  })

  test('a key that may not is refused, and another namespace has other streams', async () => {
    const { server } = fixture
    const name = freshName('mine')
    const url = urlOf(server.http, name)
    const wrong = DurableStream.create({ url, headers: { 'x-api-key': 'mr_wrong' }, backoffOptions: { maxRetries: 0 } as never })
    await expect(wrong).rejects.toMatchObject({ status: 401 } satisfies Partial<FetchError>)
    const reader = await fixture.client().keys.create({ name, scopes: ['streams:read'] })
    const mayNot = await request('PUT', name, { headers: { 'x-api-key': reader.key } })
    expect([mayNot.status, JSON.parse(mayNot.text)]).toMatchObject([403, { code: 'PERMISSION_DENIED', requiredScope: 'streams:write' }])
    expect((await request('PUT', name, { headers: { 'content-type': json }, body: '[1]' })).status).toBe(201)
    expect((await request('GET', name, { headers: { 'x-api-key': reader.key } })).text).toBe('[1]')
    expect((await request('GET', name, { headers: { 'millrace-namespace': freshName() } })).status).toBe(404)
  })

  test('another tenant sees nothing of it and changes nothing of it', async () => {
    const name = freshName('secret')
    await request('PUT', name, { headers: { 'content-type': json }, body: '["secret"]' })
    const { secret } = await fixture
      .raw('KeyService')
      .call<{ secret: string }>('CreateKey', { name, tenant: name, scopes: ['streams:read', 'streams:write'] })
    const headers = { 'x-api-key': secret, 'content-type': json }
    for (const method of ['GET', 'HEAD', 'DELETE']) expect((await request(method, name, { headers })).status, method).toBe(404)
    expect((await request('POST', name, { headers, body: '1' })).status).toBe(404)
    expect((await request('PUT', `${name}-fork`, { headers: { ...headers, 'stream-forked-from': name } })).status).toBe(404)
    expect((await request('PUT', name, { headers, body: '["own"]' })).status).toBe(201)
    expect([(await request('GET', name, { headers })).text, (await request('GET', name)).text]).toEqual(['["own"]', '["secret"]'])
  })
})

describe('the same stream, both ways', () => {
  test('JSON: values are messages, and messages are values', async () => {
    const mr = fixture.client({ namespace: 'default' })
    const name = freshName('both/ways')
    await request('PUT', name, { headers: { 'content-type': json } })
    await request('POST', name, { headers: { 'content-type': json }, body: '[{"n":1},[2],9007199254740993]' })
    const stream = mr.stream<unknown>(name)
    await stream.write([{ payload: { n: 4 } }, { payload: Buffer.from('bytes'), contentType: 'application/x' }])
    expect((await stream.read({ partition: 0, offset: 0 })).slice(0, 2).map(({ payload }) => payload)).toEqual([{ n: 1 }, [2]])
    expect((await request('GET', name)).text).toBe('[{"n":1},[2],9007199254740993,{"n":4},"Ynl0ZXM="]')
    await request('POST', name, { headers: { 'stream-closed': 'true' } })
    const refused = { name: 'ConflictError', message: expect.stringMatching(/is closed: nothing can be written/) }
    await expect(stream.write([{ payload: 5 }])).rejects.toMatchObject(refused)
    await expect(stream.create({ partitions: 2 })).rejects.toMatchObject({ name: 'ConflictError' })
  })

  test('a stream that the client made is JSON, and one with partitions has no one order', async () => {
    const mr = fixture.client({ namespace: 'default' })
    const [one, many] = [freshName('one'), freshName('many')]
    await mr.stream(one).write([{ payload: 'a' }])
    expect((await request('GET', one)).text).toBe('["a"]')
    await mr.stream(many).create({ partitions: 2 })
    const refused = await request('GET', many)
    expect([refused.status, JSON.parse(refused.text).code]).toEqual([409, 'FAILED_PRECONDITION'])
  })

  test('a write of the client wakes a long poll, and so does the end of the stream', async () => {
    const mr = fixture.client({ namespace: 'default' })
    const name = freshName('poll')
    await mr.stream(name).write([{ payload: 0 }])
    const poll = request('GET', name, { query: '?offset=now&live=long-poll' })
    await mr.stream(name).write([{ payload: 1 }])
    // It may have come after the write; then it waits for the next.
    await mr.stream(name).write([{ payload: 2 }])
    await request('DELETE', name)
    const { status, text } = await poll
    expect(status === 404 || /^\[(1,2|1|2)\]$/.test(text), `${status} ${text}`).toBe(true)
  })
})

test('bad input is refused, and the answer says where', async () => {
  const name = freshName('bad')
  await request('PUT', name, { headers: { 'content-type': json } })
  const cases: [method: string, name: string, options: Parameters<typeof request>[2], status: number, path: string][] = [
    ['GET', 'a%00b', {}, 400, 'stream'],
    ['GET', '%E0%A4%A', {}, 400, 'stream'],
    ['PUT', 'x'.repeat(256), {}, 400, 'stream'],
    ['GET', name, { query: '?offset=1' }, 400, 'offset'],
    ['GET', name, { query: '?offset=-1&live=yes' }, 400, 'live'],
    ['PUT', name, { headers: { 'stream-ttl': '1e3' } }, 400, 'Stream-TTL'],
    ['PUT', name, { headers: { 'stream-expires-at': 'tomorrow' } }, 400, 'Stream-Expires-At'],
    ['PUT', name, { headers: { 'stream-fork-offset': '0' } }, 400, 'Stream-Fork-Offset'],
    ['POST', name, {}, 400, 'body'],
    ['POST', name, { headers: { 'content-type': json }, body: '{"a":' }, 400, 'body'],
    ['POST', name, { headers: { 'content-type': json }, body: new Uint8Array([0x22, 0xff, 0x22]) }, 400, 'body'],
    ['POST', name, { headers: { 'content-type': json, 'producer-id': 'p' }, body: '1' }, 400, 'Producer-Epoch'],
    [
      'POST',
      name,
      { headers: { 'content-type': json, 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': '9007199254740992' }, body: '1' },
      400,
      'Producer-Seq',
    ],
  ]
  cases.push(['POST', name, { headers: { 'content-type': json }, body: `[${'1,'.repeat(10_000)}1]` }, 400, 'body'])
  cases.push(['POST', name, { headers: { 'content-type': json }, body: '['.repeat(50_000) + ']'.repeat(50_000) }, 400, 'body[0]'])
  // A fork of a fork of a fork …
  let last = name
  for (let depth = 1; depth <= 32; depth++, last = `${name}-${depth - 1}`) {
    const answer = await request('PUT', `${name}-${depth}`, { headers: { 'stream-forked-from': `http://x/v1/durable-streams/${last}` } })
    expect(answer.status).toBe(201)
  }
  cases.push(['PUT', `${name}-33`, { headers: { 'stream-forked-from': last } }, 400, 'Stream-Forked-From'])
  for (const [method, at, options, status, path] of cases) {
    const answer = await request(method, at, options)
    const problem = answer.text === '' ? {} : JSON.parse(answer.text)
    expect([answer.status, problem.code, problem.fields?.[0]?.path], `${method} ${at} ${JSON.stringify(options).slice(0, 200)}`).toEqual([
      status,
      'VALIDATION',
      path,
    ])
  }
  expect((await request('PATCH', name)).status).toBe(405)
  expect((await request('GET', name)).text).toBe('[]')
})

test('pages of other origins may send and read what the protocol has', async () => {
  const { headers } = await request('OPTIONS', freshName(), { headers: { origin: 'https://app.example' } })
  const allowed = headers.get('access-control-allow-headers')!.split(', ')
  expect(allowed).toEqual(
    expect.arrayContaining(['stream-seq', 'stream-closed', 'stream-ttl', 'stream-forked-from', 'producer-id', 'producer-epoch']),
  )
  const shown = headers.get('access-control-expose-headers')!.split(', ')
  expect(shown).toEqual(
    expect.arrayContaining(['etag', 'stream-next-offset', 'stream-up-to-date', 'stream-cursor', 'producer-expected-seq']),
  )
})

test('what was acknowledged is there after a kill, and what is repeated is there once', { timeout: 60_000 }, async () => {
  await using server = await startServer({ flags: ['--log-level', 'warn'] })
  const url = urlOf(server.http, 'crash')
  const append = (seq: number, headers: Record<string, string> = {}) => {
    const producer = { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': String(seq) }
    return fetch(url, {
      method: 'POST',
      body: `${seq}\n`,
      headers: { 'x-api-key': server.key, 'content-type': 'text/plain', ...producer, ...headers },
    })
  }
  await fetch(url, { method: 'PUT', headers: { 'x-api-key': server.key, 'content-type': 'text/plain' } })
  let acknowledged = -1
  for (let kills = 0; kills < 2; kills++) {
    // Some under way when it dies; of those nobody knows whether they were written.
    for (let seq = acknowledged + 1, end = seq + 20; seq < end; seq++) {
      expect((await append(seq)).status).toBeLessThan(300)
      acknowledged = seq
    }
    const under = [1, 2, 3].map((ahead) =>
      append(acknowledged + ahead).then(
        ({ status }) => status,
        () => 0,
      ),
    )
    await server.kill()
    await Promise.all(under)
    await server.restart()
    for (let seq = Math.max(0, acknowledged - 2); seq <= acknowledged + 3; seq++) expect([200, 204]).toContain((await append(seq)).status)
    acknowledged += 3
  }
  expect((await append(acknowledged + 1, { 'stream-closed': 'true' })).status).toBe(200)
  await server.kill()
  await server.restart()
  const answer = await fetch(url, { headers: { 'x-api-key': server.key } })
  expect(answer.headers.get('stream-closed')).toBe('true')
  expect(await answer.text()).toBe(Array.from({ length: acknowledged + 2 }, (_, n) => `${n}\n`).join(''))
})
