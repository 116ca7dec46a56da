import { ConflictError, NotFoundError, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { newPair } from '../harness/databases.ts'
import { clientMaker, clients } from '../harness/every-client.ts'
import { freshName } from '../harness/fixture.ts'
import { useObjectBackends } from '../harness/object-backends.ts'

const backends = await useObjectBackends()
const fixture = backends[0]!.fixture
const kinds = backends.flatMap((backend) => clients.map((client) => ({ backend, client })))

/** `id` and `city` of two rows, as DuckDB writes them. */
const parquet = Buffer.from(
  'UEFSMRUAFRwVICwVBBUAFQYVBgAADjQCAAAABAEBAAAAAgAAABUAFSwVMCwVBBUAFQYVBgAAFlQCAAAABAEEAAAAT3NsbwQAAABSb21lFQIZPDUAGA1kdWNrZGJfc2NoZW1hFQQAFQIlAhgCaWQlIgAVDCUCGARjaXR5JQAAFgQZHBksJgAcFQIZFQAZGAJpZBUCFgQWPhZCJgg8GAQCAAAAGAQBAAAAFgAoBAIAAAAYBAEAAAAREQAAACYAHBUMGRUAGRgEY2l0eRUCFgQWThZSJko8GARSb21lGARPc2xvFgAoBFJvbWUYBE9zbG8REQAAABaMARYEJggWlAEAKChEdWNrREIgdmVyc2lvbiB2MS41LjYgKGJ1aWxkIDA2OWNjOWY5YjUpGSwcAAAcAAAA5AAAAFBBUjE=',
  'base64',
)
const csv = 'id,city\n1,Oslo\n2,Rome\n'
const rows = [
  { id: 1, city: 'Oslo' },
  { id: 2, city: 'Rome' },
]

describe.each(kinds)('$backend.name, $client.name', ({ backend: { fixture }, client: kind }) => {
  const { clientOf } = clientMaker(fixture, kind)

  test.each([
    ['data.parquet', parquet],
    ['data.csv', csv],
    ['data.json', JSON.stringify(rows)],
    ['data.ndjson', rows.map((row) => JSON.stringify(row)).join('\n')],
  ])('%s of a bucket becomes a table, or is asked where it is', async (key, content) => {
    const { db, bucket, name } = await newPair(clientOf())
    await bucket.put(key, content)
    expect(await db.importObject('imported_data', { bucket: name, key })).toBe(2)
    expect((await db.query('FROM imported_data ORDER BY id')).rows).toEqual(rows)
    await expect(db.importObject('imported_data', { bucket: name, key })).rejects.toThrow(ConflictError)
    expect(await db.importObject('imported_data', { bucket: name, key, mode: 'append' })).toBe(2)
    expect(await db.importObject('imported_data', { bucket: name, key, mode: 'replace' })).toBe(2)

    const answer = await db.queryObject({ bucket: name, key }, undefined, undefined, { limit: 1 })
    expect(answer).toMatchObject({ rows: [{ city: 'Oslo' }], more: true })
    const sql = 'SELECT o.city, count(*) AS n FROM object o JOIN imported_data i USING (id) WHERE id > ? GROUP BY ALL'
    expect((await db.queryObject({ bucket: name, key }, sql, [1])).rows).toEqual([{ city: 'Rome', n: 1 }])
    // What was asked is no table afterwards.
    await expect(db.query('FROM object')).rejects.toThrow(/Table with name object does not exist/)
    expect((await db.tables()).items.map((table) => table.name)).toEqual(['imported_data'])
  })

  test('what is wrong leaves nothing, and says which field it is', async () => {
    const mr = clientOf()
    const { db, bucket, name } = await newPair(mr)
    await bucket.put('data', csv)
    await bucket.put('text.csv', csv)
    await bucket.put('broken.json', '{"id": 1}\n{"id": }}')
    const path = async (answer: Promise<unknown>) => {
      const error = await answer.then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      expect(error).toBeInstanceOf(ValidationError)
      expect(String(error)).not.toMatch(/staging|\/tmp/)
      return (error as ValidationError).fields[0]!.path
    }
    const object = { bucket: name, key: 'text.csv' }
    await expect(db.importObject('t', { bucket: name, key: 'none.csv' })).rejects.toThrow(NotFoundError)
    await expect(db.importObject('t', { bucket: 'none', key: 'none.csv' })).rejects.toThrow(NotFoundError)
    await expect(mr.database('none').importObject('t', object)).rejects.toThrow(/no database 'none'/)
    await expect(db.queryObject({ bucket: name, key: 'none.csv' })).rejects.toThrow(NotFoundError)
    expect(await path(db.importObject('t', { bucket: name, key: 'data' }))).toBe('format')
    expect(await path(db.importObject('t', { ...object, format: 'xml' as 'csv' }))).toBe('format')
    expect(await path(db.importObject('t', { ...object, mode: 'merge' as 'append' }))).toBe('mode')
    expect(await path(db.importObject('t', { ...object, format: 'parquet' }))).toBe('key')
    expect(await path(db.importObject('t', { bucket: name, key: 'broken.json' }))).toBe('key')
    expect(await path(db.queryObject({ ...object, format: 'parquet' }))).toBe('key')
    expect(await path(db.queryObject(object, 'SELECT nope FROM object'))).toBe('sql')
    expect(await path(db.queryObject(object, 'DELETE FROM object'))).toBe('sql')
    expect(await path(db.queryObject(object, 'CREATE TABLE kept AS FROM object'))).toBe('sql')
    expect((await db.tables()).items).toEqual([])
    expect(await db.importObject('t', { bucket: name, key: 'data', format: 'csv' })).toBe(2)
  })

  test('a query of an object sees no path of the server', async () => {
    const { db, bucket, name } = await newPair(clientOf())
    await bucket.put('data.csv', csv)
    const sql = 'SELECT (SELECT list(t) FROM duckdb_tables() t)::VARCHAR || (SELECT list(v.sql) FROM duckdb_views() v)::VARCHAR AS seen'
    const { rows: seen } = await db.queryObject({ bucket: name, key: 'data.csv' }, sql)
    expect(JSON.stringify(seen)).toContain('object')
    expect(JSON.stringify(seen)).not.toMatch(/staging|read_csv/)
  })
})

test('an object of another namespace is not there', async () => {
  const mr = fixture.client()
  await mr.bucket('shared-name').create()
  await mr.bucket('shared-name').put('a.csv', csv)
  const other = fixture.client({ namespace: 'other' })
  const db = other.database('elsewhere')
  await db.create()
  await expect(db.importObject('t', { bucket: 'shared-name', key: 'a.csv' })).rejects.toThrow(NotFoundError)
  await expect(db.queryObject({ bucket: 'shared-name', key: 'a.csv' })).rejects.toThrow(NotFoundError)
})

test.each([
  [['objects:read', 'databases:read'], 'databases:write', 'query'],
  [['databases:read', 'databases:write'], 'objects:read', 'nothing'],
  [['objects:read', 'databases:write'], 'databases:read', 'import'],
])('a key for %j lacks %s, and is good for: %s', async (scopes, missing, allowed) => {
  const namespace = freshName()
  const mr = fixture.client({ namespace })
  await mr.database('mine').create()
  await mr.bucket('mine').create()
  await mr.bucket('mine').put('a.csv', csv)
  const { key: apiKey } = await mr.keys.create({ name: freshName(), scopes })
  const db = fixture.client({ namespace, apiKey }).database('mine')
  const object = { bucket: 'mine', key: 'a.csv' }
  const answers = [db.importObject('t', object), db.queryObject(object)]
  for (const [i, answer] of (await Promise.allSettled(answers)).entries()) {
    const isAllowed = allowed === ['import', 'query'][i]
    expect(answer.status).toBe(isAllowed ? 'fulfilled' : 'rejected')
    if (answer.status === 'rejected') expect(String(answer.reason)).toContain(missing)
  }
})
