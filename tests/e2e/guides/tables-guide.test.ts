import { ConflictError, type Millrace, NotFoundError, PermissionDeniedError, ValidationError } from '@millrace/client'
import { postgresVersion, startPostgres, whyMissing } from '@millrace/dev'
import { afterAll, describe, expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'

interface User {
  id: number
  name: string
  email: string
  age: number
  created_at: string
}

const users = {
  name: '001_users.sql',
  sql: `CREATE TABLE users (
    id serial PRIMARY KEY, name text NOT NULL UNIQUE, email text NOT NULL, age int CHECK (age >= 0), created_at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE FUNCTION older_than(years int) RETURNS SETOF users LANGUAGE sql STABLE AS 'SELECT * FROM users WHERE age > years ORDER BY age';
    CREATE FUNCTION add(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b'`,
}
const alice = { name: 'Alice', email: 'alice@example.com', age: 30 }
const bob = { name: 'Bob', email: 'bob@example.com', age: 25 }

const missing = whyMissing(postgresVersion)
const postgres = missing ? undefined : await startPostgres({ fsync: false })
afterAll(() => postgres?.stop())
const backends = [
  { name: 'pglite', fixture: useServer(), missing: undefined },
  { name: 'postgres', fixture: useServer({ flags: postgres ? ['--tables', postgres.url] : [] }), missing },
]

describe.each(backends)('tables on $name', ({ fixture, missing }) => {
  async function withUsers(): Promise<Millrace> {
    const mr = fixture.client()
    await mr.tables.migrate([users])
    return mr
  }

  test('rows are inserted, queried, updated and deleted', { timeout: 120_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = await withUsers()
    const table = mr.table<User>('users')
    const inserted = await table.insert([alice, bob, { name: 'Kid', email: 'kid@example.com', age: 12 }])
    expect(inserted.map(({ id, name, age }) => ({ id, name, age }))).toEqual([
      { id: 1, name: 'Alice', age: 30 },
      { id: 2, name: 'Bob', age: 25 },
      { id: 3, name: 'Kid', age: 12 },
    ])
    const adults = await table
      .select<Pick<User, 'id' | 'name' | 'email'>>('id, name, email')
      .where('age>20')
      .order('created_at.desc,id.desc')
      .limit(10)
    expect(adults).toEqual([
      { id: 2, name: 'Bob', email: 'bob@example.com' },
      { id: 1, name: 'Alice', email: 'alice@example.com' },
    ])
    expect(await table.select('id').where({ age: { gt: 25 } })).toEqual([{ id: 1 }])
    const updated = await table.update({ age: 26 }, { where: 'name=eq.Bob' })
    expect(updated).toMatchObject([{ name: 'Bob', age: 26 }])
    expect(await table.delete({ where: 'age<18', returning: 'name' })).toEqual([{ name: 'Kid' }])
    expect(await table.count()).toBe(2)
    expect(await table.count({ name: { like: 'A%' } })).toBe(1)
    expect(await table.select().order('age').offset(1).first()).toMatchObject({ name: 'Alice' })
  })

  test('what is there is changed, or left, by upsert', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = await withUsers()
    const table = mr.table<User>('users')
    await table.insert([alice])
    const rows = await table.upsert([{ ...alice, age: 31 }, bob], { onConflict: 'name' })
    expect(rows.map(({ name, age }) => [name, age])).toEqual([
      ['Alice', 31],
      ['Bob', 25],
    ])
    expect(await table.upsert([{ ...alice, age: 99 }], { onConflict: 'name', ignoreDuplicates: true })).toEqual([])
    expect(await table.select('age').where({ name: 'Alice' })).toEqual([{ age: 31 }])
    await expect(table.insert(alice)).rejects.toThrow(ConflictError)
  })

  test('functions are called by name', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = await withUsers()
    await mr.table<User>('users').insert([alice, bob])
    expect(await mr.tables.rpc<User>('older_than', { years: 26 })).toMatchObject([{ name: 'Alice' }])
    expect(await mr.tables.rpc('add', { a: 1, b: 2 })).toEqual([{ add: 3 }])
    await expect(mr.tables.rpc('nothing', { a: 1 })).rejects.toThrow(NotFoundError)
    await expect(mr.tables.rpc('nothing', { a: [1] })).rejects.toThrow(NotFoundError)
  })

  test("a list is what the function's argument is: JSON, an array, or any number of values", async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = await withUsers()
    await mr.tables.sql(`CREATE DOMAIN settings AS jsonb`)
    await mr.tables.sql(`CREATE FUNCTION show(a jsonb, b json, c settings, d text[], e jsonb[], OUT r jsonb) LANGUAGE sql AS
      'SELECT jsonb_build_object(''a'', a, ''b'', b, ''c'', c::jsonb, ''d'', d, ''e'', e)'`)
    const lists = { a: [{ x: 1n }, 'two'], b: [], c: [null, [1.5]], d: ['a,b'], e: [{ x: 1 }] }
    expect(await mr.tables.rpc('show', lists)).toEqual([{ r: { ...lists, a: [{ x: '1' }, 'two'] } }])
    await mr.tables.sql(`CREATE FUNCTION total(times int, VARIADIC numbers int[]) RETURNS int LANGUAGE sql AS
      'SELECT times * sum(n)::int FROM unnest(numbers) n'`)
    expect(await mr.tables.rpc('total', { numbers: [1, 2, 3], times: 2 })).toEqual([{ total: 12 }])
  })

  test('SQL binds its parameters', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = await withUsers()
    const { rows, affected, command } = await mr.tables.sql<User>(
      'INSERT INTO users (name, email, age) VALUES ($1, $2, $3) RETURNING name, age',
      [`Robert'); DROP TABLE users; --`, 'bobby@example.com', 8],
    )
    expect({ rows, affected, command }).toEqual({
      rows: [{ name: `Robert'); DROP TABLE users; --`, age: 8 }],
      affected: 1,
      command: 'INSERT',
    })
    expect(await mr.table('users').count()).toBe(1)
    await expect(mr.tables.sql('SELECT 1; DROP TABLE users')).rejects.toThrow('multiple commands')
  })

  test('values of every kind come back exactly', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = fixture.client()
    await mr.tables.sql(`CREATE TYPE mood AS ENUM ('sad', 'so so')`)
    await mr.tables.sql(
      `CREATE TABLE kinds (a bigint, b bigint, c numeric, d timestamptz, e date, f jsonb, g int[], h bytea, i boolean, j double precision, k mood[], l uuid, m text[], n text)`,
    )
    const row = {
      a: 42,
      b: 9007199254740993n,
      c: '12345678901234567890.123456789',
      d: '2026-01-31T12:00:00.123456Z',
      e: '2026-01-31',
      f: { deep: [1, 'two', null, { x: true }] },
      g: [1, 2, 3],
      h: new Uint8Array([0, 1, 255]),
      i: true,
      j: 0.1,
      k: ['sad', 'so so'],
      l: '11111111-2222-3333-4444-555555555555',
      m: ['a "quoted", one', '', 'back\\slash', 'NULL'],
      n: `it's \n "fine" ☃`,
    }
    expect(await mr.table('kinds').insert(row)).toEqual([row])
    expect(await mr.table('kinds').select()).toEqual([row])
    expect(await mr.table('kinds').count({ b: 9007199254740993n, d: new Date('2026-01-31T12:00:00.124Z') })).toBe(0)
    expect(await mr.table('kinds').count({ b: 9007199254740993n, 'f->>deep': { ne: null } })).toBe(1)
    await mr.table('kinds').delete({ all: true })
    await mr.table('kinds').insert([{ j: Number.NaN }, { a: 1 }, { j: Number.POSITIVE_INFINITY }])
    expect((await mr.table('kinds').select('j, a')).map(({ j, a }) => j ?? a)).toEqual(
      expect.arrayContaining([Number.NaN, 1, Number.POSITIVE_INFINITY]),
    )
  })

  test('wrong input is told of with the field', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = await withUsers()
    const table = mr.table('users')
    await expect(table.insert({ ...alice, age: 'old' })).rejects.toThrow(/rows: invalid input syntax for type integer: "old"/)
    await expect(table.insert({ ...alice, age: -1 })).rejects.toThrow(ValidationError)
    await expect(table.insert({ name: 'No mail' })).rejects.toMatchObject({ fields: [{ path: 'rows.email' }] })
    await expect(table.select('id, nmae')).rejects.toThrow(/Did you mean 'name'/)
    await expect(table.insert({ emial: 'x' })).rejects.toThrow(/Did you mean 'email'/)
    await expect(table.select('id; DROP TABLE users')).rejects.toThrow(ValidationError)
    await expect(table.select().order('id; DROP TABLE users')).rejects.toThrow(ValidationError)
    await expect(table.update({ age: 1 }, {})).rejects.toThrow(/changes every row/)
    await expect(table.delete({})).rejects.toThrow(/deletes every row/)
    await expect(table.select().where('age=above.3')).rejects.toThrow(ValidationError)
    await expect(mr.table('userz').select()).rejects.toThrow(NotFoundError)
    await expect(mr.table(`users"; DROP TABLE users; --`).select()).rejects.toThrow(NotFoundError)
    expect(await table.select().where({ name: `' OR '1'='1` })).toEqual([])
    expect(await table.select().where(`name=eq.' OR true --`)).toEqual([])
    expect(await table.count()).toBe(0)
  })

  test('users see their rows alone', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const namespace = freshName()
    const mr = fixture.client({ namespace })
    await mr.tables.migrate([
      {
        name: 'notes',
        sql: `CREATE TABLE notes (id serial PRIMARY KEY, owner text NOT NULL DEFAULT current_setting('millrace.user'), text text);
          ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
          CREATE POLICY own ON notes USING (owner = current_setting('millrace.user'))`,
      },
    ])
    await mr.table('notes', { user: 'ann' }).insert({ text: 'of Ann' })
    await mr.table('notes', { user: 'bob' }).insert({ text: 'of Bob' })
    expect(await mr.table('notes', { user: 'ann' }).select('text')).toEqual([{ text: 'of Ann' }])
    expect(await mr.table('notes', { user: 'ann' }).update({ text: 'mine' }, { all: true })).toHaveLength(1)
    await expect(mr.table('notes', { user: 'ann' }).insert({ owner: 'bob', text: 'x' })).rejects.toThrow(PermissionDeniedError)
    expect(await mr.table('notes').count()).toBe(2)
    const { token } = await mr.tokens.create({ scopes: ['tables:read', 'tables:write', 'tables:sql'], user: 'bob' })
    const page = fixture.client({ apiKey: undefined, token, namespace })
    expect(await page.table('notes').select('text')).toEqual([{ text: 'of Bob' }])
    await expect(page.table('notes', { user: 'ann' }).select('text')).rejects.toThrow(ValidationError)
    await expect(page.tables.sql('SELECT * FROM notes')).rejects.toThrow(PermissionDeniedError)
  })

  test('migrations are carried out once', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = fixture.client()
    expect(await mr.tables.migrate([users], { dryRun: true })).toEqual({ applied: [users.name], alreadyApplied: [] })
    expect(await mr.tables.migrate([users])).toEqual({ applied: [users.name], alreadyApplied: [] })
    const more = { name: '002_more.sql', sql: 'ALTER TABLE users ADD nick text; CREATE VIEW nicks AS SELECT nick FROM users' }
    expect(await mr.tables.migrate([users, more])).toEqual({ applied: [more.name], alreadyApplied: [users.name] })
    await expect(mr.tables.migrate([{ ...users, sql: 'SELECT 1' }])).rejects.toThrow(/has changed since/)
    await expect(mr.tables.migrate([{ name: 'bad', sql: 'CREATE TABLE half (id int); CREATE TABLE half (id int)' }])).rejects.toThrow(
      /already exists/,
    )
    expect((await mr.tables.list()).map(({ name, kind }) => [name, kind])).toEqual([
      ['nicks', 'view'],
      ['users', 'table'],
    ])
    expect(await mr.tables.describe('users')).toMatchObject({
      primaryKey: ['id'],
      rowSecurity: false,
      columns: [
        { name: 'id', type: 'integer', nullable: false },
        { name: 'name' },
        { name: 'email' },
        { name: 'age', nullable: true },
        {},
        { name: 'nick' },
      ],
    })
  })

  test('changes are followed one by one, as users may see them', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = await withUsers()
    await mr.tables.sql('ALTER TABLE users ENABLE ROW LEVEL SECURITY')
    await mr.tables.sql(`CREATE POLICY own ON users USING (name = current_setting('millrace.user'))`)
    const follow = async (user: string, count: number) => {
      const begun = Promise.withResolvers<void>()
      const read = async () => {
        const seen: unknown[] = []
        const options = { where: { age: { gt: 18 } }, onCursor: () => begun.resolve() }
        for await (const change of mr.table<User>('users', { user }).changes(options)) {
          if (change.type !== 'truncate') seen.push([change.type, change.row.name, change.row.age])
          if (seen.length === count) break
        }
        return seen
      }
      const done = read()
      await begun.promise
      return { done }
    }
    const [forAlice, forOwner] = [await follow('Alice', 2), await follow('', 3)]
    const table = mr.table<User>('users')
    await table.insert([alice, bob])
    await table.update({ age: 12 }, { where: 'name=eq.Alice' })
    expect(await forAlice.done).toEqual([
      ['insert', 'Alice', 30],
      ['delete', 'Alice', 30],
    ])
    expect(await forOwner.done).toEqual([
      ['insert', 'Alice', 30],
      ['insert', 'Bob', 25],
      ['delete', 'Alice', 30],
    ])
  })
})
