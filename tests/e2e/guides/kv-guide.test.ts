import { ConflictError, type KvChange, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()
const newStore = <T = unknown>() => fixture.client().kv<T>(freshName('store'))

describe('set and get', () => {
  test('a value with a time to live comes back as it went in', async () => {
    const kv = newStore()
    const { revision } = await kv.set('key', { value: 'data' }, { ttl: '1h' })
    expect(await kv.get('key')).toEqual({ value: 'data' })
    const entry = await kv.entry('key')
    expect(entry).toMatchObject({ key: 'key', value: { value: 'data' }, revision })
    expect(entry!.expiresAt!.getTime() - Date.now()).toBeGreaterThan(3_590_000)
  })

  test('any JSON value, and bytes', async () => {
    const kv = newStore()
    for (const value of [null, 0, '', false, [], { a: [1, { b: 'ü' }] }, 'text', Uint8Array.of(0, 255)]) {
      await kv.set('k', value)
      expect(await kv.get('k')).toEqual(value)
    }
    expect(await kv.get('none')).toBeUndefined()
  })

  test('delete and check existence', async () => {
    const kv = newStore()
    await kv.set('key', 1)
    expect(await kv.exists('key')).toBe(true)
    expect(await kv.delete('key')).toBe(true)
    expect(await kv.exists('key')).toBe(false)
    expect(await kv.delete('key')).toBe(false)
  })

  test('list keys by prefix', async () => {
    const kv = newStore()
    await kv.setMany(['user:2', 'other', 'user:1', 'user:3'].map((key) => ({ key, value: key })))
    expect((await kv.keys()).items).toEqual(['other', 'user:1', 'user:2', 'user:3'])
    const users: string[] = []
    for await (const key of kv.keys({ prefix: 'user:', limit: 2 })) users.push(key)
    expect(users).toEqual(['user:1', 'user:2', 'user:3'])
    expect((await kv.entries({ prefix: 'o' })).items).toMatchObject([{ key: 'other', value: 'other' }])
  })
})

describe('together', () => {
  test('thousands of concurrent calls, and those of one key in their order', async () => {
    const kv = newStore<number>()
    await Promise.all(Array.from({ length: 5000 }, (_, i) => kv.set(`k${i % 100}`, i)))
    const values = await Promise.all(Array.from({ length: 100 }, (_, i) => kv.get(`k${i}`)))
    expect(values).toEqual(Array.from({ length: 100 }, (_, i) => 4900 + i))
  })

  test('delete by prefix, each told of', async () => {
    const kv = fixture.client().kv<number>('clear')
    await kv.setMany(Array.from({ length: 1200 }, (_, i) => ({ key: `draft:${i}`, value: i })))
    await kv.set('kept', 1)
    const deleted = (async () => {
      let count = 0
      for await (const { type } of kv.watch({ after: 1201 })) if (type === 'deleted' && ++count === 1200) break
      return count
    })()
    expect(await kv.clear({ prefix: 'draft:', confirm: true })).toBe(1200)
    expect(await deleted).toBe(1200)
    expect(await kv.clear({ prefix: 'draft:', confirm: true })).toBe(0)
    expect((await kv.keys()).items).toEqual(['kept'])
    await expect(kv.clear({ confirm: false as true })).rejects.toThrow(ValidationError)
    expect(await kv.clear({ confirm: true })).toBe(1)
  })

  test('many at once: all or none', async () => {
    const kv = newStore<number>()
    await kv.set('b', 0)
    await expect(
      kv.setMany([
        { key: 'a', value: 1 },
        { key: 'b', value: 1, ifAbsent: true },
      ]),
    ).rejects.toBeInstanceOf(ConflictError) // prettier-ignore
    expect(await kv.getMany(['a', 'b', 'c'])).toEqual(new Map([['b', 0]]))
  })

  test('large values come in several answers', async () => {
    const kv = newStore<string>()
    const value = 'x'.repeat(900_000)
    const names = Array.from({ length: 8 }, (_, i) => `k${i}`)
    for (const name of names) await kv.set(name, name + value)
    const found = await kv.getMany(names)
    expect([...found.keys()]).toEqual(names)
    expect(await Promise.all(names.map((name) => kv.get(name)))).toEqual(names.map((name) => name + value))
  })

  test('compare-and-set', async () => {
    const kv = newStore<number>()
    await kv.set('n', 0, { ifAbsent: true })
    await expect(kv.set('n', 0, { ifAbsent: true })).rejects.toBeInstanceOf(ConflictError)
    const addOne = async (): Promise<void> => {
      const { value, revision } = (await kv.entry('n'))!
      await kv.set('n', value + 1, { ifRevision: revision }).catch((error: unknown) => {
        if (!(error instanceof ConflictError)) throw error
        return addOne()
      })
    }
    await Promise.all(Array.from({ length: 10 }, addOne))
    expect(await kv.get('n')).toBe(10)
  })

  test('atomic counters', async () => {
    const kv = newStore<number>()
    const sums = await Promise.all(Array.from({ length: 500 }, () => kv.increment('n')))
    expect(new Set(sums).size).toBe(500)
    expect(await kv.increment('n', -500)).toBe(0)
  })
})

describe('watch', () => {
  test('by prefix, from now on', async () => {
    const kv = newStore<number>()
    await kv.set('a:old', 1)
    const watch = kv.watch({ prefix: 'a:' })
    const first = watch.next()
    // The watch is there when it misses nothing any more.
    const noise = setInterval(() => void kv.set('a:new', 2).catch(() => undefined), 20)
    expect((await first).value).toMatchObject({ type: 'set', key: 'a:new', value: 2 })
    clearInterval(noise)
    await watch.return!()
  })

  test('from any revision on, over a crash of the server', async () => {
    const kv = newStore<number>()
    await kv.set('a', 1)
    await kv.set('gone', 1)
    const seen: KvChange<number>[] = []
    const stop = new AbortController()
    const watching = (async () => {
      for await (const change of kv.watch({ after: 0, signal: stop.signal })) seen.push(change)
    })().catch((error: Error) => error.name)
    await until('the present keys came', () => seen.length === 2)
    await fixture.server.kill()
    await fixture.server.restart()
    await kv.delete('gone')
    await until('the watch is back', () => seen.length === 3)
    await kv.set('b', 2, { ttl: 300 })
    await until('it expired', () => seen.at(-1)?.type === 'expired')
    expect(seen.map(({ type, key, value }) => [type, key, value])).toEqual([
      ['set', 'a', 1],
      ['set', 'gone', 1],
      ['deleted', 'gone', undefined],
      ['set', 'b', 2],
      ['expired', 'b', undefined],
    ])
    stop.abort()
    expect(await watching).toBe('AbortError')
  })
})

describe('stores', () => {
  test('keep a history when they are told to', async () => {
    const kv = newStore<number>()
    expect(await kv.info()).toMatchObject({ name: kv.name, history: 1, revision: 0 })
    expect(await kv.update({ history: 2 })).toMatchObject({ history: 2 })
    for (const value of [1, 2, 3]) await kv.set('k', value)
    await kv.delete('k')
    expect(await kv.history('k')).toMatchObject([
      { type: 'deleted', revision: 4 },
      { type: 'set', value: 3 },
    ])
  })

  test('are listed by name', async () => {
    const mr = fixture.client()
    for (const name of ['b', 'a']) await mr.kv(name).set('k', 1)
    expect((await mr.kvStores.list()).items.map(({ name }) => name)).toEqual(['a', 'b'])
  })
})

describe('bad input', () => {
  test.each([
    ['an empty key', ''],
    ['a control character', 'a\nb'],
    ['a lone surrogate', 'a\ud800'],
    ['a key of 513 bytes', `${'ü'.repeat(256)}x`],
  ])('%s', async (_, key) => {
    const kv = newStore()
    const calls = [
      () => kv.set(key, 1),
      () => kv.get(key),
      () => kv.delete(key),
      () => kv.increment(key),
      () => kv.exists(key),
      () => kv.history(key),
      () => kv.getMany(['good', key]),
      () => kv.setMany([{ key, value: 1 }]),
    ]
    for (const call of calls) {
      const error = await call().catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(ValidationError)
      expect((error as ValidationError).fields[0]!.path).toContain('key')
    }
  })

  test('a wrong call does not hurt those that travel with it', async () => {
    const kv = newStore()
    const [set, get, wrongSet, wrongGet] = await Promise.allSettled([kv.set('k', 1), kv.get('k'), kv.set('a\0', 1), kv.get('a\0')])
    expect([set.status, get.status, wrongSet.status, wrongGet.status]).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected'])
  })

  test('values over the limit, negative times and revisions, a wrong store', async () => {
    const kv = newStore()
    await expect(kv.set('k', 'x'.repeat(5 << 20))).rejects.toBeInstanceOf(ValidationError)
    await expect(kv.set('k', 1, { ttl: -1 })).rejects.toBeInstanceOf(ValidationError)
    // What has no time left would stay for ever.
    await expect(kv.set('k', 1, { ttl: 0 })).rejects.toBeInstanceOf(ValidationError)
    await expect(kv.increment('k', 1, { ttl: '0.4ms' })).rejects.toBeInstanceOf(ValidationError)
    await expect(kv.set('k', 1, { ttl: '9999d' })).rejects.toBeInstanceOf(ValidationError)
    await expect(kv.set('k', 1, { ifRevision: -1 })).rejects.toBeInstanceOf(ValidationError)
    await expect(kv.set('k', 1, { ifRevision: 1, ifAbsent: true })).rejects.toBeInstanceOf(ValidationError)
    await expect(kv.update({ history: 65 })).rejects.toBeInstanceOf(ValidationError)
    await expect(fixture.client().kv('a b').set('k', 1)).rejects.toBeInstanceOf(ValidationError)
    expect(await kv.exists('k')).toBe(false)
  })
})
