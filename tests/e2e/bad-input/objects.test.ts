import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { InternalError, MillraceError, NotFoundError, UnavailableError } from '@millrace/client'
import { startS3 } from '@millrace/dev'
import { describe, expect, onTestFinished, test } from 'vitest'
import { clientMaker, clients } from '../harness/every-client.ts'
import { clientOf, freshName, useServer } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'
import { createSmallDisk, noSmallDisk } from '../harness/small-disk.ts'
import { TcpProxy } from '../harness/tcp-proxy.ts'
import { until } from '../harness/until.ts'

const impatient = { retry: false, circuitBreaker: false, timeout: '60s' } as const
const mebibyte = 1024 ** 2
const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** The files of a folder, with their paths. */
function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

test('a disk that is full: objects are refused, what is there is read, and nothing is left of what was refused', async ({ skip }) => {
  if (noSmallDisk) skip(noSmallDisk)
  await using disk = await createSmallDisk(24 * mebibyte)
  await using server = await startServer({ via: disk.via, flags: ['--objects', `disk:${disk.path}/objects`] })
  const mr = clientOf(server, impatient)
  const bucket = mr.bucket('full')
  await bucket.create()
  const kept = randomBytes(5 * mebibyte)
  await bucket.put('kept', kept)
  const upload = await bucket.createUpload('parts')
  for (const put of [() => bucket.put('large', randomBytes(30 * mebibyte)), () => upload.put(1, randomBytes(30 * mebibyte))]) {
    const refused = await put().catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(UnavailableError)
    expect((refused as Error).message).toMatch(/disk with the objects is full/)
  }
  expect(await bucket.exists('large')).toBe(false)
  expect(sha256Of(await (await bucket.get('kept')).bytes())).toBe(sha256Of(kept))
  await mr.queue('others').enqueue('go on')
  // What was written of them makes room again, without anybody's help.
  await until('what was refused is gone', () => bucket.put('next', randomBytes(15 * mebibyte)), { within: 20_000 })
  expect(await bucket.info()).toMatchObject({ objects: 2, bytes: 20 * mebibyte })
})

describe('an S3 server that is not there', () => {
  test('the server starts and does everything else; with S3 all is well, and no secret was logged', async () => {
    const s3 = await startS3()
    onTestFinished(() => s3.stop())
    const proxy = await TcpProxy.start(Number(new URL(s3.endpoint).port))
    onTestFinished(() => proxy[Symbol.dispose]())
    proxy.refuse()
    const env = { ...s3.env, AWS_SECRET_ACCESS_KEY: 'a-secret-that-nobody-sees' }
    const url = `s3://${s3.bucket}?endpoint=http://127.0.0.1:${proxy.port}`
    await using server = await startServer({ flags: ['--objects', url, '--log-level', 'debug'], env })
    const mr = clientOf(server, impatient)
    await mr.queue('others').enqueue('go on')
    const bucket = mr.bucket('waiting')
    await bucket.create()
    const refused = await bucket.put('k', 'text').catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(UnavailableError)
    expect((refused as Error).message).toMatch(/S3 server with the objects cannot be used/)
    await expect(bucket.get('k')).rejects.toBeInstanceOf(NotFoundError)
    const healthOf = async (service: string) => (await mr.cluster.services()).find(({ name }) => name === service)!
    expect(await healthOf('objects')).toMatchObject({ healthy: false, detail: expect.stringMatching(/Check that the server runs/) })
    expect(await healthOf('queues')).toMatchObject({ healthy: true })

    proxy.heal()
    await until('it is healthy', async () => (await healthOf('objects')).healthy) // it looks once a second
    await bucket.put('k', randomBytes(20 * mebibyte))
    // In the middle of reading and of writing.
    const reading = await bucket.get('k')
    const chunks = reading[Symbol.asyncIterator]()
    await chunks.next()
    async function* interrupted() {
      yield randomBytes(12 * mebibyte)
      proxy.refuse()
      yield randomBytes(12 * mebibyte)
    }
    await expect(bucket.put('k', interrupted())).rejects.toBeInstanceOf(UnavailableError)
    const rest = (async () => {
      for (;;) if ((await chunks.next()).done) return
    })()
    await expect(rest).rejects.toBeInstanceOf(UnavailableError)

    proxy.heal()
    expect((await (await bucket.get('k')).bytes()).length).toBe(20 * mebibyte)
    expect(server.log).not.toMatch(/a-secret-that-nobody-sees/)
  })
})

describe('bytes that changed on the disk', () => {
  const fixture = useServer()

  test.each(clients)('are not taken for the object: $name', async (kind) => {
    const bucket = clientMaker(fixture, kind).clientOf().bucket(freshName('damaged').toLowerCase())
    await bucket.create()
    const { etag } = await bucket.put('k', randomBytes(3 * mebibyte))
    const file = filesIn(join(fixture.server.data, 'objects')).find((path) => sha256Of(readFileSync(path)) === etag)!
    const bytes = readFileSync(file)
    bytes[1_000_000]! ^= 1
    writeFileSync(file, bytes)
    // A page has no SHA-256 that takes bytes as they come; HTTP leaves it to TLS and the disk.
    if (kind.name.includes('gRPC')) await expect((await bucket.get('k')).bytes()).rejects.toThrow(InternalError)
    truncateSync(file, 2 * mebibyte)
    const cut = await (await bucket.get('k')).bytes().catch((error: unknown) => error)
    expect(cut).toBeInstanceOf(MillraceError)
    expect(fixture.server.child.exitCode).toBeNull()
  })
})

describe('an upload that breaks off', () => {
  const fixture = useServer()
  const newBucket = async () => {
    const namespace = freshName()
    const bucket = fixture.client({ namespace }).bucket('broken')
    await bucket.create()
    await bucket.put('k', 'old')
    return { bucket, namespace }
  }

  test('over HTTP', async () => {
    const { bucket, namespace } = await newBucket()
    const { http, key } = fixture.server
    const [host, port] = http.split(':')
    for (const length of ['content-length: 1000', 'transfer-encoding: chunked']) {
      const socket = connect(Number(port), host)
      const head = [`PUT /v1/buckets/broken/objects/k HTTP/1.1`, `host: ${http}`, `x-api-key: ${key}`, `millrace-namespace: ${namespace}`]
      socket.write(`${[...head, length].join('\r\n')}\r\n\r\n5\r\nhello\r\n`)
      await once(socket, 'connect')
      socket.end()
      socket.resume()
      await once(socket, 'close')
    }
    expect(await (await bucket.get('k')).text()).toBe('old')
  })

  test('over gRPC: the call is reset, or ends without the digest that was announced', async () => {
    const { bucket, namespace } = await newBucket()
    const { endpoint, key } = fixture.server
    const [host, port] = endpoint.split(':')
    const frame = (type: number, flags: number, stream: number, payload: Uint8Array) => {
      const head = Buffer.alloc(9)
      head.writeUIntBE(payload.length, 0, 3)
      head.writeUInt8(type, 3)
      head.writeUInt8(flags, 4)
      head.writeUInt32BE(stream, 5)
      return Buffer.concat([head, payload])
    }
    const text = (value: string) => Buffer.concat([Buffer.of(value.length), Buffer.from(value)])
    const literal = ([name, value]: [string, string]) => Buffer.concat([Buffer.of(0), text(name), text(value)])
    const message = (field: 1 | 2, bytes: Uint8Array) =>
      Buffer.concat([Buffer.of(0, 0, 0, 0, bytes.length + 2, field * 8 + 2, bytes.length), bytes])
    const [headers, data, reset] = [1, 0, 3]
    const [endHeaders, endStream, cancel] = [4, 1, Buffer.of(0, 0, 0, 8)]
    const fields = {
      ':method': 'POST',
      ':scheme': 'http',
      ':path': '/millrace.v1.ObjectService/PutObject',
      ':authority': endpoint,
      'content-type': 'application/grpc',
      te: 'trailers',
      'x-api-key': key,
      'millrace-namespace': namespace,
    }
    const putHeader = message(1, Buffer.concat([Buffer.of(10), text('broken'), Buffer.of(18), text('k')]))
    const bytes = frame(data, 0, 1, Buffer.concat([putHeader, message(2, Buffer.from('hello'))]))
    const end = frame(data, endStream, 1, Buffer.alloc(0))
    const send = async (more: Record<string, string>, last: Uint8Array) => {
      const socket = connect(Number(port), host)
      const begin = frame(headers, endHeaders, 1, Buffer.concat(Object.entries({ ...fields, ...more }).map(literal)))
      socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, Buffer.alloc(0)), begin, bytes]))
      socket.resume()
      await setTimeout(100)
      socket.write(last)
      await setTimeout(200)
      socket.destroy()
      return (await bucket.get('k')).text()
    }
    for (let i = 0; i < 5; i++) expect(await send({}, frame(reset, 0, 1, cancel))).toBe('old')
    expect(await send({ 'millrace-digest': 'trailer' }, Buffer.concat([end, frame(reset, 0, 1, cancel)]))).toBe('old')
    expect(await send({ 'millrace-digest': 'trailer' }, end)).toBe('old')
    expect(await send({}, end)).toBe('hello')
  })

  test('over gRPC: other bytes than the header or the digest says', async () => {
    const { bucket, namespace } = await newBucket()
    const raw = fixture.raw('ObjectService', { namespace })
    const header = (more: object) => ({ header: { bucket: 'broken', key: 'k', ...more } })
    const data = { data: Buffer.from('hello') }
    const digest = sha256Of(Buffer.from('hello'))
    for (const [requests, path] of [
      [[header({ size: 6 }), data], 'size'],
      [[header({ size: 4 }), data], 'size'],
      [[header({ sha256: digest.replace(/^./, 'x') }), data], 'sha256'],
      [[header({ sha256: sha256Of(Buffer.from('other')) }), data], 'sha256'],
      [[header({}), data, { sha256: sha256Of(Buffer.from('other')) }], 'sha256'],
      [[header({}), { sha256: digest }, data], 'data'],
      [[data], 'header'],
      [[], 'header'],
    ] as const) {
      const error = await raw.send('putObject', requests).catch((thrown: Error) => thrown)
      expect(String(error)).toMatch(new RegExp(`INVALID_ARGUMENT.*${path}`))
    }
    expect(await (await bucket.get('k')).text()).toBe('old')
    await raw.send('putObject', [header({ size: 5, sha256: digest }), data, { sha256: digest }])
    expect(await (await bucket.get('k')).text()).toBe('hello')
  })
})
