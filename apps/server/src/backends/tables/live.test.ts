import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../clock.ts'
import { TableEngine } from '../../domain/tables/engine.ts'
import { LiveTables } from '../../domain/tables/live-tables.ts'
import { selectStatement } from '../../domain/tables/statements.ts'
import { testBackends } from './test-backends.ts'

const scope = { tenant: 1, namespace: 'default' }
const other = { tenant: 2, namespace: 'default' }

/** What a watcher was shown, awaited one after the other. */
function seen() {
  const values: unknown[] = []
  let wake: () => void = () => undefined
  return {
    values,
    show(result: { readonly rows: Uint8Array }) {
      values.push(JSON.parse(Buffer.from(result.rows).toString()))
      wake()
    },
    fail(error: unknown) {
      values.push(error)
      wake()
    },
    /** Resolves when it failed. */
    async ended() {
      while (!(values.at(-1) instanceof Error)) await new Promise<void>((resolve) => (wake = resolve))
    },
    /** Resolves when the last value is this one. */
    async until(expected: unknown) {
      while (JSON.stringify(values.at(-1)) !== JSON.stringify(expected)) await new Promise<void>((resolve) => (wake = resolve))
    },
  }
}

describe.each(await testBackends())('$name', ({ name, open, missing }) => {
  let opened: Awaited<ReturnType<typeof open>>
  let engine: TableEngine
  let live: LiveTables

  beforeAll(async () => {
    if (missing) return
    opened = await open({ timeoutMs: 10_000 })
    engine = new TableEngine({ database: opened.database, bounds: { rows: 100, bytes: 10_000 } })
    live = new LiveTables(engine, systemClock)
  }, 180_000)
  afterAll(async () => {
    live?.close()
    await opened?.discard()
  })

  const run = (text: string, at = scope) => engine.sql(at, { text, values: [] })

  function watch(table: string, { user = '', at = scope, watcher = seen() } = {}) {
    const query = { columns: '', order: 'id', limit: 50, offset: 0 }
    const read = async () => {
      const make = (schema: string) => [selectStatement({ schema, table }, query)]
      return (await engine.run({ scope: at, user }, make, { field: 'table', table }))[0]!
    }
    const stop = live.watch({ scope: at, key: JSON.stringify([table, user]), read }, watcher)
    return { ...watcher, stop }
  }

  test('rows are shown as they stand and after each change, whatever made it', { timeout: 60_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE things (id int PRIMARY KEY, name text)')
    await run(`INSERT INTO things VALUES (1, 'a')`)
    const things = watch('things')
    await things.until([{ id: 1, name: 'a' }])
    await run(`INSERT INTO things VALUES (2, 'b')`)
    await things.until([
      { id: 1, name: 'a' },
      { id: 2, name: 'b' },
    ])
    await run(`UPDATE things SET name = 'c' WHERE id = 2`)
    await run('DELETE FROM things WHERE id = 1')
    await things.until([{ id: 2, name: 'c' }])
    await run('TRUNCATE things')
    await things.until([])
    things.stop()
  })

  test('what shows another table, and tables made later, are followed', { timeout: 20_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE base (id int PRIMARY KEY)')
    await run('CREATE VIEW shown AS SELECT id FROM base')
    const shown = watch('shown')
    await shown.until([])
    await run('INSERT INTO base VALUES (1)')
    await shown.until([{ id: 1 }])
    await run('CREATE TABLE later (id int PRIMARY KEY)')
    await run('CREATE OR REPLACE VIEW shown AS SELECT id FROM base UNION ALL SELECT id FROM later')
    await run('INSERT INTO later VALUES (2)')
    await shown.until([{ id: 1 }, { id: 2 }])
    await run('DROP VIEW shown')
    await shown.ended()
    expect(shown.values.at(-1)).toMatchObject({ reason: 'NOT_FOUND' })
    shown.stop()
  })

  test('users see what policies show them, also when another table decides on it', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE members (project int, name text)')
    await run('CREATE TABLE notes (id int PRIMARY KEY, project int)')
    await run('ALTER TABLE notes ENABLE ROW LEVEL SECURITY')
    await run(`CREATE POLICY mine ON notes USING (project IN (SELECT project FROM members WHERE name = current_setting('millrace.user')))`)
    const ann = watch('notes', { user: 'ann' })
    const bob = watch('notes', { user: 'bob' })
    await Promise.all([ann.until([]), bob.until([])])
    await run('INSERT INTO notes VALUES (1, 7)')
    await run(`INSERT INTO members VALUES (7, 'ann')`)
    await ann.until([{ id: 1, project: 7 }])
    expect(bob.values).toEqual([[]])
    await run('DELETE FROM members')
    await ann.until([])
    ann.stop()
    bob.stop()
  })

  test('another namespace hears nothing, and has no more selections than there may be', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await run('CREATE TABLE mine (id int PRIMARY KEY)')
    await run('CREATE TABLE mine (id int PRIMARY KEY)', other)
    const [here, there] = [watch('mine'), watch('mine', { at: other })]
    await Promise.all([here.until([]), there.until([])])
    await run('INSERT INTO mine VALUES (1)')
    await here.until([{ id: 1 }])
    expect(there.values).toEqual([[]])
    const more = Array.from({ length: 99 }, (_, i) => watch('mine', { user: `u${i}`, at: other }))
    expect(() => watch('mine', { user: 'one more', at: other })).toThrow('100 different selections')
    const again = watch('mine', { at: other })
    for (const each of [here, there, again, ...more]) each.stop()
    watch('mine', { user: 'one more', at: other }).stop()
  })

  test('changes that another server makes are seen', { timeout: 20_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    ctx.skip(name === 'pglite', 'PGlite has one server')
    const elsewhere = new TableEngine({ database: opened.another!(), bounds: { rows: 100, bytes: 10_000 } })
    await run('CREATE TABLE shared (id int PRIMARY KEY)')
    const shared = watch('shared')
    await shared.until([])
    await elsewhere.sql(scope, { text: 'INSERT INTO shared VALUES (1)', values: [] })
    await shared.until([{ id: 1 }])
    // The connection that listens is made again when it breaks, and what happened meanwhile is found.
    await opened.database.asServer((connection) =>
      connection.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'millrace tables changes'`),
    )
    await elsewhere.sql(scope, { text: 'INSERT INTO shared VALUES (2)', values: [] })
    await shared.until([{ id: 1 }, { id: 2 }])
    shared.stop()
    await elsewhere.close()
  })
})
