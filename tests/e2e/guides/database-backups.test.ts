import { ConflictError, NotFoundError, PermissionDeniedError, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { newPair } from '../harness/databases.ts'
import { clientMaker, clients } from '../harness/every-client.ts'
import { freshName } from '../harness/fixture.ts'
import { useObjectBackends } from '../harness/object-backends.ts'

const backends = await useObjectBackends()
const fixture = backends[0]!.fixture
const kinds = backends.flatMap((backend) => clients.map((client) => ({ backend, client })))

describe.each(kinds)('$backend.name, $client.name', ({ backend: { fixture }, client: kind }) => {
  const { clientOf } = clientMaker(fixture, kind)

  test('a database is backed up into a bucket and restored under its name or another one', async () => {
    const mr = clientOf()
    const { bucket, name } = await newPair(mr)
    const db = mr.database(`${name}-sales`)
    await db.create({ metadata: { description: 'Orders' } })
    await db.createTable('orders', { id: { type: 'BIGINT', primaryKey: true }, price: 'DECIMAL(18, 2)' })
    await db.execute('INSERT INTO orders SELECT range, range / 4 FROM range(50_000)')
    await db.createView('dear', 'SELECT id FROM orders WHERE price > 10_000')
    const look = async (from = db) => ({
      orders: (await from.query('SELECT count(*) AS n, sum(price) AS total FROM orders')).rows,
      dear: (await from.query('SELECT count(*) AS n FROM dear')).rows,
      table: await from.describe('orders'),
      metadata: (await from.info()).metadata,
    })
    const before = await look()

    const object = { bucket: name, key: 'sales/monday' }
    const backup = await db.backup(object)
    expect(await bucket.stat(object.key)).toMatchObject({ size: backup.size, etag: backup.etag, sha256: backup.etag })

    const copy = mr.database(`${name}-copy`)
    expect(await copy.restore(object)).toMatchObject({ name: copy.name, metadata: { description: 'Orders' } })
    expect(await look(copy)).toEqual(before)
    await db.execute('DELETE FROM orders WHERE id > 5')
    await expect(db.restore(object)).rejects.toThrow(ConflictError)
    expect((await db.query('SELECT count(*) AS n FROM orders')).rows).toEqual([{ n: 6 }])
    await db.restore({ ...object, replace: true })
    expect(await look()).toEqual(before)
    await expect(db.execute('INSERT INTO orders VALUES (1, 1)')).rejects.toThrow(ConflictError)
    await db.drop()
    await db.restore(object)
    expect(await look()).toEqual(before)
    // Writes go on in what was restored.
    expect(await db.execute('INSERT INTO orders VALUES (-1, 1)')).toBe(1)
  })

  test('what is no backup, was cut short or changed, is refused, and nothing is made of it', async () => {
    const mr = clientOf()
    const { db, bucket, name } = await newPair(mr)
    await db.execute('CREATE TABLE t AS FROM range(100_000)')
    await db.backup({ bucket: name, key: 'good' })
    const good = await (await bucket.get('good')).bytes()
    const changed = Uint8Array.from(good)
    changed[good.length >> 1]! ^= 1
    const bad: Record<string, Uint8Array | string> = {
      empty: '',
      text: 'id,city\n1,Oslo\n',
      'cut-short': good.subarray(0, good.length - 1000),
      'without-end': good.subarray(0, good.length - 1),
      'head-only': good.subarray(0, 50),
      changed,
    }
    const target = mr.database(`${name}-new`)
    for (const [key, content] of Object.entries(bad)) {
      await bucket.put(key, content)
      for (const replace of [false, true]) {
        const error: unknown = await target.restore({ bucket: name, key, replace }).catch((thrown: unknown) => thrown)
        expect(error, key).toBeInstanceOf(ValidationError)
        expect((error as ValidationError).fields).toEqual([{ path: 'key', message: expect.stringContaining('nothing was restored') }])
      }
    }
    await expect(target.info()).rejects.toThrow(NotFoundError)
    await expect(db.restore({ bucket: name, key: 'text', replace: true })).rejects.toThrow(ValidationError)
    expect((await db.query('SELECT count(*) AS n FROM t')).rows).toEqual([{ n: 100_000 }])
    await expect(target.restore({ bucket: name, key: 'none' })).rejects.toMatchObject({ resource: 'object' })
    await expect(target.restore({ bucket: 'none', key: 'none' })).rejects.toThrow(NotFoundError)
    await expect(target.backup({ bucket: name, key: 'x' })).rejects.toThrow(/no database/)
    await expect(db.backup({ bucket: 'none', key: 'x' })).rejects.toMatchObject({ resource: 'bucket' })
    await expect(db.backup({ bucket: name, key: '' })).rejects.toMatchObject({ fields: [{ path: 'key' }] })
  })
})

test('a backup of another namespace is not there', async () => {
  const { db, name } = await newPair(fixture.client())
  await db.backup({ bucket: name, key: 'mine' })
  const elsewhere = fixture.client({ namespace: freshName() }).database('mine')
  await expect(elsewhere.restore({ bucket: name, key: 'mine' })).rejects.toThrow(NotFoundError)
})

test.each([
  [['databases:read', 'objects:write'], 'backup'],
  [['databases:write', 'objects:read'], 'restore'],
  [['databases:read', 'databases:write'], 'nothing'],
  [['databases:read', 'objects:read'], 'nothing'],
])('a key for %j is good for: %s', async (scopes, allowed) => {
  const namespace = freshName()
  const mr = fixture.client({ namespace })
  const { db, name } = await newPair(mr)
  await db.backup({ bucket: name, key: 'first' })
  const { key: apiKey } = await mr.keys.create({ name: freshName(), scopes })
  const limited = fixture.client({ namespace, apiKey })
  const calls = {
    backup: () => limited.database(name).backup({ bucket: name, key: 'second' }),
    restore: () => limited.database(`${name}-new`).restore({ bucket: name, key: 'first' }),
  }
  for (const [call, make] of Object.entries(calls)) {
    if (call === allowed) await make()
    else await expect(make()).rejects.toThrow(PermissionDeniedError)
  }
})
