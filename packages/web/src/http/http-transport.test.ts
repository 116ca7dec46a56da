import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  AbortError,
  AuthenticationError,
  InternalError,
  type MillraceOptions,
  NotFoundError,
  RateLimitError,
  TimeoutError,
  UnavailableError,
  ValidationError,
} from '@millrace/core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Millrace } from '../millrace.ts'

/** A server whose answers the test gives. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function client(endpoint: string | string[], options: MillraceOptions = {}): Millrace {
  const silent = () => undefined
  const logger = { debug: silent, info: silent, warn: silent, error: silent }
  const mr = new Millrace({ endpoint, retry: false, circuitBreaker: false, apiKey: 'mr_key', logger, ...options })
  onTestFinished(() => mr.close())
  return mr
}

const json = (
  response: ServerResponse,
  status: number,
  body: unknown,
  type = status < 400 ? 'application/json' : 'application/problem+json',
) => {
  response.writeHead(status, { 'content-type': type, 'request-id': 'from-the-header' }).end(JSON.stringify(body))
}
const healthy = { healthy: true, version: '1' }

/** A server that streams what `play` writes. */
function serveEvents(play: (write: (text: string) => void, response: ServerResponse, opened: number) => void): Promise<string> {
  let opened = 0
  return serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    play((text) => response.write(text), response, ++opened)
  })
}

const entry = (sequence: number) => `data: ${JSON.stringify({ entries: [{ message: `line ${sequence}`, sequence }] })}\n\n`

async function lines(mr: Millrace, signal?: AbortSignal): Promise<string[]> {
  const all: string[] = []
  for await (const { message } of mr.tasks.logs('task_1', { follow: true, signal })) all.push(message)
  return all
}

describe('a call with one answer', () => {
  test('carries the key, the namespace and JSON', async () => {
    const seen: IncomingMessage[] = []
    const endpoint = await serve((request, response) => {
      seen.push(request)
      json(response, 200, healthy)
    })
    await client(`${endpoint}/prefix`, { namespace: 'blue' }).health()
    expect(seen[0]).toMatchObject({ method: 'GET', url: '/prefix/v1/cluster/health' })
    expect(seen[0]!.headers).toMatchObject({ authorization: 'Bearer mr_key', 'millrace-namespace': 'blue', accept: 'application/json' })
  })

  test('that is refused is the error that the server names', async () => {
    const problems: [number, object, new (...args: never) => Error][] = [
      [404, { code: 'NOT_FOUND', detail: 'no', resource: 'queue', id: 'q', requestId: 'r1' }, NotFoundError],
      [401, { code: 'TOKEN_EXPIRED', detail: 'no' }, AuthenticationError],
      [429, { code: 'RATE_LIMITED', detail: 'no', retryAfter: 2 }, RateLimitError],
      [500, { code: 'INTERNAL', detail: 'no' }, InternalError],
      [502, 'bad gateway' as never, UnavailableError],
    ]
    const endpoint = await serve((request, response) => {
      const [status, body] = problems[Number(request.headers['millrace-namespace'])]!
      json(response, status, body)
    })
    for (const [i, [status, , type]] of problems.entries()) {
      const error = await client(endpoint, { namespace: String(i) })
        .health()
        .catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(type)
      expect(error).toMatchObject({ requestId: i === 0 ? 'r1' : 'from-the-header', ...(status !== 502 && { statusCode: status }) })
    }
  })

  test.each<[string, RequestListener]>([
    ['a page of a proxy', (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>Please log in</p>')],
    ['no answer', (request) => request.socket.destroy()],
    [
      'half an answer',
      (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
        response.write('{"healthy":')
        setTimeout(() => response.destroy(), 20)
      },
    ],
    ['an answer that is not JSON', (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"healthy":')],
  ])('that gets %s says that the server cannot be reached', async (_name, listener) => {
    await expect(client(await serve(listener)).health()).rejects.toThrow(UnavailableError)
  })

  test('ends at its time, with its signal, and with the client', async () => {
    let closed = 0
    const endpoint = await serve((request) => request.socket.on('close', () => closed++))
    const mr = client(endpoint)
    await expect(mr.health({ timeout: 20 })).rejects.toThrow(TimeoutError)
    await expect(mr.health({ signal: AbortSignal.timeout(20) })).rejects.toMatchObject({
      name: 'AbortError',
      cause: { name: 'TimeoutError' },
    })
    await expect(mr.health({ signal: AbortSignal.abort('early') })).rejects.toThrow(AbortError)
    const pending = expect(mr.health()).rejects.toThrow('This client is closed.')
    await expect.poll(() => closed).toBe(2)
    await mr.close()
    await pending
    await expect(mr.health()).rejects.toThrow('This client is closed.')
    await expect.poll(() => closed).toBe(3)
  })

  test('waits no longer than its time for a token', async () => {
    const mr = client('http://127.0.0.1:9', { apiKey: undefined, token: () => new Promise(() => undefined) })
    await expect(mr.health({ timeout: 20 })).rejects.toThrow(TimeoutError)
  })

  test('goes to another server when the first cannot be reached', async () => {
    const dead = await serve((request) => request.socket.destroy())
    const alive = await serve((_, response) => json(response, 200, healthy))
    const mr = client([dead, alive], { retry: { initialDelay: 1 } })
    expect(await mr.health()).toMatchObject({ healthy: true })
    expect(await mr.health()).toMatchObject({ healthy: true })
  })

  test('with a name that no URL can hold is wrong', async () => {
    await expect(client('http://127.0.0.1:9').queue('..').stats()).rejects.toThrow(ValidationError)
  })
})

describe('a refused token', () => {
  test('is replaced once for calls made together, and a source of bad ones is not asked for ever', async () => {
    let fetched = 0
    const endpoint = await serve((request, response) => {
      if (request.headers.authorization === 'Bearer good2') json(response, 200, healthy)
      else json(response, 401, { code: 'TOKEN_EXPIRED', detail: 'over' })
    })
    const mr = client(endpoint, { apiKey: undefined, token: () => `good${++fetched}` })
    await Promise.all([mr.health(), mr.health(), mr.health()])
    expect(fetched).toBe(2)
    const bad = client(endpoint, { apiKey: undefined, token: () => `bad${++fetched}` })
    await expect(bad.health()).rejects.toThrow(AuthenticationError)
    await expect(lines(bad)).rejects.toThrow(AuthenticationError)
    expect(fetched).toBeLessThanOrEqual(7)
  })

  test('ends a stream, which goes on with the next one where it was', async () => {
    const seen: (string | undefined)[] = []
    const endpoint = await serve((request, response) => {
      seen.push(`${request.headers.authorization} ${request.url}`)
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      if (seen.length === 1)
        response.end(`${entry(1)}${entry(2)}event: problem\ndata: {"code":"TOKEN_EXPIRED","status":401,"detail":"over"}\n\n`)
      else response.end(`${entry(3)}event: end\ndata: {}\n\n`)
    })
    let fetched = 0
    const mr = client(endpoint, { apiKey: undefined, token: () => `t${++fetched}` })
    expect(await lines(mr)).toEqual(['line 1', 'line 2', 'line 3'])
    expect(seen).toEqual(['Bearer t1 /v1/tasks/task_1/logs:tail', 'Bearer t2 /v1/tasks/task_1/logs:tail?afterSequence=2'])
  })
})

describe('a stream', () => {
  test('ends where the server says that it ends', async () => {
    const endpoint = await serveEvents((write, response) => {
      write(`retry: 10\n\n${entry(1)}:\n\n`)
      setTimeout(() => response.end(`${entry(2)}event: end\ndata: {}\n\n`), 20)
    })
    expect(await lines(client(endpoint))).toEqual(['line 1', 'line 2'])
  })

  test('that is cut anywhere goes on without a gap or a repeat', async () => {
    const whole = entry(1) + entry(2) + entry(3)
    const cuts = [0, 1, 10, entry(1).length, entry(1).length + 7, whole.length - 1]
    const endpoint = await serve((request, response) => {
      const after = Number(new URL(request.url!, 'http://x').searchParams.get('afterSequence') ?? 0)
      const rest = [1, 2, 3].slice(after).map(entry).join('')
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
      const cut = cuts.shift()
      if (cut === undefined) return response.end(`${rest}event: end\ndata: {}\n\n`)
      response.write(`retry: 1\n\n${rest.slice(0, cut)}`)
      // Proxies end answers neatly, servers that die do not.
      setTimeout(() => (cuts.length % 2 === 0 ? response.end() : response.destroy()), 20)
    })
    expect(await lines(client(endpoint))).toEqual(['line 1', 'line 2', 'line 3'])
    expect(cuts).toEqual([])
  })

  test('through a proxy that gathers before it passes on comes late but whole', async () => {
    const endpoint = await serveEvents((write, response) => {
      const text = `${entry(1)}${entry(2)}event: end\ndata: {}\n\n`
      const half = Math.floor(text.length / 2)
      setTimeout(() => write(text.slice(0, half)), 20)
      setTimeout(() => response.end(text.slice(half)), 40)
    })
    expect(await lines(client(endpoint))).toEqual(['line 1', 'line 2'])
  })

  test('that is silent too long is opened again', async () => {
    const endpoint = await serveEvents((write, response, opened) => {
      if (opened === 1) write(entry(1))
      else response.end(`${entry(2)}event: end\ndata: {}\n\n`)
    })
    expect(await lines(client(endpoint, { keepalive: { interval: 50, timeout: 20 } }))).toEqual(['line 1', 'line 2'])
  })

  test('with heartbeats is not silent', async () => {
    let opened = 0
    const endpoint = await serveEvents((write, response, count) => {
      opened = count
      const beat = setInterval(() => write(':\n\n'), 20)
      setTimeout(() => {
        clearInterval(beat)
        response.end(`${entry(1)}event: end\ndata: {}\n\n`)
      }, 300)
    })
    expect(await lines(client(endpoint, { keepalive: { interval: 80, timeout: 20 } }))).toEqual(['line 1'])
    expect(opened).toBe(1)
  })

  test('is opened again no sooner than the server says', async () => {
    const times: number[] = []
    const endpoint = await serveEvents((write, response, opened) => {
      times.push(performance.now())
      write('retry: 400\n\n')
      if (opened === 1) response.end(entry(1))
      else response.end('event: end\ndata: {}\n\n')
    })
    await lines(client(endpoint))
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(390)
  })

  test('is broken off when nobody wants more of it, by its signal, and with the client', async () => {
    let open = 0
    const endpoint = await serveEvents((write, response) => {
      open++
      response.on('close', () => open--)
      write(entry(1))
    })
    const mr = client(endpoint)
    for await (const _line of mr.tasks.logs('task_1', { follow: true })) break
    await expect.poll(() => open).toBe(0)
    const abort = new AbortController()
    const aborted = expect(lines(mr, abort.signal)).rejects.toThrow(AbortError)
    await expect.poll(() => open).toBe(1)
    abort.abort()
    await aborted
    await expect.poll(() => open).toBe(0)
    const closed = expect(lines(mr)).rejects.toThrow('This client is closed.')
    await expect.poll(() => open).toBe(1)
    await mr.close()
    await closed
    await expect.poll(() => open).toBe(0)
  })
})
