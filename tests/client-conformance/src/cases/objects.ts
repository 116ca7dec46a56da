import { type Case, collect, failureOf } from '../kit.ts'

export const objectCases: readonly Case[] = [
  {
    name: 'objects are written, read in part and whole, listed, moved and deleted',
    expected: {
      etag: '7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069',
      info: { size: 12, contentType: 'text/plain', metadata: { team: 'blü' } },
      text: 'Hello World!',
      part: 'World',
      unchanged: true,
      bytes: [0, 255],
      listed: [{ prefix: 'a/' }, { key: 'b' }],
      moved: ['a/new', 'b'],
      absent: true,
      deleted: ['b'],
      buckets: ['raw'],
      held: { objects: 1, bytes: 12 },
    },
    async run(kit) {
      const mr = kit.client()
      const bucket = mr.bucket('raw')
      await bucket.create()
      const { etag } = await bucket.put('a/ö', 'Hello World!', { contentType: 'text/plain', metadata: { team: 'blü' } })
      await bucket.put('b', new Uint8Array([0, 255]))
      const whole = await bucket.get('a/ö')
      const { size, contentType, metadata } = whole.info
      const text = await whole.text()
      const part = await (await bucket.get('a/ö', { offset: 6, length: 5 })).text()
      const unchanged = (await bucket.get('a/ö', { ifNoneMatch: etag })) === undefined
      const bytes = [...(await (await bucket.get('b')).bytes())]
      const listed = (await bucket.list({ delimiter: '/' })).items.map((item) => ('prefix' in item ? item : { key: item.key }))
      await bucket.move('a/ö', 'a/new')
      const moved = (await collect(bucket.list())).map(({ key }) => key)
      const absent = (await bucket.stat('a/ö')) === undefined
      const deleted = await bucket.delete(['b', 'none'])
      const { objects, bytes: held } = await bucket.info()
      return {
        etag,
        info: { size, contentType, metadata },
        text,
        part,
        unchanged,
        bytes,
        listed,
        moved,
        absent,
        deleted,
        buckets: (await mr.buckets.list()).items.map(({ name }) => name),
        held: { objects, bytes: held },
      }
    },
  },
  {
    name: 'an object is sent in parts, in any order, and is whole when it is complete',
    expected: { before: true, parts: [1, 2], size: 6, text: 'abcdef', again: false },
    async run(kit) {
      const bucket = kit.client().bucket('parts')
      await bucket.create()
      const { uploadId } = await bucket.createUpload('k')
      const upload = bucket.resumeUpload(uploadId)
      await upload.put(2, 'def')
      await upload.put(1, 'abc')
      const before = (await bucket.stat('k')) === undefined
      const parts = (await upload.parts()).map(({ part }) => part)
      const { size } = await upload.complete()
      return { before, parts, size, text: await (await bucket.get('k')).text(), again: await upload.abort() }
    },
  },
  {
    name: 'an object that is not there, a condition that does not hold and bytes that are not those announced are refused',
    expected: {
      missing: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'object' },
      bucket: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'bucket' },
      taken: { name: 'ConflictError', code: 'ALREADY_EXISTS', statusCode: 409, requestId: 'given' },
      torn: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['sha256'] },
      kept: 'first',
    },
    async run(kit) {
      const bucket = kit.client().bucket('refusals')
      await bucket.create()
      await bucket.put('k', 'first')
      return {
        missing: await failureOf(bucket.get('none')),
        bucket: await failureOf(kit.client().bucket('nowhere').put('k', '')),
        taken: await failureOf(bucket.put('k', 'second', { ifNoneMatch: '*' })),
        torn: await failureOf(bucket.put('k', 'second', { sha256: '0'.repeat(64) })),
        kept: await (await bucket.get('k')).text(),
      }
    },
  },
]
