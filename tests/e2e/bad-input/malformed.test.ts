import { once } from 'node:events'
import * as http2 from 'node:http2'
import { connect } from 'node:net'
import { status } from '@grpc/grpc-js'
import { expect, onTestFinished, test } from 'vitest'
import { useServer } from '../harness/fixture.ts'
import { createRandom, testSeed } from '../harness/random.ts'
import { everyRpc } from '../raw/raw.ts'

const fixture = useServer()

interface Answer {
  readonly http: number
  /** The gRPC status; undefined when the stream was reset without one. */
  readonly code: number | undefined
  readonly message: string
}

function session(): http2.ClientHttp2Session {
  const client = http2.connect(`http://${fixture.server.endpoint}`)
  client.on('error', () => {}) // some of what is sent here is to break the connection
  onTestFinished(() => client.destroy())
  return client
}

/** Sends bytes as the body of a gRPC call. */
async function post(
  client: http2.ClientHttp2Session,
  path: string,
  body: Uint8Array,
  headers: http2.OutgoingHttpHeaders = {},
): Promise<Answer> {
  const stream = client.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'x-api-key': fixture.server.key,
    ...headers,
  })
  const answer = { http: 0, code: undefined as number | undefined, message: '' }
  const read = (received: http2.IncomingHttpHeaders) => {
    answer.http ||= Number(received[':status'] ?? 0)
    if (received['grpc-status'] !== undefined) {
      answer.code = Number(received['grpc-status'])
      answer.message = decodeURIComponent(String(received['grpc-message'] ?? ''))
    }
  }
  stream
    .on('response', read)
    .on('trailers', read)
    .on('error', () => {})
  stream.resume()
  stream.end(body)
  await Promise.race([once(stream, 'close'), new Promise((resolve) => setTimeout(resolve, 5000).unref())])
  stream.destroy()
  return answer
}

/** A message in gRPC's framing. Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
function framed(message: Uint8Array, { flag = 0, length = message.length } = {}): Buffer {
  const header = Buffer.alloc(5)
  header.writeUInt8(flag, 0)
  header.writeUInt32BE(length, 1)
  return Buffer.concat([header, message])
}

async function servesOn(): Promise<void> {
  const queue = fixture.client().queue('after')
  await queue.enqueue(1)
  expect(await queue.reserve()).toBeDefined()
}

test('bytes that are no message: INVALID_ARGUMENT from every RPC, and the server goes on', async () => {
  const client = session()
  const garbage = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
  for (const { service, method } of everyRpc) {
    const { http, code, message } = await post(client, `/millrace.v1.${service}/${method}`, framed(garbage))
    expect([method, http, code]).toEqual([method, 200, status.INVALID_ARGUMENT])
    expect(message).toMatch(/message|decode|protobuf|parse/i)
  }
  await servesOn()
})

test('a message cut anywhere is refused or a shorter message; nothing half-read is kept', async () => {
  const client = session()
  const queue = fixture.client({ namespace: 'cut' }).queue('cut')
  // queue = "cut", jobs = [{ payload: "0123456789" }]
  const whole = Buffer.concat([Buffer.from([0x0a, 3]), Buffer.from('cut'), Buffer.from([0x12, 12, 0x0a, 10]), Buffer.from('0123456789')])
  for (let length = 0; length < whole.length; length++) {
    const { code } = await post(client, '/millrace.v1.QueueService/EnqueueJobs', framed(whole.subarray(0, length)), {
      'millrace-namespace': 'cut',
    })
    expect([length, code]).toEqual([length, status.INVALID_ARGUMENT])
  }
  expect((await queue.stats()).total).toBe(0)
  expect((await post(client, '/millrace.v1.QueueService/EnqueueJobs', framed(whole), { 'millrace-namespace': 'cut' })).code).toBe(status.OK)
  expect((await queue.stats()).total).toBe(1)
})

test('random bytes: a status each time, never a fault of the server’s', async () => {
  const random = createRandom(testSeed())
  const client = session()
  for (let i = 0; i < 400; i++) {
    const { service, method } = random.pick(everyRpc)
    const bytes = Buffer.from(Array.from({ length: random.int(0, 200) }, () => random.int(0, 255)))
    // What means something may be a stream that goes on.
    const { code, message } = await post(client, `/millrace.v1.${service}/${method}`, framed(bytes), { 'grpc-timeout': '2S' })
    if (code === undefined || code === status.INTERNAL || code === status.UNKNOWN) {
      throw new Error(`${service}/${method} answered ${code} '${message}' to ${bytes.toString('hex')}`)
    }
  }
  await servesOn()
})

test('broken framing, compression and headers', async () => {
  const path = '/millrace.v1.QueueService/GetQueueStats'
  const cases: [string, Uint8Array, http2.OutgoingHttpHeaders?][] = [
    ['nothing at all', Buffer.alloc(0)],
    ['half a header', Buffer.from([0, 0])],
    ['a length beyond the bytes', framed(Buffer.from('x'), { length: 100 })],
    ['a length of 4 GiB', framed(Buffer.from('x'), { length: 0xffffffff })],
    ['compressed, and not said how', framed(Buffer.from('x'), { flag: 1 })],
    ['gzip that is none', framed(Buffer.from('no gzip'), { flag: 1 }), { 'grpc-encoding': 'gzip' }],
    ['an unknown compression', framed(Buffer.from('x'), { flag: 1 }), { 'grpc-encoding': 'snappy' }],
    ['a flag that does not exist', framed(Buffer.alloc(0), { flag: 0xff })],
    ['two messages where one belongs', Buffer.concat([framed(Buffer.alloc(0)), framed(Buffer.alloc(0))])],
    ['JSON', Buffer.from('{"queue":"x"}'), { 'content-type': 'application/json' }],
    ['a deadline that is none', framed(Buffer.alloc(0)), { 'grpc-timeout': 'soon' }],
  ]
  for (const [what, body, headers] of cases) {
    const { http, code } = await post(session(), path, body, headers)
    expect([what, (code ?? 0) > 0 || http >= 400 || http === 0]).toEqual([what, true])
    await servesOn()
  }
})

test('what is no HTTP/2 at all', async () => {
  const [host, port] = fixture.server.endpoint.split(':') as [string, string]
  const noise = [
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    '\0'.repeat(1000),
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff',
    '\x16\x03\x01\x02\x00\x01\x00',
  ]
  for (const bytes of noise) {
    const socket = connect(Number(port), host)
    socket.on('error', () => {})
    socket.write(bytes, 'latin1')
    socket.resume()
    await Promise.race([once(socket, 'close'), new Promise((resolve) => setTimeout(resolve, 500))])
    socket.destroy()
  }
  await servesOn()
})

test('a thousand calls broken off half-way leave nothing behind', async () => {
  const client = session()
  for (let i = 0; i < 1000; i++) {
    const stream = client.request({
      ':method': 'POST',
      ':path': '/millrace.v1.QueueService/ReceiveJobs',
      'content-type': 'application/grpc',
      te: 'trailers',
      'x-api-key': fixture.server.key,
    })
    stream.on('error', () => {})
    if (i % 2 === 0)
      stream.end(framed(Buffer.from([0x0a, 1, 0x78, 0x20, 0xe0, 0xd4, 0x03]))) // queue "x", wait_ms 60000
    else stream.write(Buffer.from([0, 0, 0]))
    stream.close(http2.constants.NGHTTP2_CANCEL)
  }
  await servesOn()
  const queue = fixture.client({ namespace: 'default' }).queue('x')
  await queue.enqueue('for nobody who has left')
  expect((await queue.reserve({ wait: '2s' }))?.attempt).toBe(1)
})
