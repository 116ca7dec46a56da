import { createHash, randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { ConflictError, NotFoundError, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { clientMaker, clients } from '../harness/every-client.ts'
import { useObjectBackends } from '../harness/object-backends.ts'

const kinds = (await useObjectBackends()).flatMap((backend) => clients.map((client) => ({ backend, client })))
const sha256Of = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

describe.each(kinds)('$backend.name, $client.name', ({ backend: { fixture }, client: kind }) => {
  const { clientOf } = clientMaker(fixture, kind)
  const newBucket = async (name = 'raw') => {
    const bucket = clientOf().bucket(name)
    await bucket.create()
    return bucket
  }

  describe('buckets', () => {
    test('are made, listed, described and deleted', async () => {
      const mr = clientOf()
      await mr.bucket('mybucket').create({ tags: { organization: 'my-org' } })
      await mr.bucket('another').create({ policy: 'public-read', lifecycle: [{ prefix: 'tmp/', expireAfter: '1d' }] })
      expect((await mr.buckets.list()).items.map(({ name }) => name)).toEqual(['another', 'mybucket'])
      await mr.bucket('mybucket').put('a', 'hello')
      expect(await mr.bucket('mybucket').info()).toMatchObject({
        policy: 'private',
        tags: { organization: 'my-org' },
        objects: 1,
        bytes: 5,
      })
      expect(await mr.bucket('another').info()).toMatchObject({ lifecycle: [{ prefix: 'tmp/', expireAfter: 86_400_000 }] })
      expect(await mr.bucket('mybucket').update({ tags: {} })).toMatchObject({ tags: {}, policy: 'private' })
      await expect(mr.bucket('mybucket').create()).rejects.toBeInstanceOf(ConflictError)
      await expect(mr.bucket('mybucket').drop()).rejects.toThrow(/not empty/)
      expect(await mr.bucket('mybucket').drop({ force: true })).toBe(true)
      expect(await mr.bucket('mybucket').drop()).toBe(false)
      await expect(mr.bucket('mybucket').info()).rejects.toBeInstanceOf(NotFoundError)
    })

    test.each([
      ['my_bucket', /underscore/],
      ['MyBucket', /lower case/],
      ['ab', /3 to 63/],
      ['-abc', /begin and end/],
      ['a..b', /two dots/],
      ['192.168.0.1', /IP address/],
      ['xn--abc', /xn--/],
      ['../../etc', /letters, digits/],
    ])('a bad name: %s', async (name, rule) => {
      const error: unknown = await clientOf()
        .bucket(name)
        .create()
        .catch((thrown: unknown) => thrown) // prettier-ignore
      expect(error).toBeInstanceOf(ValidationError)
      expect((error as ValidationError).fields[0]).toMatchObject({ path: 'bucket', message: expect.stringMatching(rule) })
    })
  })

  describe('objects', () => {
    test('are uploaded, listed, described and read', async () => {
      const bucket = await newBucket()
      const data = 'Hello World!'
      const result = await bucket.put('path/to/file.txt', data, { contentType: 'text/plain', metadata: { team: 'blü' } })
      expect(result).toMatchObject({ key: 'path/to/file.txt', etag: sha256Of(data), sha256: sha256Of(data), size: 12 })
      await bucket.put('other', new Uint8Array([1, 2, 3]))
      const objects = (await bucket.list({ prefix: 'path/', limit: 100 })).items
      expect(objects).toMatchObject([{ key: 'path/to/file.txt', size: 12 }])
      const read = await bucket.get('path/to/file.txt')
      expect(read.info).toMatchObject({ contentType: 'text/plain', metadata: { team: 'blü' }, updatedAt: result.updatedAt })
      expect(await read.text()).toBe(data)
      expect([...(await (await bucket.get('other')).bytes())]).toEqual([1, 2, 3])
      expect(await bucket.stat('path/to/file.txt')).toMatchObject({ size: 12, metadata: { team: 'blü' } })
      expect(await bucket.stat('none')).toBeUndefined()
      await expect(bucket.get('none')).rejects.toBeInstanceOf(NotFoundError)
      expect(await bucket.delete('other')).toBe(true)
      expect(await bucket.delete('other')).toBe(false)
      expect(await bucket.delete(['path/to/file.txt', 'none'])).toEqual(['path/to/file.txt'])
    })

    test('of any kind of body, also none', async () => {
      const bucket = await newBucket()
      const bytes = randomBytes(300_000)
      async function* chunks() {
        for (let at = 0; at < bytes.length; at += 7000) yield bytes.subarray(at, at + 7000)
      }
      const bodies = [
        bytes,
        bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
        new Blob([bytes]),
        chunks(),
        new Blob([bytes]).stream(),
      ]
      for (const body of bodies) {
        expect(await bucket.put('k', body as Uint8Array)).toMatchObject({ size: 300_000, etag: sha256Of(bytes) })
        expect(sha256Of(await (await bucket.get('k')).bytes())).toBe(sha256Of(bytes))
      }
      await bucket.put('empty', '')
      expect(await (await bucket.get('empty')).text()).toBe('')
      await bucket.put('json', JSON.stringify({ a: 1 }), { contentType: 'application/json' })
      expect(await (await bucket.get('json')).json()).toEqual({ a: 1 })
    })

    test('in parts: from, to, from the end, and beyond', async () => {
      const bucket = await newBucket()
      await bucket.put('digits', '0123456789')
      const read = async (options: object) => (await bucket.get('digits', options)).text()
      expect(await read({ offset: 3 })).toBe('3456789')
      expect(await read({ offset: 3, length: 4 })).toBe('3456')
      expect(await read({ offset: -2 })).toBe('89')
      expect(await read({ offset: 8, length: 100 })).toBe('89')
      await expect(read({ offset: 10 })).rejects.toBeInstanceOf(ValidationError)
      const part = await bucket.get('digits', { offset: 2, length: 3 })
      expect([part.offset, part.length, part.info.size]).toEqual([2, 3, 10])
      await part.cancel()
    })

    test('on conditions', async () => {
      const bucket = await newBucket()
      const { etag } = await bucket.put('k', '1', { ifNoneMatch: '*' })
      await expect(bucket.put('k', '2', { ifNoneMatch: '*' })).rejects.toBeInstanceOf(ConflictError)
      await bucket.put('k', '2', { ifMatch: etag })
      await expect(bucket.put('k', '3', { ifMatch: etag })).rejects.toBeInstanceOf(ConflictError)
      const now = (await bucket.stat('k'))!.etag
      expect(await bucket.get('k', { ifNoneMatch: now })).toBeUndefined()
      expect(await (await bucket.get('k', { ifNoneMatch: etag }))!.text()).toBe('2')
      await expect(bucket.get('k', { ifMatch: etag })).rejects.toBeInstanceOf(ConflictError)
      await expect(bucket.delete('k', { ifMatch: etag })).rejects.toBeInstanceOf(ConflictError)
      expect(await bucket.delete('k', { ifMatch: now })).toBe(true)
    })

    test('are listed by prefix and delimiter, page by page', async () => {
      const bucket = await newBucket()
      const keys = ['a', 'photos/2025/1', 'photos/2025/2', 'photos/2026/1', 'photos/cover', 'z/1', 'ü']
      for (const key of keys) await bucket.put(key, key)
      const show = (item: { prefix: string } | { key: string }) => ('prefix' in item ? item.prefix : item.key)
      const walk = async (options: { prefix?: string; delimiter?: string; limit?: number }) => {
        const seen: string[] = []
        for await (const item of bucket.list(options as { delimiter: string })) seen.push(show(item))
        return seen.sort()
      }
      for (const limit of [1, 2, 3, 100]) {
        expect(await walk({ limit })).toEqual(keys)
        expect(await walk({ delimiter: '/', limit })).toEqual(['a', 'photos/', 'z/', 'ü'])
        expect(await walk({ prefix: 'photos/', delimiter: '/', limit })).toEqual(['photos/2025/', 'photos/2026/', 'photos/cover'])
        expect(await walk({ prefix: 'photos/20', limit })).toEqual(keys.slice(1, 4))
      }
    })

    test('are copied and moved', async () => {
      const mr = clientOf()
      const [from, to] = [mr.bucket('from-here'), mr.bucket('to-there')]
      await from.create()
      await to.create()
      await from.put('k', 'text', { contentType: 'text/plain', metadata: { a: '1' } })
      expect(await from.copy('k', 'copy', { bucket: 'to-there' })).toMatchObject({
        bucket: 'to-there',
        contentType: 'text/plain',
        metadata: { a: '1' },
      })
      expect(await from.move('k', 'new', { contentType: 'text/html' })).toMatchObject({
        key: 'new',
        contentType: 'text/html',
        metadata: {},
      })
      expect(await from.exists('k')).toBe(false)
      expect(await (await to.get('copy')).text()).toBe('text')
      await expect(from.move('new', 'copy', { bucket: 'to-there', ifNoneMatch: '*' })).rejects.toBeInstanceOf(ConflictError)
      await expect(from.copy('none', 'x')).rejects.toBeInstanceOf(NotFoundError)
    })

    test('in uploads of several parts, in any order, resumed and aborted', async () => {
      const bucket = await newBucket()
      const parts = [randomBytes(100_000), randomBytes(50_000), randomBytes(7)]
      const upload = await bucket.createUpload('large.bin', { contentType: 'x/y' })
      await upload.put(3, parts[2]!)
      await upload.put(1, 'not this')
      await upload.put(1, parts[0]!)
      const resumed = bucket.resumeUpload((await bucket.uploads()).items[0]!.uploadId)
      expect((await resumed.parts()).map(({ part, size }) => [part, size])).toEqual([
        [1, 100_000],
        [3, 7],
      ]) // prettier-ignore
      await resumed.put(2, parts[1]!)
      const whole = Buffer.concat(parts)
      expect(await resumed.complete()).toMatchObject({
        key: 'large.bin',
        size: whole.length,
        contentType: 'x/y',
        etag: expect.stringMatching(/-3$/),
      })
      expect(sha256Of(await (await bucket.get('large.bin')).bytes())).toBe(sha256Of(whole))
      expect(await (await bucket.get('large.bin', { offset: 99_990, length: 20 })).bytes()).toEqual(
        new Uint8Array(whole.subarray(99_990, 100_010)),
      )
      await expect(resumed.put(4, 'late')).rejects.toBeInstanceOf(NotFoundError)
      const other = await bucket.createUpload('none')
      await other.put(1, 'x')
      await expect(other.complete({ parts: [1, 2] })).rejects.toThrow(/no part 2/)
      expect(await other.abort()).toBe(true)
      expect(await other.abort()).toBe(false)
      expect((await bucket.uploads()).items).toEqual([])
    })

    test('by URLs that need no key', async () => {
      const bucket = await newBucket()
      await bucket.put('path/to/file ü.txt', 'text')
      const url = await bucket.presign('path/to/file ü.txt', { expiresIn: '5m' })
      expect(await (await fetch(url)).text()).toBe('text')
      expect((await fetch(url, { method: 'HEAD' })).headers.get('content-length')).toBe('4')
      expect((await fetch(url, { method: 'PUT', body: 'x' })).status).toBe(403)
      expect((await fetch(url.replace('file', 'life'))).status).toBe(401)
      expect((await fetch(url.replace(/expires=\d/, 'expires=9'))).status).toBe(401)
      const put = await bucket.presign('new', { method: 'PUT', contentType: 'text/plain' })
      expect((await fetch(put, { method: 'PUT', body: 'x', headers: { 'content-type': 'text/html' } })).status).toBe(403)
      expect((await fetch(put, { method: 'PUT', body: 'x', headers: { 'content-type': 'text/plain' } })).status).toBe(200)
      expect((await fetch(put)).status).toBe(403)
      expect(await (await bucket.get('new')).text()).toBe('x')
    })

    test('over HTTP as browsers, proxies and curl ask for them', async () => {
      const bucket = await newBucket()
      const { etag } = await bucket.put('ten', '0123456789')
      await bucket.put('empty', '')
      const get = async (key: string, headers: Record<string, string>) => {
        const response = await fetch(await bucket.presign(key), { headers })
        return [response.status, await response.text(), response.headers.get('content-range')]
      }
      expect(await get('ten', { range: 'bytes=-3' })).toEqual([206, '789', 'bytes 7-9/10'])
      expect((await get('ten', { range: 'bytes=10-' }))[0]).toBe(416)
      for (const range of ['bytes=-5', 'bytes=0-', 'bytes=0-4']) expect(await get('empty', { range }), range).toEqual([200, '', null])
      expect((await get('ten', { 'if-none-match': `"other", W/"${etag}"` }))[0]).toBe(304)
      expect((await get('ten', { 'if-none-match': '"other", "another"' }))[0]).toBe(200)
      expect((await get('ten', { 'if-match': `"other", "${etag}"` }))[0]).toBe(200)
      expect((await get('ten', { 'if-match': '"other", "another"' }))[0]).toBe(412)
      // What curl -C sends: the rest alone.
      const put = await bucket.presign('ten', { method: 'PUT' })
      const response = await fetch(put, { method: 'PUT', body: '789', headers: { 'content-range': 'bytes 7-9/10' } })
      expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('in parts')])
      expect(await (await bucket.get('ten')).text()).toBe('0123456789')
    })

    test('over HTTP on conditions of every form', async () => {
      const bucket = await newBucket()
      const { etag } = await bucket.put('k', '0')
      const [read, write] = [await bucket.presign('k'), await bucket.presign('k', { method: 'PUT' })]
      const put = async (headers: Record<string, string>, body = '0') => (await fetch(write, { method: 'PUT', body, headers })).status
      expect(await put({ 'if-match': '""' }, 'no')).toBe(400)
      expect(await put({ 'if-match': '' }, 'no')).toBe(400)
      expect(await put({ 'if-match': '"other", "another"' }, 'no')).toBe(412)
      expect(await put({ 'if-match': `W/"${etag}"` }, 'no')).toBe(412)
      expect(await (await bucket.get('k')).text()).toBe('0')
      expect(await put({ 'if-match': `"other", "${etag}"` })).toBe(200)
      expect(await put({ 'if-match': '*' })).toBe(200)
      // A client that has the object is told so, whatever it asks for beside.
      const known = await fetch(read, { headers: { 'if-none-match': `"${etag}"`, range: 'bytes=9-' } })
      expect(known.status).toBe(304)
      // What curl sends is UTF-8, one byte of it for each character that fetch takes.
      const curled = Buffer.from(JSON.stringify({ team: 'blü€' })).toString('latin1')
      expect(await put({ 'millrace-metadata': curled })).toBe(200)
      expect(await bucket.stat('k')).toMatchObject({ metadata: { team: 'blü€' } })
      expect(await put({ 'millrace-metadata': JSON.stringify({ team: 'blü' }) })).toBe(200)
      expect(await bucket.stat('k')).toMatchObject({ metadata: { team: 'blü' } })
    })

    test('of public buckets by everybody, and of private ones by nobody', async () => {
      const bucket = await newBucket()
      await bucket.put('index.html', '<script>', { contentType: 'text/html' })
      const { publicUrl } = await bucket.info()
      expect((await fetch(`${publicUrl}index.html`)).status).toBe(404)
      await bucket.update({ policy: 'public-read' })
      const response = await fetch(`${publicUrl}index.html`)
      expect([response.status, await response.text()]).toEqual([200, '<script>'])
      expect(response.headers.get('content-security-policy')).toContain('sandbox')
      expect((await fetch(`${publicUrl}index.html`, { method: 'PUT', body: 'x' })).status).toBe(405)
      await bucket.update({ policy: 'private' })
      expect((await fetch(`${publicUrl}index.html`)).status).toBe(404)
    })
  })

  describe('bad input', () => {
    test.each([
      ['an empty key', ''],
      ['a control character', 'a\nb'],
      ['a key of 1025 bytes', `${'ü'.repeat(512)}x`],
      ['a way up', 'a/../../b'],
      ['a dot', './a'],
    ])('%s', async (_, key) => {
      const bucket = await newBucket()
      for (const call of [() => bucket.put(key, 'x'), () => bucket.stat(key), () => bucket.delete(key), () => bucket.copy('a', key)]) {
        await expect(call()).rejects.toBeInstanceOf(ValidationError)
      }
      expect((await bucket.list()).items).toEqual([])
    })

    test('other bytes than were announced leave what was there', async () => {
      const bucket = await newBucket()
      await bucket.put('k', 'old')
      await expect(bucket.put('k', 'new', { sha256: sha256Of('other') })).rejects.toBeInstanceOf(ValidationError)
      async function* broken() {
        yield 'new'
        throw new Error('the source broke')
      }
      await expect(bucket.put('k', broken())).rejects.toThrow('the source broke')
      const stop = new AbortController()
      async function* endless() {
        yield 'new'
        stop.abort()
        await new Promise(() => {})
      }
      if (kind.name.includes('gRPC'))
        await expect(bucket.put('k', endless(), { signal: stop.signal })).rejects.toMatchObject({ name: 'AbortError' })
      expect(await (await bucket.get('k')).text()).toBe('old')
      await expect(clientOf().bucket('nowhere').put('k', 'x')).rejects.toBeInstanceOf(NotFoundError)
      await expect(bucket.put('k', 'x', { metadata: { 'not a name': 'x' } })).rejects.toBeInstanceOf(ValidationError)
    })

    test('an upload that is aborted on its way leaves what was there, however much of it has come', async ({ skip }) => {
      skip(!kind.name.includes('gRPC'), 'the web client gathers a stream before it sends it')
      const bucket = await newBucket()
      await bucket.put('k', 'old')
      for (let i = 0; i < 20; i++) {
        const stop = new AbortController()
        async function* cut() {
          for (let chunk = 0; chunk < 5 + i; chunk++) {
            yield new Uint8Array(100_000)
            await setTimeout(2)
          }
          stop.abort()
          yield new Uint8Array(100_000)
        }
        await expect(bucket.put('k', cut(), { signal: stop.signal })).rejects.toMatchObject({ name: 'AbortError' })
      }
      // Whatever the server took for whole would be in its place by now.
      await setTimeout(200)
      expect(await bucket.stat('k')).toMatchObject({ size: 3, etag: sha256Of('old') })
    })
  })
})
