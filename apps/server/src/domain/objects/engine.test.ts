import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { DiskBackend } from '../../backends/objects/disk/disk-backend.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { ObjectEngine } from './engine.ts'
import { physicalName } from './names.ts'

const minute = 60_000
const settings = { publicRead: false, tags: {}, lifecycle: [] }
const head = { contentType: 'text/plain', metadata: {}, sha256: '', condition: {} }

/** An engine over a store and a folder of its own. */
async function open() {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-objects-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const clock = new ManualClock()
  const store = await openSqliteStore({
    path: ':memory:',
    now: clock.now,
    planRetry: () => undefined,
    defaultRetry: {} as never,
    defaultMaxDepth: 1,
  })
  const errors: unknown[] = []
  const start = () =>
    new ObjectEngine({
      objects: store.objects,
      backend: new DiskBackend(folder),
      clock,
      objectLimit: 1e9,
      onError: (error) => errors.push(error),
    })
  const engine = start()
  const scope = { tenant: await store.keys.tenant('one', clock.now()), namespace: '../a b/ü' }
  await engine.createBucket(scope, 'raw', settings)
  const name = (key: string) => ({ ...scope, bucket: 'raw', key })
  const put = (key: string, text: string) => engine.put({ ...head, name: name(key) }, [Buffer.from(text)] as never)
  const files = () => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const settledAt = (count: number) => vi.waitFor(() => expect(files()).toHaveLength(count))
  return { clock, store, engine, start, scope, name, put, files, settledAt, errors, folder }
}

it('keeps equal bytes once, and deletes bytes when the last object that needs them is gone', async () => {
  const { clock, engine, scope, name, put, files, settledAt, errors } = await open()
  await put('a', 'same')
  await put('b', 'same')
  await engine.copy(name('a'), name('c'), { remove: false, condition: {} })
  await clock.advance(minute)
  await settledAt(1)
  await engine.delete(scope, 'raw', ['a', 'b'])
  await clock.advance(60 * minute)
  expect(files()).toHaveLength(1)
  await put('c', 'other')
  await clock.advance(14 * minute)
  expect(files()).toHaveLength(2)
  await clock.advance(60 * minute)
  await settledAt(1)
  expect(errors).toEqual([])
})

it('collects what writers that died left, and never what is needed', async () => {
  const { clock, store, engine, start, scope, name, files, settledAt, folder } = await open()
  // A writer that died after its file was whole, and one in the middle of a part.
  await store.objects.begin(scope, 'dead', clock.now() + 10 * minute)
  await new DiskBackend(folder).write(physicalName(scope, 'dead'), [Buffer.from('torn')] as never)
  await engine.close()
  const second = start()
  const object = await second.put({ ...head, name: name('k') }, [Buffer.from('kept')] as never)
  expect(object.size).toBe(4)
  await clock.advance(120 * minute)
  await settledAt(1)
  const chunks: Buffer[] = []
  for await (const chunk of (await second.open(name('k'))).read()) chunks.push(Buffer.from(chunk))
  expect(Buffer.concat(chunks).toString()).toBe('kept')
  expect(files()).toHaveLength(1)
  await expect.poll(() => store.objects.waste(clock.now() + 1e12, 0, 10)).toEqual([])
  await second.close()
})

it('ends objects when the rules say so, also those that are there', async () => {
  const { clock, engine, scope, name, put, settledAt } = await open()
  await put('tmp/a', '1')
  await put('b', '2')
  await engine.updateBucket(scope, 'raw', { lifecycle: [{ prefix: 'tmp/', expireAfterMs: 10 * minute }] })
  expect((await engine.stat(name('tmp/a'))).expiresAt).toBe(clock.now() + 10 * minute)
  await clock.advance(10 * minute)
  await expect(engine.stat(name('tmp/a'))).rejects.toMatchObject({ reason: 'NOT_FOUND' })
  await clock.advance(60 * minute)
  await settledAt(1)
  expect((await engine.stat(name('b'))).size).toBe(1)
})

it('ends copies in time, too', async () => {
  const { clock, engine, scope, name, put } = await open()
  await engine.createBucket(scope, 'short', { ...settings, lifecycle: [{ prefix: '', expireAfterMs: minute }] })
  await put('a', '1')
  await clock.advance(30 * minute)
  await engine.copy(name('a'), { ...name('a'), bucket: 'short' }, { remove: false, condition: {} })
  await clock.advance(2 * minute)
  const list = () => engine.index.list(scope, 'short', { prefix: '', delimiter: '', after: '', limit: 10 })
  await vi.waitFor(async () => expect((await list()).objects).toEqual([]))
})

it('refuses an object whose bytes stopped for so long that what came was collected', async () => {
  const { clock, engine, name, put, settledAt, errors } = await open()
  const resumed = Promise.withResolvers<void>()
  async function* stalled() {
    yield Buffer.from('be')
    await resumed.promise
    yield Buffer.from('gun')
  }
  const slow = engine.put({ ...head, name: name('slow') }, stalled())
  await settledAt(1)
  await clock.advance(60 * minute)
  await settledAt(0)
  resumed.resolve()
  await expect(slow).rejects.toMatchObject({ reason: 'UNAVAILABLE' })
  await put('k', 'begun')
  expect(await engine.stat(name('k'))).toMatchObject({ size: 5 })
  await clock.advance(60 * minute)
  await settledAt(1)
  expect(errors).toEqual([])
})

it('reads an object of several parts to its end, however long that takes and whatever becomes of its key', async () => {
  const { clock, engine, scope, name, settledAt, errors } = await open()
  const { upload } = await engine.createUpload(name('k'), head)
  const parts = [1, 2, 3].map((part) => ({ part, bytes: Buffer.alloc(300_000, part) }))
  for (const { part, bytes } of parts) await engine.putPart(scope, { bucket: 'raw', upload, part, sha256: '' }, [bytes] as never)
  await engine.complete(scope, 'raw', upload, { parts, condition: {} })
  const { read } = await engine.open(name('k'))
  const chunks: Uint8Array[] = []
  for await (const chunk of read()) {
    if (chunks.length === 0) await engine.delete(scope, 'raw', ['k'])
    chunks.push(Buffer.from(chunk))
    await clock.advance(5 * minute)
    // The upkeep has run.
    await engine.index.nextDue()
  }
  expect(chunks.length).toBeGreaterThan(6)
  expect(Buffer.concat(chunks)).toEqual(Buffer.concat(parts.map(({ bytes }) => bytes)))
  await clock.advance(60 * minute)
  await settledAt(0)
  expect(errors).toEqual([])
})

it('closes when the piece of deleting that is under way is done, however much is left', async () => {
  const { clock, store, engine, scope, put, folder } = await open()
  await Promise.all(Array.from({ length: 450 }, (_, i) => put(`key-${i}`, `bytes ${i}`)))
  await engine.deleteBucket(scope, 'raw', true)
  await engine.close()
  const done = Promise.withResolvers<void>()
  let pieces = 0
  class SlowDisk extends DiskBackend {
    override async delete(...blobs: Parameters<DiskBackend['delete']>): Promise<void> {
      pieces++
      await done.promise
      await super.delete(...blobs)
    }
  }
  const onError = (error: unknown) => expect(error).toBeUndefined()
  const next = new ObjectEngine({ objects: store.objects, backend: new SlowDisk(folder), clock, objectLimit: 1e9, onError })
  await clock.advance(60 * minute)
  expect(pieces).toBe(1)
  const closed = next.close()
  done.resolve()
  await closed
  expect(pieces).toBe(1)
})
