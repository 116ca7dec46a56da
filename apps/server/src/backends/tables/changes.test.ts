import { describe, expect, onTestFinished, test } from 'vitest'
import { TableEngine } from '../../domain/tables/engine.ts'
import { RowChanges } from '../../domain/tables/row-changes.ts'
import { insertStatement } from '../../domain/tables/statements.ts'
import { testBackends } from './test-backends.ts'
import { useChanges } from './test-changes.ts'

const other = { tenant: 2, namespace: 'default' }

describe.each(await testBackends())('$name', (backend) => {
  const { name, missing } = backend
  const t = useChanges(backend)
  const { clock, scope, run, watch } = t

  test('each change is told with the row as it was and as it is, whatever made it', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run(
      'CREATE TABLE things (id int PRIMARY KEY, name text, big bigint, bytes bytea, at timestamptz, data json, sum numeric, tags text[])',
    )
    await run(`INSERT INTO things (id, name) VALUES (1, 'before')`)
    const things = await watch('things', { columns: 'id,name' })
    await run(`INSERT INTO things (id, name) VALUES (2, 'b'), (3, 'c')`)
    await run(`UPDATE things SET name = 'B' WHERE id = 2`)
    await run('DELETE FROM things WHERE id = 1')
    await run(`BEGIN`)
    await run('TRUNCATE things')
    expect(await things.next(5)).toEqual([
      ['insert', { id: 2, name: 'b' }],
      ['insert', { id: 3, name: 'c' }],
      ['update', { id: 2, name: 'b' }, { id: 2, name: 'B' }],
      ['delete', { id: 1, name: 'before' }],
      ['truncate'],
    ])
    const all = await watch('things')
    await run(
      `INSERT INTO things VALUES (4, 'd', 9007199254740993, '\\x00ff', '2026-01-31T13:00:00.123456+01', '{"x": 1.0}', 0.10, '{a,NULL}')`,
    )
    const values = {
      big: '9007199254740993',
      bytes: '\\x00ff',
      at: '2026-01-31T12:00:00.123456Z',
      data: { x: 1 },
      sum: '0.10',
      tags: ['a', null],
    }
    expect(await all.next(1)).toEqual([['insert', { id: 4, name: 'd', ...values }]])
  })

  test('what enters a selection is an insert, what leaves it a delete', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE people (name text, age int)')
    const adults = await watch('people', { where: { age: { gte: 18 } } })
    await run(`INSERT INTO people VALUES ('ann', 17), ('bob', 40)`)
    await run('UPDATE people SET age = age + 1')
    await run(`UPDATE people SET age = 3 WHERE name = 'bob'`)
    await run(`UPDATE people SET age = 4 WHERE name = 'bob'`)
    await run('DELETE FROM people')
    expect(await adults.next(5)).toEqual([
      ['insert', { name: 'bob', age: 40 }],
      ['insert', { name: 'ann', age: 18 }],
      ['update', { name: 'bob', age: 40 }, { name: 'bob', age: 41 }],
      ['delete', { name: 'bob', age: 41 }],
      ['delete', { name: 'ann', age: 18 }],
    ])
  })

  test('it goes on after a cursor, in the middle of many changes too, and misses none', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE many (id int)')
    const first = await watch('many')
    await run('INSERT INTO many SELECT generate_series(1, 1200)')
    while (first.seen.length < 600) await first.read()
    const { cursor } = first.seen[555]!
    first.leave()
    await run('INSERT INTO many VALUES (1201)')
    const rest = await watch('many', { after: cursor })
    const ids = (await rest.next(1201 - 556)).map(([, row]) => row.id)
    expect(ids).toEqual(Array.from({ length: 1201 - 556 }, (_, i) => 557 + i))
  })

  test('a transaction that commits after later ones is not skipped', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has one connection: no two transactions at a time')
    await run('CREATE TABLE late (id int)')
    const late = await watch('late')
    const place = (await t.engine.find(scope))!
    const rows = (id: number) =>
      insertStatement({ schema: place.schema, table: 'late' }, ['id'], JSON.stringify([{ id }]), undefined, undefined)
    await t.opened.database.asRole(place.owner, async (connection) => {
      await connection.query('BEGIN')
      const { text, values } = rows(1)
      await connection.query(text, values)
      await run('INSERT INTO late VALUES (2)')
      expect(await late.next(1)).toEqual([['insert', { id: 2 }]])
      const meanwhile = late.cursor()
      await run('INSERT INTO late VALUES (3)')
      await connection.query('COMMIT')
      const again = await watch('late', { after: meanwhile })
      expect(await again.next(2)).toEqual([
        ['insert', { id: 1 }],
        ['insert', { id: 3 }],
      ])
    })
    expect(await late.next(2)).toEqual([
      ['insert', { id: 1 }],
      ['insert', { id: 3 }],
    ])
  })

  test('users see of changes what policies and columns show them, as rows were and as they are', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE shared_with (note int, name text)')
    await run('CREATE TABLE notes (id int PRIMARY KEY, owner text, secret text)')
    await run('ALTER TABLE notes ENABLE ROW LEVEL SECURITY')
    await run(`CREATE POLICY own ON notes USING (owner = current_setting('millrace.user'))`)
    await run(
      `CREATE POLICY shared ON notes FOR SELECT USING (EXISTS (SELECT FROM shared_with s WHERE s.note = notes.id AND s.name = current_setting('millrace.user')))`,
    )
    await run(`CREATE POLICY open ON notes AS RESTRICTIVE FOR SELECT USING (secret IS DISTINCT FROM 'closed')`)
    await run(`INSERT INTO shared_with VALUES (9, 'ann')`)
    const [ann, bob, owner] = [await watch('notes', { user: 'ann' }), await watch('notes', { user: 'bob' }), await watch('notes')]
    await run(`INSERT INTO notes VALUES (1, 'ann', 'x'), (2, 'bob', 'y'), (9, 'bob', 'z'), (3, 'ann', 'closed')`)
    await run(`UPDATE notes SET owner = 'bob' WHERE id = 1`)
    await run(`UPDATE notes SET owner = 'ann', secret = 'new' WHERE id = 2`)
    await run('DELETE FROM notes')
    const row = (id: number, by: string, secret: string) => ({ id, owner: by, secret })
    expect(await ann.next(5)).toEqual([
      ['insert', row(1, 'ann', 'x')],
      ['insert', row(9, 'bob', 'z')],
      ['delete', row(1, 'ann', 'x')],
      ['insert', row(2, 'ann', 'new')],
      ['delete', row(9, 'bob', 'z')],
    ])
    expect(await bob.next(4)).toEqual([
      ['insert', row(2, 'bob', 'y')],
      ['insert', row(9, 'bob', 'z')],
      ['insert', row(1, 'bob', 'x')],
      ['delete', row(2, 'bob', 'y')],
    ])
    expect(await owner.next(10)).toHaveLength(10)

    const users = `${(await t.engine.find(scope))!.schema}_user`
    await run('CREATE TABLE cards (id int, pin int)')
    await run(`REVOKE SELECT ON cards FROM "${users}"`)
    await expect(watch('cards', { user: 'ann' })).rejects.toMatchObject({ reason: 'PERMISSION_DENIED' })
    await run(`GRANT SELECT (id) ON cards TO "${users}"`)
    const cards = await watch('cards', { user: 'ann' })
    await expect(watch('cards', { user: 'ann', where: { pin: 1 } })).rejects.toMatchObject({ reason: 'VALIDATION' })
    await expect(watch('cards', { user: 'ann', columns: 'pin' })).rejects.toMatchObject({ reason: 'VALIDATION' })
    await run('INSERT INTO cards VALUES (1, 4711)')
    expect(await cards.next(1)).toEqual([['insert', { id: 1 }]])
  })

  test('users neither read nor write the log, but what they change is noted; others reach nothing of it', {
    timeout: 60_000,
  }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE inbox (id int, owner text)')
    const inbox = await watch('inbox')
    const place = (await t.engine.find(scope))!
    const asUser = (text: string) => t.engine.work({ scope, user: 'ann' }, place, { field: 'text' }, (connection) => connection.query(text))
    await asUser(`INSERT INTO "${place.schema}".inbox VALUES (1, 'ann')`)
    expect(await inbox.next(1)).toEqual([['insert', { id: 1, owner: 'ann' }]])
    for (const table of ['millrace_row_changes', 'millrace_watched_tables']) {
      await expect(asUser(`SELECT * FROM "${place.schema}".${table}`)).rejects.toMatchObject({ reason: 'PERMISSION_DENIED' })
      await run(`GRANT ALL ON ${table} TO "${place.userRole}"`)
      expect((await asUser(`SELECT * FROM "${place.schema}".${table}`)).rows).toEqual([])
      expect((await asUser(`DELETE FROM "${place.schema}".${table}`)).affected).toBe(0)
      await run(`REVOKE ALL ON ${table} FROM "${place.userRole}"`)
    }
    const forged = `INSERT INTO "${place.schema}".millrace_row_changes (watch, new) VALUES (1, '{}')`
    await expect(asUser(forged)).rejects.toMatchObject({ reason: 'PERMISSION_DENIED' })
    await run('CREATE TABLE inbox (id int)', other)
    const theirs = await watch('inbox', { at: other })
    await expect(run(`SELECT * FROM "${place.schema}".millrace_row_changes`, other)).rejects.toMatchObject({ reason: 'PERMISSION_DENIED' })
    await expect(
      run(`CREATE TRIGGER t AFTER INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION "${place.schema}".millrace_note_change('1')`, other),
    ).rejects.toMatchObject({ reason: 'PERMISSION_DENIED' })
    // A cursor of another namespace shows its own log alone.
    await expect(watch('inbox', { at: other, after: inbox.cursor().replace(/^\d+/, '99') })).rejects.toMatchObject({
      reason: 'FAILED_PRECONDITION',
    })
    await run('INSERT INTO inbox VALUES (2)')
    await theirs.read()
    expect(theirs.seen).toEqual([])
  })

  test('a cursor whose changes are gone is refused, one that is none too; so are views, and tables that go', {
    timeout: 60_000,
  }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE aging (id int)')
    const aging = await watch('aging')
    const old = aging.cursor()
    await run('INSERT INTO aging VALUES (1)')
    expect(await aging.next(1)).toEqual([['insert', { id: 1 }]])
    await aging.read()
    // As after half an hour: what was noted before the mark goes.
    await run("UPDATE millrace_watched_tables SET mark = pg_current_snapshot(), marked_at = marked_at - interval '1 hour'")
    await clock.advance(60_000)
    await aging.read()
    expect(
      (
        await run(
          "SELECT count(*) FROM millrace_row_changes c JOIN millrace_watched_tables w ON w.id = c.watch WHERE relation = 'aging'::regclass",
        )
      ).result.rows.toString(),
    ).toBe('[{"count":0}]')
    await expect(watch('aging', { after: old })).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
    await run('INSERT INTO aging VALUES (2)')
    expect(await aging.next(1)).toEqual([['insert', { id: 2 }]])
    await expect(watch('aging', { after: 'tomorrow' })).rejects.toMatchObject({ reason: 'VALIDATION' })
    // Nobody came for long: nothing is noted any more, and the next watcher begins anew.
    const last = aging.cursor()
    await run(`UPDATE millrace_watched_tables SET until = now() - interval '1 second'`)
    await run('INSERT INTO aging VALUES (3)')
    await expect(watch('aging', { after: last })).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
    await expect(aging.next(1)).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })

    await run('CREATE VIEW seen AS SELECT * FROM aging')
    await expect(watch('seen')).rejects.toMatchObject({ reason: 'VALIDATION', message: expect.stringContaining("'seen' is not a table") })
    await expect(watch('nowhere')).rejects.toMatchObject({ reason: 'NOT_FOUND', id: 'nowhere' })
    await expect(watch('aging', { where: { idd: 1 } })).rejects.toMatchObject({
      reason: 'VALIDATION',
      message: expect.stringContaining("Did you mean 'id'?"),
    })
    const again = await watch('aging')
    await run('DROP TABLE aging CASCADE')
    await expect(again.next(1)).rejects.toMatchObject({ reason: 'NOT_FOUND', id: 'aging' })
  })

  test('columns may come and go, rows may be large, tables partitioned', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE parts (id int, text text) PARTITION BY RANGE (id)')
    await run('CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)')
    const parts = await watch('parts')
    await run('CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20)')
    await run(`INSERT INTO parts VALUES (1, repeat('x', 3000000)), (11, 'y')`)
    await run('ALTER TABLE parts ADD COLUMN more int DEFAULT 7')
    const [large, small] = await parts.next(2)
    expect(large![1].text).toHaveLength(3_000_000)
    expect(small).toEqual(['insert', { id: 11, text: 'y', more: null }])
    await run('ALTER TABLE parts DROP COLUMN text')
    await run('DELETE FROM parts WHERE id = 11')
    expect(await parts.next(1)).toEqual([['delete', { id: 11, more: 7 }]])
    await run('CREATE DOMAIN kind AS text NOT NULL')
    await run(`DO $$ BEGIN INSERT INTO parts VALUES (12); ALTER TABLE parts ADD COLUMN kind kind DEFAULT 'x'; END $$`)
    expect(await parts.next(1)).toEqual([['insert', { id: 12, more: 7, kind: null }]])
  })

  test('triggers go when nobody has watched for long', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE left_alone (id int)')
    const triggers = async () =>
      JSON.parse((await run(`SELECT tgname FROM pg_trigger WHERE tgrelid = 'left_alone'::regclass ORDER BY 1`)).result.rows.toString())
    const watcher = await watch('left_alone')
    expect(await triggers()).toHaveLength(2)
    watcher.leave()
    await run(`UPDATE millrace_watched_tables SET until = now() - interval '1 second'`)
    await run('CREATE TABLE another (id int)')
    await watch('another')
    expect(await triggers()).toEqual([])
  })

  test('changes that another server makes are told, and both may watch', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has one server')
    const elsewhere = new TableEngine({ database: t.opened.another!(), bounds: { rows: 100, bytes: 10_000 } })
    const there = new RowChanges(elsewhere, clock)
    onTestFinished(async () => {
      there.close()
      await elsewhere.close()
    })
    await run('CREATE TABLE seen_by_both (id int)')
    const [one, two] = await Promise.all([watch('seen_by_both'), watch('seen_by_both', { from: there })])
    await elsewhere.sql(scope, { text: 'INSERT INTO seen_by_both VALUES (1)', values: [] })
    await run('INSERT INTO seen_by_both VALUES (2)')
    const expected = [
      ['insert', { id: 1 }],
      ['insert', { id: 2 }],
    ]
    expect(await one.next(2)).toEqual(expected)
    expect(await two.next(2)).toEqual(expected)
    // A cursor holds on every server.
    await run('INSERT INTO seen_by_both VALUES (3)')
    const moved = await watch('seen_by_both', { from: there, after: one.cursor() })
    expect(await moved.next(1)).toEqual([['insert', { id: 3 }]])
  })
})
