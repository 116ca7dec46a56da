import { Agent, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Problem } from '@millrace/protocol/http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ServerSettings } from '../src/config/settings.ts'
import { newTask, startTestServer } from './harness.ts'
import { openEvents } from './http-client.ts'

/** A server and a way to call it over HTTP with its key. */
async function startHttp(settings: ServerSettings = {}) {
  const test = await startTestServer(settings)
  const url = `http://${test.server.http}`
  const call = (verb: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    fetch(url + path, {
      method: verb,
      headers: {
        authorization: `Bearer ${test.server.key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    })
  const json = async (verb: string, path: string, body?: unknown, headers?: Record<string, string>) => {
    const response = await call(verb, path, body, headers)
    return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> }
  }
  const problem = async (verb: string, path: string, body?: unknown, headers?: Record<string, string>) => {
    const { status, headers: answered, body: answer } = await json(verb, path, body, headers)
    expect(answered.get('content-type')).toBe('application/problem+json')
    expect(answered.get('request-id')).toBe(answer.requestId)
    expect(answer.status).toBe(status)
    return answer as unknown as Problem
  }
  return { ...test, url, call, json, problem }
}

describe('REST', () => {
  it('submits, reads, lists and cancels', async () => {
    const { json } = await startHttp()
    const task = { function: 'resize', payload: { file: 'a.png', size: [1, 2] }, labels: { team: 'blue' }, priority: 5 }
    const submitted = await json('POST', '/v1/tasks', task)
    expect(submitted).toMatchObject({ status: 200, body: { taskId: expect.stringMatching(/^task_/), created: true } })
    const path = `/v1/tasks/${submitted.body.taskId}`
    expect((await json('GET', path)).body.task).toMatchObject({ ...task, state: 'pending', attempts: 0, createdAt: expect.any(String) })
    const listed = await json('GET', '/v1/tasks?labels.team=blue&states=pending&states=running&limit=10')
    expect(listed.body.tasks).toMatchObject([{ taskId: submitted.body.taskId }])
    expect((await json('GET', '/v1/tasks?labels.team=red')).body).toEqual({ tasks: [] })
    expect((await json('POST', `${path}:cancel`, { reason: 'no more' })).body.task).toMatchObject({
      state: 'cancelled',
      message: 'no more',
    })
    expect(await json('POST', `${path}:cancel`)).toMatchObject({ status: 409, body: { code: 'FAILED_PRECONDITION' } })
  })

  it('enqueues, receives and settles', async () => {
    const { json } = await startHttp()
    const bytes = { payload: Buffer.from('hello').toString('base64'), contentType: 'text/plain' }
    await json('POST', '/v1/queues/mail%2Fout/jobs', { jobs: [{ payload: { to: 'ada' } }, bytes] })
    const { body } = await json('POST', '/v1/queues/mail%2Fout:receive', { maxJobs: 5 })
    const jobs = body.jobs as Record<string, unknown>[]
    expect(jobs).toMatchObject([{ payload: { to: 'ada' }, queue: 'mail/out', attempt: 1 }, bytes])
    const [first, second] = jobs
    const settled = await json('POST', `/v1/queues/mail%2Fout/jobs/${first!.jobId}:complete`, {
      leaseToken: first!.leaseToken,
      result: null,
    })
    expect(settled).toMatchObject({ status: 200, body: {} })
    await json('POST', `/v1/queues/-/jobs/${second!.jobId}:fail`, {
      leaseToken: second!.leaseToken,
      noRetry: true,
      error: { message: 'm' },
    })
    expect((await json('GET', `/v1/queues/mail%2Fout/jobs/${first!.jobId}`)).body.job).toMatchObject({ state: 'completed', result: null })
    expect((await json('GET', '/v1/queues/mail%2Fout/stats')).body).toMatchObject({ completed: 1, dead: 1, total: 2 })
  })

  it('keeps numbers of payloads that JavaScript cannot hold', async () => {
    const { call, json } = await startHttp()
    const payload = '{"id":123456789012345678901,"f":1.5,"far":1e999,"__proto__":{"a":1}}'
    const { taskId } = (await (await call('POST', '/v1/tasks', `{"payload":${payload}}`)).json()) as { taskId: string }
    expect(await (await call('GET', `/v1/tasks/${taskId}`)).text()).toContain(`"payload":${payload}`)
    for (const each of [
      '{"far":1e999}',
      '{"price":12345678901234567.89}',
      '{"x":[0.12345678901234567890,-1.00000000000000000001E5,0.10,1.5]}',
    ]) {
      const task = (await (await call('POST', '/v1/tasks', `{"payload":${each}}`)).json()) as { taskId: string }
      const answer = await (await call('GET', `/v1/tasks/${task.taskId}`)).text()
      expect(answer).toContain(`"payload":${each.replace('0.10', '0.1')}`)
    }
    expect((await json('POST', '/v1/tasks', '{"timeoutMs":9007199254740993}')).body).toMatchObject({
      fields: [{ path: 'task.timeoutMs', message: expect.stringContaining('whole number') }],
    })
  })

  it('keeps labels of any name, also over gRPC', async () => {
    const { call, json, admin } = await startHttp()
    const labels = '{"__proto__":"a","constructor":"b","toString":"c"}'
    const { taskId } = (await (await call('POST', '/v1/tasks', `{"labels":${labels}}`)).json()) as { taskId: string }
    expect(await (await call('GET', `/v1/tasks/${taskId}`)).text()).toContain(`"labels":${labels}`)
    const { task } = await admin.tasks.getTask({ taskId })
    expect(JSON.stringify(task!.labels)).toBe(labels)
    const again = await admin.tasks.submitTask({ task: newTask({ labels: task!.labels }), requestId: '' })
    expect((await json('GET', '/v1/tasks?labels.__proto__=a&labels[constructor]=b')).body.tasks).toMatchObject(
      [again, { taskId }].map((one) => ({ taskId: one.taskId })),
    )
  })

  it('acts in the namespace of the header', async () => {
    const { json, problem } = await startHttp()
    const { body } = await json('POST', '/v1/tasks', {}, { 'millrace-namespace': 'blue' })
    expect(await json('GET', `/v1/tasks/${body.taskId}`, undefined, { 'millrace-namespace': 'blue' })).toMatchObject({ status: 200 })
    expect(await problem('GET', `/v1/tasks/${body.taskId}`)).toMatchObject({ code: 'NOT_FOUND', resource: 'task', id: body.taskId })
  })

  it('answers a repeated Idempotency-Key as the first time', async () => {
    const { json, problem } = await startHttp()
    const once = (path: string, body: unknown) => json('POST', path, body, { 'idempotency-key': 'k1' })
    const { body } = await once('/v1/tasks', { payload: 1 })
    expect((await once('/v1/tasks', { payload: 1 })).body).toEqual({ taskId: body.taskId, created: false })
    expect(await problem('POST', '/v1/tasks', { payload: 2 }, { 'idempotency-key': 'k1' })).toMatchObject({
      code: 'ALREADY_EXISTS',
    })
    const first = await once('/v1/queues/q/jobs', { jobs: [{ payload: 1 }, { payload: 2 }] })
    expect((await once('/v1/queues/q/jobs', { jobs: [{ payload: 1 }, { payload: 2 }] })).body).toEqual(first.body)
    expect((await once('/v1/queues/q/jobs', { jobs: [{ payload: 3 }, { payload: 4 }] })).body).not.toEqual(first.body)
  })

  it('answers a repeated Idempotency-Key of each call that changes a key as the first time', async () => {
    const { json } = await startHttp()
    const once = async (method: string, path: string, body?: unknown) => {
      const { status, body: answer } = await json(method, path, body, { 'idempotency-key': 'k1' })
      return { status, ...answer }
    }
    const calls = [
      ['PUT', '/v1/kv/s/a', { value: 1, ifAbsent: true }, { revision: 1 }],
      ['POST', '/v1/kv/s/a/increment', undefined, { number: 2, revision: 2 }],
      ['DELETE', '/v1/kv/s/a', undefined, { deleted: true }],
    ] as const
    for (const [method, path, body, answer] of calls) {
      expect(await once(method, path, body)).toEqual({ status: 200, ...answer })
      expect(await once(method, path, body)).toEqual({ status: 200, ...answer })
    }
  })

  it('says that nothing has changed', async () => {
    const { call, json } = await startHttp()
    const { body } = await json('POST', '/v1/tasks', {})
    const path = `/v1/tasks/${body.taskId}`
    const etag = (await call('GET', path)).headers.get('etag')!
    const again = await call('GET', path, undefined, { 'if-none-match': etag })
    expect([again.status, await again.text()]).toEqual([304, ''])
    await call('POST', `${path}:cancel`)
    expect((await call('GET', path, undefined, { 'if-none-match': etag })).status).toBe(200)
  })

  it('compresses what is worth it, for those who take it', async () => {
    const { json, url, server } = await startHttp()
    const { body } = await json('POST', '/v1/tasks', { payload: 'x'.repeat(5000) })
    const get = (coding: string) =>
      new Promise<{ coding: string | undefined; bytes: Buffer }>((resolve, reject) => {
        const headers = { 'x-api-key': server.key, 'accept-encoding': coding }
        httpRequest(`${url}/v1/tasks/${body.taskId}`, { headers }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () => resolve({ coding: response.headers['content-encoding'], bytes: Buffer.concat(chunks) }))
        })
          .on('error', reject)
          .end()
      })
    const zipped = await get('gzip, br;q=0')
    expect(zipped.coding).toBe('gzip')
    expect(zipped.bytes.length).toBeLessThan(1000)
    expect(JSON.parse(gunzipSync(zipped.bytes).toString()).task.payload).toHaveLength(5000)
    expect((await get('gzip, br')).coding).toBe('br')
    expect((await get('identity')).coding).toBeUndefined()
    const sent = await fetch(`${url}/v1/tasks`, {
      method: 'POST',
      headers: { 'x-api-key': server.key!, 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: gzipSync('{}'),
    })
    expect(sent.status).toBe(200)
  })
})

describe('refusals', () => {
  it.each<[string, string, number, string, unknown?, Record<string, string>?]>([
    ['GET', '/v1/nothing', 404, 'NOT_FOUND'],
    ['GET', '/nothing', 404, 'NOT_FOUND'],
    ['PUT', '/v1/tasks', 405, 'VALIDATION'],
    ['POST', '/v1/tasks', 400, 'VALIDATION', '{'],
    ['POST', '/v1/tasks', 400, 'VALIDATION', '[]'],
    ['POST', '/v1/tasks', 400, 'VALIDATION', '{"priority":1000}'],
    ['POST', '/v1/tasks', 400, 'VALIDATION', `{"payload":${'['.repeat(200_000)}${']'.repeat(200_000)}}`],
    ['POST', '/v1/tasks', 415, 'VALIDATION', 'task=1', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['POST', '/v1/tasks', 415, 'VALIDATION', '{}', { 'content-encoding': 'zstd' }],
    ['POST', '/v1/tasks', 400, 'VALIDATION', '{}', { 'content-encoding': 'gzip' }],
    ['POST', '/v1/tasks?limit=5', 400, 'VALIDATION', '{}'],
    ['POST', '/v1/tasks?task.stateKey=1', 400, 'VALIDATION', '7'],
    ['POST', '/v1/tasks?task.labels.a=1', 400, 'VALIDATION', 'null'],
    ['GET', '/v1/tasks?nothing=1', 400, 'VALIDATION'],
    ['GET', '/v1/tasks?limit=1&limit=2', 400, 'VALIDATION'],
    ['GET', '/v1/tasks?limit=many', 400, 'VALIDATION'],
    ['GET', '/v1/tasks?labels=1', 400, 'VALIDATION'],
    ['GET', '/v1/tasks?__proto__.a=1', 400, 'VALIDATION'],
    ['GET', '/v1/tasks/%ff', 400, 'VALIDATION'],
    ['GET', '/v1/tasks/task_1', 404, 'NOT_FOUND'],
    ['GET', '/v1/tasks', 400, 'VALIDATION', undefined, { 'millrace-namespace': 'not a name' }],
    ['GET', '/v1/tasks', 401, 'UNAUTHENTICATED', undefined, { authorization: 'Bearer nobody' }],
    ['GET', '/v1/tasks', 401, 'UNAUTHENTICATED', undefined, { authorization: 'Basic eDp5' }],
    ['GET', '/v1/tasks/task_1/events', 404, 'NOT_FOUND'],
  ])('%s %s is %i %s', async (verb, path, status, code, body, headers) => {
    const { problem } = await startHttp()
    const type = `urn:millrace:error:${code}`
    expect(await problem(verb, path, body, headers)).toMatchObject({
      status,
      code,
      type,
      title: expect.any(String),
      detail: expect.any(String),
    })
  })

  it('say which verbs there are', async () => {
    const { call } = await startHttp()
    expect((await call('DELETE', '/v1/queues/q')).headers.get('allow')).toBe('GET, PATCH')
  })

  it('say where fields are wrong', async () => {
    const { problem } = await startHttp()
    const answer = await problem('POST', '/v1/tasks', { priority: 'high', tusk: 1 })
    expect(answer.fields?.map(({ path }) => path)).toEqual(['task.priority', 'task.tusk'])
    expect(answer.detail).toBe('task.priority: is text, not a number (and 1 more wrong field)')
  })

  it('say when to try again', async () => {
    const { json, problem, call } = await startHttp({ queueDepth: 1 })
    await json('POST', '/v1/queues/q/jobs', { jobs: [{}] })
    expect(await problem('POST', '/v1/queues/q/jobs', { jobs: [{}] })).toMatchObject({
      status: 429,
      code: 'QUOTA_EXCEEDED',
      quota: { type: 'queue_depth', current: 1, limit: 1 },
    })
    expect((await call('POST', '/v1/queues/q/jobs', { jobs: [{}] })).headers.get('retry-after')).toMatch(/^\d+$/)
  })

  it('come before a large body is read, and bound it', async () => {
    const { url, server } = await startHttp({ payloadLimit: '1KiB' })
    const body = '['.repeat(40_000_000)
    const post = async (key: string) => {
      const { status } = await fetch(`${url}/v1/tasks`, {
        method: 'POST',
        headers: { 'x-api-key': key, 'content-type': 'application/json' },
        body,
      })
      return status
    }
    for (let i = 0; i < 5; i++) expect([await post('nobody'), await post(server.key!)]).toEqual([401, 413])
    const bomb = gzipSync(Buffer.alloc(40_000_000))
    const headers = { 'x-api-key': server.key!, 'content-type': 'application/json', 'content-encoding': 'gzip' }
    expect((await fetch(`${url}/v1/tasks`, { method: 'POST', headers, body: bomb })).status).toBe(413)
  })

  it('reach whoever is still sending a body, and the connection is good for the next request', async () => {
    const { server } = await startHttp({ payloadLimit: '1KiB' })
    const { hostname, port } = new URL(`http://${server.http}`)
    const socket = connect(Number(port), hostname)
    const body = Buffer.alloc(40_000_000, 'x')
    const head = `POST /v1/tasks HTTP/1.1\r\nhost: x\r\nx-api-key: ${server.key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    socket.on('error', () => undefined)
    let answers = ''
    const seen = (pattern: RegExp) =>
      new Promise<void>((resolve, reject) => {
        const look = () => pattern.test(answers) && resolve()
        socket.on('data', (chunk) => {
          answers += chunk
          look()
        })
        socket.once('close', () => reject(new Error(`closed after ${JSON.stringify(answers)}`)))
        look()
      })
    socket.write(head)
    await seen(/^HTTP\/1\.1 413 [\s\S]*"status":413/)
    answers = ''
    socket.write(body)
    socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')
    await seen(/^HTTP\/1\.1 200 /)
    socket.destroy()
  })

  it('answer what is no HTTP with a request id too', async () => {
    const { server } = await startHttp()
    const say = (text: string) =>
      new Promise<string>((resolve) => {
        const { hostname, port } = new URL(`http://${server.http}`)
        const socket = connect(Number(port), hostname, () => socket.write(text))
        let answer = ''
        socket.on('data', (chunk) => {
          answer += chunk
        })
        socket.on('close', () => resolve(answer))
        socket.on('error', () => undefined)
      })
    expect(await say('no HTTP at all\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*request-id: \S+[\s\S]*"code":"VALIDATION"/)
    expect(await say(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 [\s\S]*request-id: /)
  })
})

describe('browsers', () => {
  it('may call from any page, unless origins are named', async () => {
    const question = { origin: 'https://app.example', 'access-control-request-method': 'POST' }
    const open = await startHttp()
    const answer = await open.call('OPTIONS', '/v1/tasks', undefined, question)
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([204, '*'])
    expect(answer.headers.get('access-control-allow-headers')).toContain('authorization')
    const read = await open.call('GET', '/v1/tasks', undefined, { origin: 'https://app.example' })
    expect(read.headers.get('access-control-expose-headers')).toContain('request-id')

    const closed = await startHttp({ httpOrigins: 'https://app.example,https://b.example' })
    const allowed = async (origin: string) =>
      (await closed.call('OPTIONS', '/v1/tasks', undefined, { ...question, origin })).headers.get('access-control-allow-origin')
    expect(await allowed('https://b.example')).toBe('https://b.example')
    expect(await allowed('https://evil.example')).toBeNull()
  })
})

describe('the server itself', () => {
  it('says that it lives and whether it is ready', async () => {
    const { url } = await startHttp()
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' })
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: 'ready' })
    expect((await fetch(`${url}/healthz`, { method: 'POST' })).status).toBe(405)
  })

  it('describes its API and shows it', async () => {
    const { url } = await startHttp()
    expect(await (await fetch(`${url}/openapi.json`)).json()).toMatchObject({
      openapi: expect.stringMatching(/^3\.1/),
      paths: { '/v1/tasks': {} },
    })
    const page = await fetch(url)
    expect(page.url).toBe(`${url}/docs`)
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    // Nothing from elsewhere: the page works without the Internet.
    expect(await page.text()).not.toMatch(/(src|href)="?(https?:)?\/\//)
  })

  it('counts calls over both transports, by what they are and how they end', async () => {
    const { url, json, admin, server } = await startHttp()
    const { body } = await json('POST', '/v1/tasks', {})
    await json('GET', '/v1/tasks/nothing')
    await admin.tasks.getTask({ taskId: String(body.taskId) })
    const events = await openEvents(`${url}/v1/tasks/${body.taskId}/events`, { 'x-api-key': server.key! })
    await events.next()
    const metrics = await (await fetch(`${url}/metrics`)).text()
    const value = (name: string) => Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(metrics)?.[1])
    expect(value('millrace_calls_total{method="TaskService/SubmitTask",transport="http",code="OK"}')).toBe(1)
    expect(value('millrace_calls_total{method="TaskService/GetTask",transport="http",code="NOT_FOUND"}')).toBe(1)
    expect(value('millrace_calls_total{method="TaskService/GetTask",transport="grpc",code="OK"}')).toBe(1)
    expect(value('millrace_call_seconds_count{method="TaskService/GetTask",transport="http"}')).toBe(1)
    expect(value('millrace_http_streams')).toBe(1)
    expect(value('millrace_jobs{state="pending"}')).toBe(1)
    expect(value('millrace_jobs{state="dead"}')).toBe(0)
    expect(value('millrace_http_connections')).toBeGreaterThan(0)
    expect(value('process_resident_memory_bytes')).toBeGreaterThan(1e6)
  })
})

it('a stopping server ends calls that wait, and keeps no connection open', async () => {
  const { server, url } = await startHttp({ shutdownGrace: '60s' })
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const headers = { 'x-api-key': server.key, 'content-type': 'application/json' }
  const waiting = new Promise<number | undefined>((resolve, reject) => {
    const sent = httpRequest(`${url}/v1/queues/q:receive`, { method: 'POST', headers, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode))
    })
    sent.on('error', reject)
    sent.end('{"waitMs":60000}')
  })
  await expect.poll(async () => (await (await fetch(`${url}/metrics`)).text()).includes('millrace_http_connections 2')).toBe(true)
  await server.stop()
  expect(await waiting).toBe(503)
})
