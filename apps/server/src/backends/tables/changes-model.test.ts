import { describe, expect, test } from 'vitest'
import type { TableConnection } from '../../domain/tables/backend.ts'
import { randomNumbers } from '../../testing/random.ts'
import { testBackends } from './test-backends.ts'
import { useChanges } from './test-changes.ts'

describe.each(await testBackends())('$name', (backend) => {
  const { name, missing } = backend
  const t = useChanges(backend)
  const { clock, scope, run, watch } = t

  test('who applies the changes has the selection, whatever happened at the same time', { timeout: 120_000 }, async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const seed = Number(process.env.MILLRACE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
    console.log(`changes of ${name}: MILLRACE_TEST_SEED=${seed}`)
    const random = randomNumbers(seed)
    const below = (n: number) => Math.floor(random() * n)
    await run('CREATE TABLE copied (id int PRIMARY KEY, owner text, age int)')
    await run('ALTER TABLE copied ENABLE ROW LEVEL SECURITY')
    await run(`CREATE POLICY own ON copied USING (owner = current_setting('millrace.user'))`)
    const place = (await t.engine.find(scope))!
    const watchers = [await watch('copied'), await watch('copied', { where: { age: { gt: 50 } } }), await watch('copied', { user: 'ann' })]
    const table = `"${place.schema}".copied`
    const statement = () => {
      const [id, owner, age] = [below(20), ['ann', 'bob'][below(2)], below(100)]
      if (below(3) === 0) return `DELETE FROM ${table} WHERE id = ${id}`
      const set = below(2) === 0 ? 'age = EXCLUDED.age' : 'owner = EXCLUDED.owner, age = copied.age + 10'
      return `INSERT INTO ${table} AS copied VALUES (${id}, '${owner}', ${age}) ON CONFLICT (id) DO UPDATE SET ${set}`
    }
    const writer = async () => {
      for (let i = 0; i < 40; i++) {
        const work = async (connection: TableConnection) => {
          // Two that wait for each other: one of them is ended by Postgres.
          for (let j = below(4); j >= 0; j--) await connection.query(statement())
          if (below(5) === 0) await connection.query('SELECT 1/0')
        }
        await t.engine.work({ scope, user: '' }, place, { field: 'text' }, work).catch(() => undefined)
      }
    }
    const writing = Promise.all([writer(), writer(), writer()])
    const copies = watchers.map(() => new Map<number, object>())
    const apply = async () => {
      for (const [i, { seen, read }] of watchers.entries()) {
        while (await read());
        for (const { type, row, old } of seen.splice(0)) {
          const [id, copy] = [JSON.parse(row!).id, copies[i]!]
          expect(copy.get(id), `${type} ${row}`).toEqual(type === 'insert' ? undefined : JSON.parse(type === 'update' ? old! : row!))
          if (type === 'delete') copy.delete(id)
          else copy.set(id, JSON.parse(row!))
        }
      }
    }
    let writes = true
    void writing.then(() => (writes = false))
    while (writes) await apply()
    await writing
    await clock.advance(60_000)
    await apply()
    const { result } = await run('SELECT * FROM copied ORDER BY id')
    const rows = JSON.parse(result.rows.toString()) as { id: number; owner: string; age: number }[]
    const selections = [rows, rows.filter(({ age }) => age > 50), rows.filter(({ owner }) => owner === 'ann')]
    for (const [i, copy] of copies.entries()) {
      expect([...copy.keys()].sort((a, b) => a - b).map((id) => copy.get(id))).toEqual(selections[i])
    }
  })
})
