import { randomBytes } from 'node:crypto'
import { type S3, startS3 } from '@millrace/dev'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Fault, FaultyHttp, type Seen } from '../../../testing/faulty-http.ts'
import { S3Backend } from './s3-backend.ts'

const mebibyte = 1024 ** 2
const bytes = randomBytes(20 * mebibyte)

let s3: S3
let proxy: FaultyHttp
let names = 0
beforeAll(async () => {
  s3 = await startS3()
})
afterAll(() => s3.stop())
beforeEach(async () => {
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value)
  proxy = await FaultyHttp.before(s3.endpoint)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await proxy[Symbol.asyncDispose]()
})

function open({
  stillMs,
  ...options
}: {
  readonly bucket?: string
  readonly endpoint?: string
  readonly stillMs?: number
} = {}): S3Backend {
  return new S3Backend({ bucket: s3.bucket, prefix: 'faults/', endpoint: proxy.endpoint, pathStyle: true, ...options }, stillMs)
}

async function* inChunks(of: Uint8Array = bytes): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < of.length; at += 65_536) yield of.subarray(at, at + 65_536)
}

/** A blob that is there. */
async function kept(of: Uint8Array = bytes): Promise<string> {
  const name = `blob${++names}`
  const backend = open({ endpoint: s3.endpoint })
  await backend.write(name, inChunks(of), of.length)
  await backend.close()
  return name
}

async function gathered(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const xml = (status: number, code: string): Fault => ({
  answer: { status, body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>Because.</Message></Error>` },
})
const isPart = ({ url }: Seen) => url.includes('partNumber=')
const isCompletion = ({ method, url }: Seen) => method === 'POST' && url.includes('uploadId=')

/** The first requests that something is true of go wrong. */
function first(count: number, isIt: (request: Seen) => boolean, fault: Fault): (request: Seen) => Fault | undefined {
  let left = count
  return (request) => (isIt(request) && left-- > 0 ? fault : undefined)
}

async function uploads(): Promise<number> {
  const answer = await fetch(`${s3.endpoint}/${s3.bucket}?uploads`, {
    headers: { authorization: 'AWS S3RVER:x', date: new Date().toUTCString() },
  })
  return (await answer.text()).split('<Upload>').length - 1
}

async function thrownBy(work: Promise<unknown>): Promise<{ readonly reason: string; readonly message: string; readonly cause: unknown }> {
  return work.then(
    () => expect.fail('It should have failed.'),
    (error) => error,
  )
}

describe('what passes', () => {
  it.each([
    ['SlowDown', 503],
    ['InternalError', 500],
  ])('%s, in every kind of request', async (code, status) => {
    const failed = new Set<string>()
    proxy.fault = ({ method, url }) => {
      const kind = `${method} ${url.replace(/=[^&]*/g, '').replace(/blob\d+/, '')}`
      if (failed.has(kind)) return undefined
      failed.add(kind)
      return xml(status, code)
    }
    const backend = open()
    await backend.write('large', inChunks(), bytes.length)
    await backend.write('small', inChunks(Buffer.from('x')), 1)
    expect((await gathered(backend.read('large', { start: 0, length: bytes.length }))).equals(bytes)).toBe(true)
    await backend.delete([
      { name: 'large', whole: false },
      { name: 'small', whole: true },
    ])
    await backend.check()
    expect(failed.size).toBeGreaterThanOrEqual(7)
  })

  it('an answer that breaks off, ends early or stands still: reading goes on where it was', async () => {
    const name = await kept()
    const backend = open({ stillMs: 200 })
    for (const fault of [{ cutAnswer: 3 * mebibyte }, { stopAnswer: 3 * mebibyte }]) {
      proxy.seen.length = 0
      proxy.fault = ({ method }) => (method === 'GET' ? fault : undefined)
      const read = await gathered(backend.read(name, { start: 5, length: bytes.length - 10 }))
      expect(read.equals(bytes.subarray(5, -5))).toBe(true)
      expect(proxy.seen.length).toBeGreaterThanOrEqual(6)
    }
  })

  it('a part whose connection breaks', async () => {
    proxy.fault = first(2, isPart, { cutSent: 1000 })
    const name = `blob${++names}`
    const backend = open()
    await backend.write(name, inChunks(), bytes.length)
    expect((await gathered(backend.read(name, { start: 0, length: bytes.length }))).equals(bytes)).toBe(true)
  })

  it('an upload that is complete, while the answer is lost', async () => {
    let completions = 0
    proxy.fault = (request) => {
      if (!isCompletion(request)) return undefined
      return ++completions === 1 ? { cutAnswer: 1 } : xml(404, 'NoSuchUpload')
    }
    const name = `blob${++names}`
    await open().write(name, inChunks(), bytes.length)
    expect(completions).toBe(2)
  })
})

describe('what stays', () => {
  it('a server that is not reached: UNAVAILABLE, and check says where and what to do', async () => {
    const backend = open({ endpoint: 'http://127.0.0.1:1' })
    for (const work of [
      () => backend.write('x', inChunks(), 1e9),
      () => gathered(backend.read('x', { start: 0, length: 1 })),
      () => backend.delete([{ name: 'x', whole: true }]),
    ]) {
      expect(await thrownBy(work())).toMatchObject({ reason: 'UNAVAILABLE', message: expect.stringContaining('ECONNREFUSED') })
    }
    expect((await thrownBy(backend.check())).message).toMatch(
      /ECONNREFUSED.*'millrace' at http:\/\/127\.0\.0\.1:1\..*Check that the server runs/,
    )
  })

  it('a server that says nothing: check does not wait for it', async () => {
    proxy.fault = () => ({ stopAnswer: 0 })
    expect((await thrownBy(open().check())).message).toMatch(/cannot be used \(TimeoutError\).*Check that the server runs/)
  })

  it('a bucket that is not there', async () => {
    const backend = open({ bucket: 'nowhere' })
    expect(await thrownBy(backend.write('x', inChunks(), 1e9))).toMatchObject({ reason: 'UNAVAILABLE' })
    expect((await thrownBy(backend.check())).message).toMatch(/not there.*'nowhere'.*Make the bucket/)
  })

  it('credentials that are refused, and they are shown nowhere', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'unknown-key-id')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'a-secret')
    const backend = open()
    const errors = [await thrownBy(backend.check()), await thrownBy(backend.write('x', inChunks(), 1e9))]
    expect(errors[0]!.message).toMatch(/refuses.*InvalidAccessKeyId.*Check AWS_ACCESS_KEY_ID/)
    for (const error of errors) {
      expect(error.reason).toBe('UNAVAILABLE')
      expect(`${error.message}${JSON.stringify(error)}${error.cause}${JSON.stringify(error.cause)}`).not.toMatch(/unknown-key-id|a-secret/)
    }
  })

  it('a 403 in the middle of an upload: what was sent is removed', async () => {
    proxy.fault = first(1000, ({ url }) => url.includes('partNumber=2'), xml(403, 'AccessDenied'))
    const error = await thrownBy(open().write(`blob${++names}`, inChunks(), bytes.length))
    expect(error).toMatchObject({ reason: 'UNAVAILABLE', message: expect.stringContaining('AccessDenied') })
    expect(await uploads()).toBe(0)
  })

  it('a server that goes away in the middle of an upload: what was sent is removed with the blob', async () => {
    const name = `blob${++names}`
    let isGone = false
    proxy.fault = (request) => {
      if (request.url.includes('partNumber=2')) isGone = true
      return isGone ? { cutSent: 0 } : undefined
    }
    const error = await thrownBy(open().write(name, inChunks(), bytes.length))
    expect(error).toMatchObject({ reason: 'UNAVAILABLE' })
    expect(await uploads()).toBe(1)
    proxy.fault = () => undefined
    await open().delete([{ name, whole: false }])
    expect(await uploads()).toBe(0)
  })

  it('answers that always break off before their first byte', async () => {
    const name = await kept()
    proxy.fault = ({ method }) => (method === 'GET' ? { cutAnswer: 0 } : undefined)
    expect(await thrownBy(gathered(open().read(name, { start: 0, length: 10 })))).toMatchObject({ reason: 'UNAVAILABLE' })
    expect(proxy.seen.length).toBeLessThan(20)
  })

  it('an object that is shorter than it should be', async () => {
    const name = await kept(Buffer.from('0123456789'))
    await expect(gathered(open().read(name, { start: 0, length: 11 }))).rejects.toThrow(/shorter than it should be/)
    await expect(gathered(open().read('none', { start: 0, length: 11 }))).rejects.toThrow(/not there/)
  })

  it('deletions that are refused, key by key', async () => {
    const body = '<DeleteResult><Error><Key>faults/b</Key><Code>AccessDenied</Code><Message>Locked.</Message></Error></DeleteResult>'
    proxy.fault = ({ method }) => (method === 'POST' ? { answer: { status: 200, body } } : undefined)
    const blobs = ['a', 'b'].map((name) => ({ name, whole: true }))
    await expect(open().delete(blobs)).rejects.toThrow('1 of 2 objects, among them faults/b (AccessDenied: Locked.)')
  })
})

describe('connections', () => {
  it('end with readers that leave, and with the backend', async () => {
    const name = await kept()
    const backend = open()
    for (let i = 0; i < 30; i++) {
      for await (const chunk of backend.read(name, { start: 0, length: bytes.length })) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
    }
    await expect.poll(() => proxy.connections()).toBeLessThanOrEqual(1)
    await backend.close()
    await expect.poll(() => proxy.connections()).toBe(0)
  })

  it('are used again', async () => {
    const name = await kept(Buffer.from('0123456789'))
    const backend = open()
    for (let i = 0; i < 20; i++) expect(String(await gathered(backend.read(name, { start: 1, length: 5 })))).toBe('12345')
    expect(proxy.opened).toBe(1)
    await backend.close()
  })

  it('are given back by a reader that pauses, who reads on later', async () => {
    const name = await kept()
    const backend = open({ stillMs: 50 })
    const reader = backend.read(name, { start: 0, length: bytes.length })[Symbol.asyncIterator]()
    const chunks = [(await reader.next()).value as Uint8Array]
    await expect.poll(() => proxy.connections()).toBe(0)
    for await (const chunk of { [Symbol.asyncIterator]: () => reader }) chunks.push(chunk)
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
    await backend.close()
  })

  it('end with a writer that leaves while its parts are on their way', async () => {
    proxy.fault = (request) => (isPart(request) ? { stopAnswer: 0 } : undefined)
    async function* leaving() {
      yield* inChunks(bytes.subarray(0, 9 * mebibyte))
      await vi.waitFor(() => expect(proxy.seen.some(isPart)).toBe(true))
      throw new RangeError('left')
    }
    const backend = open()
    await expect(backend.write(`blob${++names}`, leaving(), 1e9)).rejects.toThrow(RangeError)
    expect(await uploads()).toBe(0)
    await backend.close()
    await expect.poll(() => proxy.connections()).toBe(0)
  })
})
