import { NotFoundError, QuotaExceededError, TimeoutError, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { newPair } from '../harness/databases.ts'
import { clientMaker, clients } from '../harness/every-client.ts'
import { freshName } from '../harness/fixture.ts'
import { useObjectBackends } from '../harness/object-backends.ts'

const backends = await useObjectBackends(['--analytics-spill', '8MiB'])
const fixture = backends[0]!.fixture
const kinds = backends.flatMap((backend) => clients.map((client) => ({ backend, client })))

const rows = [
  { id: 1, city: 'Oslo', price: '12.50', at: '2027-01-31T12:00:00.000000' },
  { id: 2, city: 'Le "Mans", ü', price: null, at: null },
]

describe.each(kinds)('$backend.name, $client.name', ({ backend: { fixture }, client: kind }) => {
  const { clientOf } = clientMaker(fixture, kind)

  async function newOrders() {
    const pair = await newPair(clientOf())
    await pair.db.createTable('orders', { id: 'INTEGER', city: 'VARCHAR', price: 'DECIMAL(18, 2)', at: 'TIMESTAMP' })
    const insert = 'INSERT INTO orders VALUES ($id, $city, $price, $at)'
    await pair.db.batch(rows.map((parameters) => ({ sql: insert, parameters })))
    return pair
  }

  test.each([
    ['orders.parquet', 'application/vnd.apache.parquet'],
    ['orders.csv', 'text/csv'],
    ['orders.json', 'application/json'],
    ['orders.NDJSON', 'application/x-ndjson'],
    ['orders.jsonl', 'application/x-ndjson'],
  ])('a table becomes %s in a bucket, and is a table again', async (key, contentType) => {
    const { db, bucket, name } = await newOrders()
    const exported = await db.exportObject('orders', { bucket: name, key })
    expect(exported).toMatchObject({ rows: 2 })
    expect(await bucket.stat(key)).toMatchObject({ size: exported.size, etag: exported.etag, sha256: exported.etag, contentType })
    await db.createTable('again', { id: 'INTEGER', city: 'VARCHAR', price: 'DECIMAL(18, 2)', at: 'TIMESTAMP' })
    expect(await db.importObject('again', { bucket: name, key, mode: 'append' })).toBe(2)
    expect((await db.query('FROM again ORDER BY id')).rows).toEqual(rows)
  })

  test('a query becomes an object, with its parameters, in the place of one that is there', async () => {
    const { db, bucket, name } = await newOrders()
    const text = async (key: string) => (await bucket.get(key)).text()
    await bucket.put('data', 'old')
    const sql = 'SELECT city AS "the city", id FROM orders WHERE id < $1 ;; -- until here'
    const wrong = db.exportObject({ sql, parameters: [2] }, { bucket: name, key: 'data' })
    await expect(wrong).rejects.toMatchObject({ fields: [{ path: 'format' }] })
    expect(await text('data')).toBe('old')
    const query = { sql: sql.replace(';;', ''), parameters: [2] }
    expect(await db.exportObject(query, { bucket: name, key: 'data', format: 'csv' })).toMatchObject({ rows: 1, size: 19 })
    expect(await text('data')).toBe('the city,id\nOslo,1\n')
    await db.exportObject(
      { sql: 'FROM orders WHERE id > $least;', parameters: { least: 1 } },
      { bucket: name, key: 'data', format: 'json' },
    )
    expect(JSON.parse(await text('data'))).toEqual([{ id: 2, city: 'Le "Mans", ü', price: null, at: null }])
    await db.exportObject({ sql: 'SELECT id, city FROM orders ORDER BY id' }, { bucket: name, key: 'lines.jsonl' })
    expect((await text('lines.jsonl')).split('\n')[0]).toBe('{"id":1,"city":"Oslo"}')
    expect(await db.exportObject({ sql: 'FROM orders WHERE false' }, { bucket: name, key: 'none.csv' })).toMatchObject({ rows: 0 })
    expect(await text('none.csv')).toBe('id,city,price,at\n')
    expect(await db.exportObject({ sql: 'FROM orders WHERE false' }, { bucket: name, key: 'none.json' })).toMatchObject({ rows: 0 })
    expect(JSON.parse(await text('none.json'))).toEqual([])
    await db.createView('cheap', 'SELECT id FROM orders WHERE price < 20')
    expect(await db.exportObject('cheap', { bucket: name, key: 'cheap.csv' })).toMatchObject({ rows: 1 })
  })

  test('what is wrong writes nothing, and says which field it is', async () => {
    const mr = clientOf()
    const { db, bucket, name } = await newPair(mr)
    await db.execute('CREATE TABLE t AS SELECT 1 AS a')
    const object = { bucket: name, key: 'x.csv' }
    const path = async (answer: Promise<unknown>) => {
      const error: unknown = await answer.then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      expect(error).toBeInstanceOf(ValidationError)
      expect(String(error)).not.toMatch(/staging|COPY \(|\/tmp/)
      return (error as ValidationError).fields[0]!.path
    }
    await expect(db.exportObject('t', { bucket: 'none', key: 'x.csv' })).rejects.toMatchObject({ resource: 'bucket' })
    await expect(db.exportObject('none', object)).rejects.toMatchObject({ resource: 'table', id: 'none' })
    await expect(mr.database('none').exportObject('t', object)).rejects.toThrow(/no database 'none'/)
    expect(await path(db.exportObject('', object))).toBe('sql')
    expect(await path(db.exportObject({ sql: '' }, object))).toBe('sql')
    expect(await path(db.exportObject({ sql: 'SELECT nope FROM t' }, object))).toBe('sql')
    expect(await path(db.exportObject({ sql: 'DELETE FROM t' }, object))).toBe('sql')
    expect(await path(db.exportObject({ sql: 'EXPLAIN FROM t' }, object))).toBe('sql')
    expect(await path(db.exportObject({ sql: 'FROM t WHERE a = ?' }, object))).toBe('parameters')
    expect(await path(db.exportObject({ sql: "SELECT error('x') FROM t" }, object))).toBe('sql')
    expect(await path(db.exportObject('t', { bucket: name, key: 'x' }))).toBe('format')
    expect(await path(db.exportObject('t', { bucket: name, key: '' }))).toBe('key')
    await expect(db.exportObject({ sql: 'SELECT nope FROM t' }, object)).rejects.toThrow('line 1, column 8')
    expect((await bucket.list()).items).toEqual([])
  })

  test('what takes too much of the disk, or too long, ends and leaves nothing', async () => {
    const { db, bucket, name } = await newPair(clientOf())
    await bucket.put('big.csv', 'old')
    const big = db.exportObject({ sql: 'FROM range(100_000_000_000)' }, { bucket: name, key: 'big.csv' })
    await expect(big).rejects.toThrow(QuotaExceededError)
    const slow = {
      sql: 'SELECT count(*) FROM range(100_000) a, range(100_000) b, range(100_000) c WHERE (a.range + b.range + c.range) % 7 = 3',
    }
    await expect(db.exportObject(slow, { bucket: name, key: 'big.csv', timeout: 200 })).rejects.toThrow(TimeoutError)
    expect(await (await bucket.get('big.csv')).text()).toBe('old')
    // What was written is gone: there is room for as much again.
    expect(await db.exportObject({ sql: 'FROM range(900_000)' }, { bucket: name, key: 'big.csv' })).toMatchObject({ rows: 900_000 })
    expect(await db.exportObject({ sql: 'FROM range(900_000)' }, { bucket: name, key: 'big.csv' })).toMatchObject({ rows: 900_000 })
  })
})

test('a bucket of another namespace is not there', async () => {
  const { name } = await newPair(fixture.client())
  const db = fixture.client({ namespace: 'other' }).database('elsewhere')
  await db.create()
  await expect(db.exportObject({ sql: 'SELECT 1' }, { bucket: name, key: 'a.csv' })).rejects.toThrow(NotFoundError)
})

test.each([
  [['objects:write', 'databases:write'], 'databases:read'],
  [['objects:read', 'databases:read'], 'objects:write'],
  [['objects:write', 'databases:read'], undefined],
])('an export with a key for %j lacks %s', async (scopes, missing) => {
  const namespace = freshName()
  const mr = fixture.client({ namespace })
  const { name } = await newPair(mr)
  const { key: apiKey } = await mr.keys.create({ name: freshName(), scopes })
  const db = fixture.client({ namespace, apiKey }).database(name)
  const answer = db.exportObject({ sql: 'SELECT 1 AS a' }, { bucket: name, key: 'a.csv' })
  if (missing) await expect(answer).rejects.toThrow(missing)
  else expect(await answer).toMatchObject({ rows: 1 })
})
