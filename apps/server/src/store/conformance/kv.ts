import { expect } from 'vitest'
import type { KvStoreName } from '../kv-port.ts'
import type { Case } from './harness.ts'
import { KvSteps, text } from './kv-steps.ts'

/** Keys and values. */
export const kvCases: readonly Case[] = [
  {
    name: 'a value comes back as it went in, also after a restart',
    async run(t) {
      const kv = new KvSteps(t)
      const value = Uint8Array.from({ length: 256 }, (_, i) => i)
      await kv.write([{ type: 'set', key: 'bytes', value, contentType: 'application/x', ifAbsent: false }])
      await kv.set('empty', '')
      await t.reopen()
      const [bytes, empty, none] = await t.store.kv.read(t.scope, 's', ['bytes', 'empty', 'none'], { values: true, now: t.clock.now() })
      expect(bytes).toMatchObject({ key: 'bytes', contentType: 'application/x', revision: 1, updatedAt: t.clock.now() })
      expect(Buffer.compare(bytes!.value!, value)).toBe(0)
      expect(empty!.value!.length).toBe(0)
      expect(none).toBeUndefined()
    },
  },
  {
    name: 'revisions grow by one with each change, over restarts too',
    async run(t) {
      const kv = new KvSteps(t)
      expect([await kv.set('a', '1'), await kv.set('b', '1'), await kv.set('a', '2')]).toEqual([1, 2, 3])
      expect(await kv.delete('b')).toEqual({ revision: 4, deleted: true })
      expect(await kv.delete('b')).toEqual({ revision: 0, deleted: false })
      await t.reopen()
      expect(await kv.set('c', '1')).toBe(5)
      expect(await t.store.kv.settings(t.scope, 's')).toMatchObject({ name: 's', history: 1, revision: 5 })
    },
  },
  {
    name: 'compare-and-set and set-if-absent hold or change nothing',
    async run(t) {
      const kv = new KvSteps(t)
      const first = await kv.set('a', '1', { ifAbsent: true })
      await expect(kv.set('a', '2', { ifAbsent: true })).rejects.toMatchObject({ reason: 'ALREADY_EXISTS' })
      await expect(kv.set('a', '2', { ifRevision: 0 })).rejects.toMatchObject({ reason: 'CONFLICT' })
      await expect(kv.set('a', '2', { ifRevision: first + 1 })).rejects.toMatchObject({ reason: 'CONFLICT' })
      await expect(kv.set('b', '2', { ifRevision: 1 })).rejects.toMatchObject({ reason: 'CONFLICT' })
      await expect(kv.delete('a', first + 1)).rejects.toMatchObject({ reason: 'CONFLICT' })
      expect(await kv.get('a', 'b')).toEqual(['1', undefined])
      const second = await kv.set('a', '2', { ifRevision: first })
      await kv.set('b', '2', { ifRevision: 0 })
      await kv.delete('a', second)
      expect(await kv.get('a', 'b')).toEqual([undefined, '2'])
      await kv.set('a', '3', { ifAbsent: true })
    },
  },
  {
    name: 'of concurrent compare-and-sets, one wins',
    async run(t) {
      const kv = new KvSteps(t)
      const revision = await kv.set('a', '0')
      const writes = Array.from({ length: 20 }, (_, i) => kv.set('a', String(i), { ifRevision: revision }))
      const won = (await Promise.allSettled(writes)).filter(({ status }) => status === 'fulfilled')
      expect(won).toHaveLength(1)
    },
  },
  {
    name: 'increments add up, and refuse what is not a whole number',
    async run(t) {
      const kv = new KvSteps(t)
      const all = await Promise.all(Array.from({ length: 50 }, () => kv.increment('n', 2)))
      expect(all.map((outcome) => ('number' in outcome ? outcome.number! : Number.NaN)).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 50 }, (_, i) => 2 * (i + 1)),
      )
      expect(await kv.increment('n', -101)).toMatchObject({ number: -1 })
      expect(await kv.get('n')).toEqual(['-1'])
      await kv.set('text', '"x"')
      await expect(kv.increment('text', 1)).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      await kv.set('most', String(Number.MAX_SAFE_INTEGER))
      await expect(kv.increment('most', 1)).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      await kv.set('fraction', '1.5')
      await expect(kv.increment('fraction', 1)).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
    },
  },
  {
    name: 'writes of one request are all or none, or each alone',
    async run(t) {
      const kv = new KvSteps(t)
      await kv.set('a', '1')
      const writes = [kv.setting('x', '1'), kv.setting('a', '2', { ifAbsent: true }), kv.setting('y', '1')]
      await expect(kv.write(writes)).rejects.toMatchObject({ reason: 'ALREADY_EXISTS' })
      expect(await kv.keys()).toEqual(['a'])
      const outcomes = await kv.write(writes, { partial: true })
      expect(outcomes).toMatchObject([{ revision: expect.any(Number) }, { error: { reason: 'ALREADY_EXISTS' } }, {}])
      expect(await kv.get('x', 'a', 'y')).toEqual(['1', '1', '1'])
      await kv.write([kv.setting('z', '1'), { type: 'increment', key: 'z', by: 4 }, { type: 'delete', key: 'x' }, kv.setting('x', '9')])
      expect(await kv.get('z', 'x')).toEqual(['5', '9'])
    },
  },
  {
    name: 'a repeated request answers as the first did',
    async run(t) {
      const kv = new KvSteps(t)
      const writes = [
        { type: 'increment', key: 'n', by: 1 } as const,
        kv.setting('a', '1', { ifAbsent: true }),
        kv.setting('a', '2', { ifAbsent: true }),
        { type: 'delete', key: 'none' } as const,
      ]
      const first = await kv.write(writes, { requestId: 'r', partial: true })
      await t.reopen()
      const second = await kv.write(writes, { requestId: 'r', partial: true })
      expect(second.slice(0, 2)).toEqual(first.slice(0, 2))
      expect(second[2]).toMatchObject({ error: { reason: 'ALREADY_EXISTS', message: expect.stringContaining('"a"') } })
      expect(second[3]).toEqual({ revision: 0, deleted: false })
      expect(await kv.get('n')).toEqual(['1'])
      await t.clock.advance(1000)
      expect(await t.store.kv.sweep({ deletions: 0, answers: t.clock.now() }, 100)).toBe(1)
      await kv.write(writes, { requestId: 'r', partial: true })
      expect(await kv.get('n')).toEqual(['2'])
      await kv.write(writes, { requestId: 'r', partial: true, store: 'another' })
      await kv.write(writes, { requestId: 'r', partial: true, scope: t.otherNamespace })
    },
  },
  {
    name: 'an expired key is gone for every call at once, swept or not',
    async run(t) {
      const kv = new KvSteps(t)
      const revision = await kv.set('a', '1', { ttl: 1000 })
      await kv.set('b', '1', { ttl: 1000 })
      await kv.set('n', '5', { ttl: 1000 })
      await t.clock.advance(999)
      expect(await kv.get('a')).toEqual(['1'])
      await t.clock.advance(1)
      expect(await kv.get('a')).toEqual([undefined])
      expect(await kv.keys()).toEqual([])
      expect(await kv.changes(0)).toEqual([])
      expect(await kv.delete('b')).toEqual({ revision: 0, deleted: false })
      await expect(kv.set('a', '2', { ifRevision: revision })).rejects.toMatchObject({ reason: 'CONFLICT' })
      expect(await kv.increment('n', 1)).toMatchObject({ number: 1 })
      await kv.set('a', '2', { ifAbsent: true })
      expect(await kv.get('a')).toEqual(['2'])
    },
  },
  {
    name: 'a set without a time to live clears an old one; an increment keeps it',
    async run(t) {
      const kv = new KvSteps(t)
      await kv.set('a', '1', { ttl: 1000 })
      await kv.set('a', '2')
      await kv.increment('n', 1, 1000)
      await kv.increment('n', 1, 5000)
      await t.clock.advance(1000)
      expect(await kv.get('a', 'n')).toEqual(['2', undefined])
    },
  },
  {
    name: 'expiry is told of as a change, when it is carried out',
    async run(t) {
      const kv = new KvSteps(t)
      const heard: KvStoreName[] = []
      t.store.kv.listen({ changed: (store) => heard.push(store), missed() {} })
      await kv.set('a', '1', { ttl: 1000 })
      await kv.set('b', '1', { ttl: 2000 })
      await kv.set('c', '1', { ttl: 9000 })
      expect(await t.store.kv.nextExpiry()).toBe(t.clock.now() + 1000)
      await t.clock.advance(2000)
      heard.length = 0
      expect(await t.store.kv.expire(t.clock.now(), 100)).toBe(2)
      expect(heard).toEqual([{ ...t.scope, store: 's' }])
      expect(await kv.changes(3)).toEqual(['3 a=', '3 b='])
      expect(await t.store.kv.expire(t.clock.now(), 100)).toBe(0)
      expect(await t.store.kv.nextExpiry()).toBe(t.clock.now() + 7000)
    },
  },
  {
    name: 'keys are listed in the order of their bytes, by prefix and page',
    async run(t) {
      const kv = new KvSteps(t)
      const keys = ['user:1', 'user:10', 'user:2', 'user', 'üser', '€', '😀', 'Z', '_', 'user%', 'us\u{10ffff}er']
      for (const key of keys) await kv.set(key, key)
      const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      expect(await kv.keys()).toEqual(sorted)
      expect(await kv.keys('user:')).toEqual(['user:1', 'user:10', 'user:2'])
      expect(await kv.keys('us')).toEqual(sorted.filter((key) => key.startsWith('us')))
      expect(await kv.keys('%')).toEqual([])
      for (const key of sorted.slice(2, 8)) await kv.delete(key)
      expect(await kv.keys()).toEqual([...sorted.slice(0, 2), ...sorted.slice(8)])
      const page = await t.store.kv.list(t.scope, 's', { prefix: '😀', limit: 10, values: true, now: t.clock.now() })
      expect(page.items.map(({ value }) => text(value))).toEqual(['😀'])
    },
  },
  {
    name: 'large values end a read and a page early, never before the first',
    async run(t) {
      const kv = new KvSteps(t)
      const value = 'x'.repeat(1_100_000)
      for (const key of ['a', 'b', 'c', 'd']) await kv.set(key, value)
      const now = t.clock.now()
      expect(await t.store.kv.read(t.scope, 's', ['a', 'b', 'c', 'd'], { values: true, now })).toHaveLength(2)
      expect(await t.store.kv.read(t.scope, 's', ['a', 'b', 'c', 'd'], { values: false, now })).toHaveLength(4)
      const page = await t.store.kv.list(t.scope, 's', { prefix: '', limit: 4, values: true, now })
      expect(page).toMatchObject({ items: [{ key: 'a' }, { key: 'b' }], next: 'b' })
      const changes = await t.store.kv.changes(t.scope, 's', { prefix: '', after: 0, limit: 10, now })
      expect(changes).toMatchObject({ changes: [{}, {}], upTo: 2, more: true })
    },
  },
  {
    name: 'changes are told from any revision on, each key as it is now',
    async run(t) {
      const kv = new KvSteps(t)
      await kv.set('a', '1')
      await kv.set('b', '1')
      await kv.set('a', '2')
      await kv.delete('b')
      await kv.set('c', '1')
      expect(await kv.changes(0)).toEqual(['1 a=2', '2 b=', '1 c=1'])
      expect(await kv.changes(0, '', 1)).toEqual(['1 a=2', '2 b=', '1 c=1'])
      expect(await kv.changes(3)).toEqual(['2 b=', '1 c=1'])
      expect(await kv.changes(0, 'b')).toEqual(['2 b='])
      await t.reopen()
      expect(await kv.changes(4)).toEqual(['1 c=1'])
      const none = await t.store.kv.changes(t.scope, 's', { prefix: '', after: 5, limit: 10, now: t.clock.now() })
      expect(none).toEqual({ changes: [], upTo: 5, more: false, floor: 0 })
    },
  },
  {
    name: 'deletions are forgotten after a while, and it is known up to which',
    async run(t) {
      const kv = new KvSteps(t)
      await kv.set('a', '1')
      await kv.delete('a')
      await t.clock.advance(1000)
      await kv.set('b', '1')
      await kv.delete('b')
      expect(await t.store.kv.sweep({ deletions: t.clock.now(), answers: 0 }, 100)).toBe(1)
      expect(await t.store.kv.sweep({ deletions: t.clock.now(), answers: 0 }, 100)).toBe(0)
      await t.reopen()
      const { changes, floor } = await t.store.kv.changes(t.scope, 's', { prefix: '', after: 0, limit: 10, now: t.clock.now() })
      expect(changes.map(({ entry }) => entry.key)).toEqual(['b'])
      expect(floor).toBe(2)
      expect(await kv.set('a', '2')).toBe(5)
    },
  },
  {
    name: 'keeps as many versions as the store says',
    async run(t) {
      const kv = new KvSteps(t)
      const versions = async () => {
        const all = await t.store.kv.history(t.scope, 's', 'a')
        return all.map(({ type, entry }) => `${type} ${entry.revision} ${text(entry.value) ?? ''}`)
      }
      expect(await versions()).toEqual([])
      await kv.set('a', '1')
      await kv.set('a', '2')
      expect(await versions()).toEqual(['1 2 2'])
      expect(await t.store.kv.update(t.scope, 's', { history: 3 }, t.clock.now())).toMatchObject({ history: 3 })
      await kv.set('a', '3')
      await kv.delete('a')
      expect(await versions()).toEqual(['2 4 ', '1 3 3', '1 2 2'])
      await kv.write([kv.setting('a', '5'), kv.setting('a', '6')])
      await t.reopen()
      expect(await versions()).toEqual(['1 6 6', '1 5 5', '2 4 '])
      await t.store.kv.update(t.scope, 's', { history: 1 }, t.clock.now())
      expect(await versions()).toEqual(['1 6 6'])
    },
  },
  {
    name: 'stores, namespaces and tenants do not see each other',
    async run(t) {
      const kv = new KvSteps(t)
      await kv.set('a', '1')
      await kv.write([kv.setting('b', '2')], { store: 'other' })
      await kv.write([kv.setting('c', '3')], { scope: t.otherNamespace })
      await kv.write([kv.setting('d', '4')], { scope: t.otherTenant })
      expect(await kv.keys()).toEqual(['a'])
      expect(await kv.keys('', t.otherNamespace)).toEqual(['c'])
      expect(await kv.keys('', t.otherTenant)).toEqual(['d'])
      const names = async (after: string) => (await t.store.kv.stores(t.scope, { limit: 1, after })).map(({ name }) => name)
      expect(await names('')).toEqual(['other'])
      expect(await names('other')).toEqual(['s'])
      expect(await names('s')).toEqual([])
    },
  },
]
