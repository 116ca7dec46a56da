import { UnavailableError } from '@millrace/client'
import { expect, onTestFinished, test } from 'vitest'
import { clientOf } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'

const rounds = process.env.MILLRACE_LONG === '1' ? 20 : 2

test('rows that were acknowledged are there after kill -9, each once, and batches are whole', async () => {
  const server = await startServer({ flags: ['--log-level', 'error'] })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const mr = clientOf(server, { namespace: 'default', retry: false })
  const db = mr.database('ledger')
  await db.create()
  await db.execute('CREATE TABLE t (n BIGINT PRIMARY KEY, part INTEGER)')
  const acknowledged: number[] = []
  let next = 0
  for (let round = 0; round < rounds; round++) {
    const writer = async (): Promise<void> => {
      for (;;) {
        const n = next++ * 2
        try {
          await db.batch([0, 1].map((part) => ({ sql: 'INSERT INTO t VALUES ($1, $2)', parameters: [n + part, part] })))
          acknowledged.push(n, n + 1)
        } catch (error) {
          // A write that meets another's commit may be refused; one that meets the kill has no answer.
          if (error instanceof UnavailableError) return
        }
      }
    }
    const before = acknowledged.length
    const writers = [writer(), writer(), writer()]
    await expect.poll(() => acknowledged.length - before, { timeout: 20_000 }).toBeGreaterThan(40)
    await server.kill()
    await Promise.all(writers)
    await server.restart()
    const { rows } = await db.query<{ n: number; part: number }>('FROM t ORDER BY n', [], { limit: 100_000, timeout: '30s' })
    const found = new Set(rows.map(({ n }) => n))
    expect(found.size).toBe(rows.length)
    expect(acknowledged.filter((n) => !found.has(n))).toEqual([])
    for (const n of found) expect(found.has(n ^ 1), `the other half of ${n}`).toBe(true)
  }
  // What a killed server left behind is gone, and the database is whole.
  expect((await db.statistics('t')).rows).toBeGreaterThanOrEqual(acknowledged.length)
  expect((await mr.databases.list()).items.map(({ name }) => name)).toEqual(['ledger'])
})
