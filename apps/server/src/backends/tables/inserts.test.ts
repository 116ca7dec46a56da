import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TableConnection } from '../../domain/tables/backend.ts'
import { TableEngine } from '../../domain/tables/engine.ts'
import { insertStatement } from '../../domain/tables/statements.ts'
import { testBackends } from './test-backends.ts'

const scope = { tenant: 1, namespace: 'default' }
const context = { timeout: 60_000 }

describe.each(await testBackends())('$name', ({ name, open, missing }) => {
  let opened: Awaited<ReturnType<typeof open>>
  let engine: TableEngine

  beforeAll(async () => {
    if (missing) return
    opened = await open({ timeoutMs: 20_000 })
    engine = new TableEngine({ database: opened.database, bounds: { rows: 1000, bytes: 100_000 } })
    await run('CREATE TABLE things (id int PRIMARY KEY, word text NOT NULL CHECK (word <> $$bad$$))')
  }, 180_000)
  afterAll(() => opened?.discard())

  async function run(text: string): Promise<Record<string, unknown>[]> {
    const { result } = await engine.sql(scope, { text, values: [] })
    return JSON.parse(Buffer.from(result.rows).toString())
  }

  async function insert(table: string, row: Record<string, unknown>): Promise<Record<string, unknown>> {
    const make = (schema: string) => insertStatement({ schema, table }, Object.keys(row), JSON.stringify([row]), undefined, '')
    const { result } = await engine.insert({ scope, user: '' }, make, { field: 'rows', table })
    return JSON.parse(Buffer.from(result.rows).toString())[0]
  }

  /** Inserts until they are known to be quick, so that those at once share transactions. */
  async function warm(table: string, row: (i: number) => Record<string, unknown>): Promise<void> {
    for (let i = 1; i <= 5; i++) await insert(table, row(-i))
  }

  test('those at once are committed together, and each is answered with its own row', context, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has one connection, on which all take turns')
    await run('CREATE TABLE together (id int)')
    await expect
      .poll(async () => {
        await run('DELETE FROM together')
        const rows = await Promise.all(Array.from({ length: 20 }, (_, id) => insert('together', { id })))
        expect(rows).toEqual(rows.map((_, id) => ({ id })))
        return run('SELECT count(*)::int AS rows, count(DISTINCT xmin::text)::int AS transactions FROM together')
      })
      .toEqual([{ rows: 20, transactions: 1 }])
  })

  test('one that fails fails alone, and the others are there once', context, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await warm('things', (id) => ({ id, word: 'warm' }))
    await run('DELETE FROM things')
    await insert('things', { id: 7, word: 'first' })
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, id) =>
        insert('things', { id, word: id % 20 === 3 ? 'bad' : id % 20 === 4 ? null : `word ${id}` }).catch((error) => error),
      ),
    )
    for (const [id, outcome] of outcomes.entries()) {
      if (id === 7) expect(outcome).toMatchObject({ reason: 'ALREADY_EXISTS' })
      else if (id % 20 === 3 || id % 20 === 4) expect(outcome).toMatchObject({ reason: 'VALIDATION' })
      else expect(outcome).toEqual({ id, word: `word ${id}` })
    }
    const good = outcomes.flatMap((_, id) => (id % 20 === 3 || id % 20 === 4 ? [] : [id]))
    expect((await run('SELECT id FROM things ORDER BY id')).map(({ id }) => id)).toEqual(good)
  })

  test('after one that failed, those like it go alone for a while', context, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has one connection, on which all take turns')
    await run('CREATE TABLE wary (id int CHECK (id >= 0))')
    const transactions = async () => {
      await run('DELETE FROM wary')
      await Promise.all(Array.from({ length: 20 }, (_, id) => insert('wary', { id })))
      return (await run('SELECT count(DISTINCT xmin::text)::int AS count FROM wary'))[0]!.count
    }
    await expect.poll(transactions).toBe(1)
    // On a busy machine these two may have been too slow the last time to share one.
    const fail = () => Promise.allSettled([insert('wary', { id: 1 }), insert('wary', { id: -1 })])
    await expect.poll(() => fail().then(transactions)).toBe(20)
    for (let i = 0; i < 9; i++) expect(await transactions()).toBe(20)
    await expect.poll(transactions).toBe(1)
  })

  test('a constraint that waits for the commit is kept by each of them', context, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE ledger (amount int)')
    await run(`CREATE FUNCTION balanced() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF (SELECT sum(amount) FROM ledger) <> 0 THEN RAISE EXCEPTION USING ERRCODE = 'check_violation'; END IF; RETURN NULL; END $$`)
    await run(`CREATE CONSTRAINT TRIGGER balance AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION balanced()`)
    await warm('ledger', () => ({ amount: 0 }))
    for (let round = 0; round < 5; round++) {
      // Committed together they would hold.
      const outcomes = await Promise.allSettled([5, 0, -5].map((amount) => insert('ledger', { amount })))
      expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected'])
    }
    expect(await run('SELECT DISTINCT amount FROM ledger')).toEqual([{ amount: 0 }])
  })

  test('one that waits for a lock keeps no other waiting', context, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has one connection, on which all take turns')
    await run('CREATE TABLE locked (id int PRIMARY KEY)')
    await warm('locked', (id) => ({ id }))
    const place = (await engine.find(scope))!
    await opened.database.asRole(place.owner, async (connection) => {
      await connection.query('BEGIN')
      await connection.query(`INSERT INTO "${place.schema}".locked VALUES (5)`)
      let waits = true
      const inserts = Array.from({ length: 10 }, (_, id) => insert('locked', { id }))
      const waiting = inserts.splice(5, 1)[0]!.finally(() => (waits = false))
      expect(await Promise.all(inserts)).toHaveLength(9)
      expect(waits).toBe(true)
      await connection.query('ROLLBACK')
      expect(await waiting).toEqual({ id: 5 })
    })
  })

  test('a connection that breaks between its last answer and its return is lent to nobody', context, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has no connections that could break')
    const { database } = opened
    const { owner } = (await engine.find(scope))!
    const pidOf = async (connection: TableConnection) => (await connection.query('SELECT pg_backend_pid()')).rows[0]![0]!
    const first = await database.asRole(owner, async (connection) => {
      const pid = await pidOf(connection)
      await database.asServer((server) => server.query('SELECT pg_terminate_backend($1, 20000)', [pid]))
      // The news was sent before that was answered.
      await new Promise(setImmediate)
      return pid
    })
    expect(await database.asRole(owner, pidOf)).not.toBe(first)
  })

  test('when connections break, what was answered is there, once', context, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has no connections that could break')
    await run('CREATE TABLE broken (id int)')
    await warm('broken', (id) => ({ id }))
    const { owner } = (await engine.find(scope))!
    const answered: number[] = []
    for (let round = 0; round < 10; round++) {
      const ids = Array.from({ length: 60 }, (_, i) => 1 + round * 60 + i)
      const inserts = ids.map((id) => insert('broken', { id }).catch((error) => error))
      const kill = opened.database.asServer((connection) =>
        connection.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [owner.role]),
      )
      for (const [i, outcome] of (await Promise.all(inserts)).entries()) {
        if (outcome instanceof Error) expect(outcome).toMatchObject({ reason: 'UNAVAILABLE' })
        else answered.push(ids[i]!)
      }
      await kill
    }
    // Postgres may still be ending the connections it was told to.
    let counts: Record<string, unknown>[] = []
    const count = async () => {
      counts = await run('SELECT id, count(*)::int AS count FROM broken WHERE id > 0 GROUP BY id')
    }
    await expect.poll(() => count().catch((error) => error)).toBeUndefined()
    const found = new Map(counts.map(({ id, count }) => [id, count]))
    for (const id of answered) expect(found.get(id)).toBe(1)
    for (const count of found.values()) expect(count).toBe(1)
  })
})
