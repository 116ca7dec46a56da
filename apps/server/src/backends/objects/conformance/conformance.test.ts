import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { physicalName } from '../../../domain/objects/names.ts'
import { type Place, places } from './places.ts'

const mebibyte = 1024 ** 2
const gibibyte = 1024 ** 3
const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Bytes in chunks of a size that fits nothing else. */
async function* inChunks(bytes: Uint8Array, size = 65_521): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function gathered(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const bytes of source) chunks.push(bytes)
  return Buffer.concat(chunks)
}

describe.each(places)('$name', ({ create }) => {
  let place: Place
  let names = 0
  const newName = () => `1/${encodeURIComponent('ü b')}%2E/ab/blob${++names}`
  beforeAll(async () => {
    place = await create()
  })
  afterAll(() => place[Symbol.asyncDispose]())

  it('can be used', async () => {
    await place.backend.check()
    await place.open().check()
  })

  it.each([0, 1, 65_536, 8 * mebibyte - 1, 8 * mebibyte, 8 * mebibyte + 1, 21 * mebibyte])('keeps %i bytes', async (size) => {
    const bytes = randomBytes(size)
    const name = newName()
    await place.backend.write(name, inChunks(bytes), size)
    expect(await place.left()).toContain(name)
    if (size > 0) expect(sha256Of(await gathered(place.backend.read(name, { start: 0, length: size })))).toBe(sha256Of(bytes))
    for (const [start, length] of [
      [0, 1],
      [1, size - 2],
      [size - 1, 1],
      [Math.floor(size / 2), 100],
    ] as const) {
      if (start < 0 || length < 1 || start + length > size) continue
      const read = await gathered(place.open().read(name, { start, length }))
      expect(read.equals(bytes.subarray(start, start + length)), `${length} bytes from ${start}`).toBe(true)
    }
    await place.backend.delete([{ name, whole: true }])
    await expect(gathered(place.backend.read(name, { start: 0, length: 1 }))).rejects.toThrow()
    expect(await place.left()).toEqual([])
  })

  it('keeps chunks of any size, and as few bytes as come of as many as may', async () => {
    const bytes = randomBytes(9 * mebibyte)
    for (const [size, most] of [
      [1000, 100 * gibibyte],
      [9 * mebibyte, 100 * gibibyte],
      [9 * mebibyte, 5 * 1024 * gibibyte],
    ] as const) {
      const name = newName()
      await place.backend.write(name, inChunks(bytes, size), most)
      expect(sha256Of(await gathered(place.backend.read(name, { start: 0, length: bytes.length })))).toBe(sha256Of(bytes))
      await place.backend.delete([{ name, whole: true }])
    }
  })

  it.each([0, 100, 9 * mebibyte, 30 * mebibyte])('fails as its source does, after %i bytes; what is left goes away', async (size) => {
    const name = newName()
    let isClosed = false
    async function* broken() {
      try {
        yield* inChunks(randomBytes(size))
        throw new RangeError('the source broke')
      } finally {
        isClosed = true
      }
    }
    await expect(place.backend.write(name, broken(), gibibyte)).rejects.toThrow(RangeError)
    expect(isClosed).toBe(true)
    await place.backend.delete([{ name, whole: false }])
    expect(await place.left()).toEqual([])
  })

  it('can be left in the middle of reading', async () => {
    const name = newName()
    await place.backend.write(name, inChunks(randomBytes(20 * mebibyte)), 20 * mebibyte)
    for (let i = 0; i < 20; i++) {
      for await (const bytes of place.backend.read(name, { start: i, length: 20 * mebibyte - i })) {
        expect(bytes.length).toBeLessThanOrEqual(mebibyte)
        break
      }
    }
    await place.backend.delete([{ name, whole: true }])
  })

  it('keeps many at once, and deletes many at once, torn ones and what never was', async () => {
    const blobs = Array.from({ length: 60 }, (_, i) => ({ name: newName(), text: `text ${i}` }))
    await Promise.all(blobs.map(({ name, text }) => place.backend.write(name, inChunks(Buffer.from(text)), 100)))
    const read = await Promise.all(blobs.map(({ name, text }) => gathered(place.backend.read(name, { start: 0, length: text.length }))))
    expect(read.map(String)).toEqual(blobs.map(({ text }) => text))
    const never = Array.from({ length: 1100 }, (_, i) => ({ name: `1/never/ab/${i}`, whole: true }))
    await place.backend.delete([...blobs.map(({ name }, i) => ({ name, whole: i % 10 > 0 })), ...never])
    expect(await place.left()).toEqual([])
    await place.backend.delete([])
    await place.backend.delete([{ name: '1/never/ab/c', whole: false }])
  })

  it('keeps tenants and namespaces apart by name alone', async () => {
    const scopes = ['', '..', 'a/b', 'a%2Fb', 'x'.repeat(300), 'ü'].map((namespace) => ({ tenant: 7, namespace }))
    const blobs = scopes.map((scope) => physicalName(scope, 'same'))
    expect(new Set(blobs).size).toBe(scopes.length)
    for (const [i, name] of blobs.entries()) await place.backend.write(name, inChunks(Buffer.from([i])), 1)
    for (const [i, name] of blobs.entries()) expect([...(await gathered(place.backend.read(name, { start: 0, length: 1 })))]).toEqual([i])
    await place.backend.delete(blobs.map((name) => ({ name, whole: true })))
    expect(await place.left()).toEqual([])
  })
})
