import { ConflictError, NotFoundError, TimeoutError, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'

const fixture = useServer()

/** A database of its own. */
async function newDatabase() {
  const db = fixture.client().database(
    freshName('db')
      .toLowerCase()
      .replace(/[^a-z0-9_-]/g, '-'),
  )
  await db.create()
  return db
}

describe('databases', () => {
  test('are made, listed, described and dropped', async () => {
    const mr = fixture.client()
    const db = mr.database('analytics')
    const made = await db.create({ metadata: { description: 'Analytics DB' } })
    expect(made).toMatchObject({ name: 'analytics', metadata: { description: 'Analytics DB' } })
    await expect(db.create()).rejects.toThrow(ConflictError)
    expect(await db.create({ ifNotExists: true, metadata: { description: 'another' } })).toMatchObject(made)
    expect((await mr.databases.list()).items).toContainEqual(await db.info())
    expect(await db.drop()).toBe(true)
    expect(await db.drop()).toBe(false)
    await expect(db.info()).rejects.toThrow(NotFoundError)
    await expect(db.query('SELECT 1')).rejects.toThrow(/no database 'analytics'.*on the disk of one server/)
  })

  test.each(['', 'Sales', '../x', 'a/b', '.x', 'x'.repeat(64), 'ä'])('are not called %j', async (name) => {
    await expect(fixture.client().database(name).create()).rejects.toThrow(ValidationError)
  })

  test('hold a table that is made, filled, asked and listed', async () => {
    const db = await newDatabase()
    await db.createTable('users', { id: 'INTEGER', name: 'VARCHAR', age: 'INTEGER', created_at: 'TIMESTAMP' })
    const inserted = await db.execute("INSERT INTO users VALUES (1, 'Alice', 30, NOW()), (2, 'Bob', 25, NOW())")
    expect(inserted).toBe(2)
    const { rows, columns, more } = await db.query<{ name: string; age: number }>(
      'SELECT name, age FROM users WHERE age > ? ORDER BY age DESC',
      [20],
      { limit: 100 },
    )
    expect(rows).toEqual([
      { name: 'Alice', age: 30 },
      { name: 'Bob', age: 25 },
    ])
    expect({ columns, more }).toEqual({
      columns: [
        { name: 'name', type: 'VARCHAR' },
        { name: 'age', type: 'INTEGER' },
      ],
      more: false,
    })
    expect((await db.tables()).items.map(({ name }) => name)).toEqual(['users'])
  })
})

describe('tables and views', () => {
  test('are described', async () => {
    const db = await newDatabase()
    const table = await db.createTable('od"d name', {
      id: { type: 'BIGINT', primaryKey: true },
      price: { type: 'DECIMAL(18, 2)', notNull: true },
      tags: 'VARCHAR[]',
      'a b': "STRUCT(x INTEGER, \"y z\" ENUM('p', 'q'))",
    })
    expect(table).toMatchObject({ name: 'od"d name', kind: 'table' })
    expect(table.columns.map(({ name, type, notNull, primaryKey }) => [name, type, notNull, primaryKey])).toEqual([
      ['id', 'BIGINT', true, true],
      ['price', 'DECIMAL(18,2)', true, false],
      ['tags', 'VARCHAR[]', false, false],
      ['a b', "STRUCT(x INTEGER, \"y z\" ENUM('p', 'q'))", false, false],
    ])
    await expect(db.createTable('od"d name', { id: 'INTEGER' })).rejects.toThrow(ConflictError)
    expect(await db.createTable('od"d name', { id: 'INTEGER' }, { ifNotExists: true })).toEqual(table)
    const view = await db.createView('cheap', 'SELECT id FROM "od""d name" WHERE price < 5')
    expect(view).toMatchObject({ kind: 'view', columns: [{ name: 'id', type: 'BIGINT' }] })
    expect((await db.views()).items).toEqual([view])
    expect(await db.dropTable('cheap')).toBe(false)
    expect(await db.dropView('cheap')).toBe(true)
    expect(await db.dropTable('od"d name')).toBe(true)
    await expect(db.describe('od"d name')).rejects.toThrow(NotFoundError)
  })

  test.each(['INTEGER DEFAULT 5', 'INTEGER); DROP TABLE x; --', 'INTEGER, b INTEGER', 'INT /* */', "VARCHAR') --", 'nonsense'])(
    'have no column of type %j',
    async (type) => {
      const db = await newDatabase()
      await expect(db.createTable('t', { a: type })).rejects.toThrow(ValidationError)
      expect((await db.tables()).items).toEqual([])
    },
  )

  test('are summed up', async () => {
    const db = await newDatabase()
    await db.execute("CREATE TABLE t AS SELECT i, CASE WHEN i % 4 = 0 THEN NULL ELSE 'x' || i END AS s FROM range(1000) r(i)")
    const { rows, columns } = await db.statistics('t')
    expect(rows).toBe(1000)
    expect(columns).toMatchObject([
      { name: 'i', type: 'BIGINT', min: '0', max: '999', nullPercentage: 0 },
      { name: 's', type: 'VARCHAR', min: 'x1', max: 'x999', nullPercentage: 25 },
    ])
  })
})

describe('statements', () => {
  test('of a batch hold together or not at all', async () => {
    const db = await newDatabase()
    await db.createTable('t', { id: { type: 'INTEGER', primaryKey: true } })
    const insert = 'INSERT INTO t VALUES ($1)'
    expect(await db.batch([{ sql: insert, parameters: [1] }, { sql: insert, parameters: [2] }, 'DELETE FROM t WHERE id = 1'])).toEqual([
      1, 1, 1,
    ])
    await expect(
      db.batch([
        { sql: insert, parameters: [3] },
        { sql: insert, parameters: [2] },
      ]),
    ).rejects.toThrow(ConflictError)
    await expect(db.batch([{ sql: insert, parameters: [3] }, 'DELETE FROM t', 'COMMIT'])).rejects.toMatchObject({
      fields: [{ path: 'statements[2].sql' }],
    })
    expect((await db.query('FROM t')).rows).toEqual([{ id: 2 }])
  })

  test.each<[string, string, string]>([
    ['SELECT nope FROM range(3)', 'line 1, column 8', 'Referenced column "nope" not found'],
    ['SELECT 1,\n  2 + )', 'line 2, column 7', 'syntax error'],
    ["SELECT 'ü🦆', nope", 'line 1, column 14', 'Referenced column "nope"'],
    ['FROM nowhere', 'line 1, column 6', 'Table with name nowhere does not exist'],
    ['SELECT 1; SELECT 2', 'sql', '2 statements'],
    [' -- nothing', 'sql', 'no statement'],
    ['INSERT INTO t VALUES (1)', 'sql', ''],
  ])('that are wrong say where: %s', async (sql, place, what) => {
    const db = await newDatabase()
    const error: unknown = await db.query(sql).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ValidationError)
    expect((error as ValidationError).message).toContain(place)
    expect((error as ValidationError).message).toContain(what)
    expect((error as ValidationError).fields[0]!.path).toBe('sql')
  })

  test('whose values do not fit their type say so, and change nothing', async () => {
    const db = await newDatabase()
    await db.createTable('t', { id: 'TINYINT', price: 'DECIMAL(4, 2)', day: 'DATE' })
    for (const [sql, parameters, what] of [
      ['INSERT INTO t (id) VALUES (?)', ['abc'], "'abc'"],
      ['INSERT INTO t (id) VALUES (?)', [1000], 'INT8'],
      ['INSERT INTO t (id) VALUES (?)', [2n ** 100n], 'INT8'],
      ['INSERT INTO t (price) VALUES (?)', ['123.45'], 'DECIMAL'],
      ['INSERT INTO t (day) VALUES (?)', ['2027-02-30'], '2027-02-30'],
      ['INSERT INTO t (id) SELECT range FROM range(200)', undefined, 'INT8'],
    ] as const) {
      const error: unknown = await db.execute(sql, parameters).catch((thrown: unknown) => thrown)
      expect(error, sql).toBeInstanceOf(ValidationError)
      expect((error as ValidationError).message).toContain(what)
      expect((error as ValidationError).fields[0]!.path).toBe('sql')
    }
    await expect(db.importStream('t', [{ id: 'abc' }], { mode: 'append' })).rejects.toThrow(ValidationError)
    await expect(db.importStream('t', ['id,price\n1,x\n'], { format: 'csv', mode: 'append' })).rejects.toThrow(ValidationError)
    expect((await db.query('FROM t')).rows).toEqual([])
  })

  test('end at their time and with their signal', async () => {
    const db = await newDatabase()
    const endless = 'SELECT count(*) FROM range(100000) a, range(100000) b, range(100000) c WHERE (a.range + b.range + c.range) % 7 = 3'
    await expect(db.query(endless, [], { timeout: 200 })).rejects.toThrow(TimeoutError)
    const stop = new AbortController()
    const query = db.query(endless, [], { signal: stop.signal, timeout: '5m' })
    stop.abort()
    await expect(query).rejects.toMatchObject({ name: 'AbortError' })
    expect((await db.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  })

  test('are explained', async () => {
    const db = await newDatabase()
    expect(await db.explain('SELECT sum(i) FROM range(10) r(i) WHERE i > ?', [5])).toContain('RANGE')
    expect(await db.explain('SELECT sum(i) FROM range(10) r(i)', [], { analyze: true })).toContain('Total Time')
    for (const sql of ['EXPLAIN SELECT 1', '-- why\nEXPLAIN (FORMAT json) SELECT 1', 'EXPLAIN/**/ANALYZE (SELECT 1)']) {
      expect((await db.query(sql)).rows, sql).toHaveLength(1)
    }
  })
})

describe('imports from the client', () => {
  test('make a table of objects, of text and of bytes, and add to it', async () => {
    const db = await newDatabase()
    async function* orders() {
      for (let id = 0; id < 50_000; id++) yield { id, city: id % 2 ? 'Oslo' : 'Rome', price: id / 4 }
    }
    expect(await db.importStream('orders', orders())).toBe(50_000)
    expect((await db.query('SELECT count(*) AS n, sum(price) AS total FROM orders')).rows).toEqual([{ n: 50_000, total: 312_493_750 }])
    await expect(db.importStream('orders', [{ id: 1 }])).rejects.toThrow(ConflictError)
    expect(await db.importStream('orders', [{ id: -(2n ** 40n) }], { mode: 'append' })).toBe(1)
    const bytes = [{ id: Buffer.from('1') }]
    await expect(db.importStream('orders', bytes, { mode: 'append' })).rejects.toThrow("gave an object with bytes in 'id'")
    // JSON would make NULL of these, without a word.
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, new Map([[1, 2]])]) {
      await expect(db.importStream('orders', [{ id: 1, price: value }], { mode: 'append' })).rejects.toThrow("in 'price'; JSON has none")
    }
    const csv = ['id,city\n50000,', 'Bern\n', '50001,"Le Mans"\n']
    expect(await db.importStream('orders', csv, { format: 'csv', mode: 'append' })).toBe(2)
    expect((await db.query('FROM orders WHERE id >= 50000 ORDER BY id')).rows).toEqual([
      { id: 50_000, city: 'Bern', price: null },
      { id: 50_001, city: 'Le Mans', price: null },
    ])
    expect((await db.query('SELECT min(id) AS id FROM orders')).rows).toEqual([{ id: -(2 ** 40) }])
    expect(await db.importStream('orders', [new TextEncoder().encode('a\n1\n2\n')], { format: 'csv', mode: 'replace' })).toBe(2)
    expect((await db.query('FROM orders')).rows).toEqual([{ a: 1 }, { a: 2 }])
  })

  test('of nothing add nothing, and make or replace no table', async () => {
    const db = await newDatabase()
    await db.importStream('t', [{ id: 1 }])
    for (const [source, format] of [
      [[], 'json'],
      [['[]'], 'json'],
      [['[ ]\n'], 'json'],
      [[''], 'csv'],
      [['id\n'], 'csv'],
    ] as const) {
      expect(await db.importStream('t', source, { format, mode: 'append' })).toBe(0)
      if (source[0] === 'id\n') continue
      await expect(db.importStream('t', source, { format, mode: 'replace' })).rejects.toThrow('no columns to make a table of')
      await expect(db.importStream('new', source, { format })).rejects.toThrow(ValidationError)
      await expect(db.importStream('new', source, { format, mode: 'append' })).rejects.toThrow('new does not exist')
    }
    expect((await db.query('FROM t')).rows).toEqual([{ id: 1 }])
    expect((await db.tables()).items.map(({ name }) => name)).toEqual(['t'])
  })

  test('leave nothing when something is wrong with them', async () => {
    const db = await newDatabase()
    const rows = [{ id: 1 }, { id: 2 }]
    await expect(db.importStream('t', ['{"id": 1}\n{"id": 2', '}}}\n'])).rejects.toThrow(ValidationError)
    await expect(db.importStream('t', rows, { format: 'parquet' })).rejects.toThrow(ValidationError)
    await expect(db.importStream('t', rows, { mode: 'append' })).rejects.toThrow(ValidationError)
    async function* breaks() {
      yield* rows
      throw new Error('the source broke')
    }
    await expect(db.importStream('t', breaks())).rejects.toThrow('the source broke')
    expect((await db.tables()).items).toEqual([])
    await db.createTable('t', { id: { type: 'INTEGER', primaryKey: true } })
    await expect(db.importStream('t', [{ id: 5 }, { id: 6 }, { id: 5 }], { mode: 'append' })).rejects.toThrow(ConflictError)
    expect((await db.query('FROM t')).rows).toEqual([])
    const error: unknown = await db.importStream('t', ['x,"y\n1'], { format: 'csv', mode: 'append' }).catch((thrown: unknown) => thrown)
    expect(String(error)).not.toMatch(/staging|\/tmp/)
  })
})

describe('values', () => {
  test('come back as they went in, exactly', async () => {
    const db = await newDatabase()
    const values = [2n ** 126n, 9007199254740993n, -5, 0.1, 'ü🦆', true, null, Uint8Array.of(0, 255), [1, 2], { a: [1n], b: 'x' }]
    const sql = `SELECT ${values.map((_, i) => `$${i + 1} AS v${i}`).join(', ')}`
    const { rows } = await db.query(sql, values)
    expect(Object.values(rows[0]!)).toEqual([
      2n ** 126n,
      9007199254740993n,
      -5,
      0.1,
      'ü🦆',
      true,
      null,
      Uint8Array.of(0, 255),
      [1, 2],
      { a: [1], b: 'x' },
    ])
    const at = new Date('2027-01-31T12:00:00.250Z')
    expect((await db.query("SELECT $at AS at, $at = TIMESTAMPTZ '2027-01-31 12:00:00.25+00' AS same", { at })).rows).toEqual([
      { at: '2027-01-31T12:00:00.250000Z', same: true },
    ])
  })

  test('of types that JSON has not are what they are', async () => {
    const db = await newDatabase()
    const { rows } = await db.query(`SELECT
      MAP {'a': 9007199254740993, 'b': NULL} AS map,
      [{'n': '\\xFF'::BLOB, 'odd, "name': 'nan'::DOUBLE}] AS list,
      union_value(big := 9007199254740993) AS union,
      INTERVAL '14 months 3 days 1 microsecond' AS interval,
      '123456789012345678.90'::DECIMAL(20, 2) AS decimal,
      '-inf'::FLOAT AS infinite`)
    expect(rows).toEqual([
      {
        map: new Map<string, unknown>([
          ['a', 9007199254740993n],
          ['b', null],
        ]),
        list: [{ n: Uint8Array.of(255), 'odd, "name': Number.NaN }],
        union: { tag: 'big', value: 9007199254740993n },
        interval: { months: 14, days: 3, micros: 1 },
        decimal: '123456789012345678.90',
        infinite: Number.NEGATIVE_INFINITY,
      },
    ])
  })

  test('stream, as many as there are', async () => {
    const db = await newDatabase()
    let sum = 0
    let count = 0
    for await (const { i } of db.queryStream<{ i: number }>('SELECT i FROM range(300000) r(i)')) {
      sum += i
      count++
    }
    expect({ count, sum }).toEqual({ count: 300_000, sum: (299_999 * 300_000) / 2 })
    for await (const row of db.queryStream('FROM range(1000000000000)')) {
      expect(row).toEqual({ range: 0 })
      break
    }
    await expect(db.queryStream('SELECT nope').next()).rejects.toThrow(ValidationError)
    expect(await db.queryStream('SELECT 1 WHERE false').next()).toMatchObject({ done: true })
  })
})
