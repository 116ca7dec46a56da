import { type Case, collect, failureOf } from '../kit.ts'

const wrongSql = { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['sql'] }

export const databaseCases: readonly Case[] = [
  {
    name: 'a database is made, filled, asked, streamed and dropped',
    expected: {
      inserted: 2,
      rows: [{ id: '9007199254740993', name: 'Bob', at: '2027-01-31T12:00:00.000000Z', photo: [0, 255], tags: [['a', 1]] }],
      more: true,
      streamed: 50_000,
      tables: ['o', 'users'],
      imported: [3, 1],
      dropped: [true, false],
    },
    async run(kit) {
      const db = kit.client().database('sales')
      await db.create()
      await db.createTable('users', {
        id: { type: 'BIGINT', primaryKey: true },
        name: 'VARCHAR',
        at: 'TIMESTAMPTZ',
        photo: 'BLOB',
        tags: 'MAP(VARCHAR, INTEGER)',
      })
      const inserted = await db.execute("INSERT INTO users VALUES ($1, $2, $3, $4, MAP {'a': 1}), (1, 'Ann', NULL, NULL, NULL)", [
        9007199254740993n,
        'Bob',
        new Date('2027-01-31T12:00:00Z'),
        new Uint8Array([0, 255]),
      ])
      const { rows, more } = await db.query<{ id: bigint; name: string; at: string; photo: Uint8Array; tags: Map<string, number> }>(
        'FROM users ORDER BY id DESC',
        undefined,
        { limit: 1 },
      )
      const streamed = await collect(db.queryStream('FROM range(50000)'))
      return {
        inserted,
        rows: rows.map((row) => ({ ...row, id: String(row.id), photo: [...row.photo], tags: [...row.tags] })),
        more,
        streamed: streamed.length,
        imported: [
          await db.importStream('o', [{ a: 1 }, { a: 2 }, { a: 3 }]),
          await db.importStream('o', ['a\n4\n'], { format: 'csv', mode: 'append' }),
        ],
        tables: (await db.tables()).items.map(({ name }) => name),
        dropped: [await db.drop(), await db.drop()],
      }
    },
  },
  {
    name: 'SQL that is wrong says where, and what a constraint forbids is a conflict',
    expected: {
      wrong: wrongSql,
      place: 'line 1, column 8',
      streamed: wrongSql,
      conflict: { name: 'ConflictError', code: 'FAILED_PRECONDITION', statusCode: 409, requestId: 'given' },
      none: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'database' },
    },
    async run(kit) {
      const db = kit.client().database('sales')
      await db.create({ ifNotExists: true })
      await db.execute('CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY)')
      await db.execute('INSERT OR IGNORE INTO t VALUES (1)')
      const message: unknown = await db.query('SELECT nope').then(undefined, (error: Error) => error.message)
      return {
        wrong: await failureOf(db.query('SELECT nope')),
        place: /line \d+, column \d+/.exec(String(message))?.[0],
        streamed: await failureOf(collect(db.queryStream('SELECT nope'))),
        conflict: await failureOf(db.batch(['INSERT INTO t VALUES (2)', { sql: 'INSERT INTO t VALUES (?)', parameters: [1] }])),
        none: await failureOf(kit.client().database('none').query('SELECT 1')),
      }
    },
  },
  {
    name: 'an object of a bucket is imported, and asked where it is',
    expected: {
      imported: [2, 2],
      rows: [{ city: 'Rome', n: 2 }],
      none: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'object' },
    },
    async run(kit) {
      const mr = kit.client()
      const [db, bucket] = [mr.database('objects'), mr.bucket('raw')]
      await db.create()
      await bucket.create()
      await bucket.put('data.csv', 'id,city\n1,Oslo\n2,Rome\n')
      const object = { bucket: 'raw', key: 'data.csv' }
      return {
        imported: [await db.importObject('t', object), await db.importObject('t', { ...object, mode: 'append' })],
        rows: (
          await db.queryObject(object, 'SELECT city, count(*) AS n FROM object JOIN t USING (id, city) WHERE id > ? GROUP BY ALL', [1])
        ).rows,
        none: await failureOf(db.importObject('t', { bucket: 'raw', key: 'none.csv' })),
      }
    },
  },
  {
    name: 'rows become an object of a bucket',
    expected: {
      table: { rows: 2, size: 6 },
      query: { rows: 1, size: 13 },
      text: '[\n\t{"a":2}\n]\n',
      none: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'bucket' },
    },
    async run(kit) {
      const mr = kit.client()
      const [db, bucket] = [mr.database('exports'), mr.bucket('exported')]
      await db.create()
      await bucket.create()
      await db.execute('CREATE TABLE t AS SELECT unnest([1, 2]) AS a')
      const seen = async ({ rows, size, etag }: { rows: number; size: number; etag: string }, key: string) => {
        return (await bucket.stat(key))?.etag === etag ? { rows, size } : { etag }
      }
      const query = { sql: 'FROM t WHERE a > $1', parameters: [1] }
      return {
        table: await seen(await db.exportObject('t', { bucket: 'exported', key: 't.csv' }), 't.csv'),
        query: await seen(await db.exportObject(query, { bucket: 'exported', key: 't.json' }), 't.json'),
        text: await (await bucket.get('t.json')).text(),
        none: await failureOf(db.exportObject('t', { bucket: 'none', key: 't.csv' })),
      }
    },
  },
  {
    name: 'a database is backed up and restored',
    expected: {
      isWhole: true,
      restored: { name: 'backed-up-too', metadata: { of: 'tests' } },
      rows: [{ a: 1 }, { a: 2 }],
      there: { name: 'ConflictError', code: 'ALREADY_EXISTS', statusCode: 409, requestId: 'given' },
      wrong: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['key'] },
    },
    async run(kit) {
      const mr = kit.client()
      const [db, other, bucket] = [mr.database('backed-up'), mr.database('backed-up-too'), mr.bucket('backups')]
      await db.create({ metadata: { of: 'tests' } })
      await bucket.create()
      await db.execute('CREATE TABLE t AS SELECT unnest([1, 2]) AS a')
      const object = { bucket: 'backups', key: 'today' }
      const { size, etag } = await db.backup(object)
      const stat = await bucket.stat('today')
      const { name, metadata } = await other.restore(object)
      await bucket.put('wrong', 'no backup')
      return {
        isWhole: stat?.size === size && stat.etag === etag,
        restored: { name, metadata },
        rows: (await other.query('FROM t ORDER BY a')).rows,
        there: await failureOf(other.restore(object)),
        wrong: await failureOf(other.restore({ bucket: 'backups', key: 'wrong', replace: true })),
      }
    },
  },
]
