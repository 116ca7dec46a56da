import { UnavailableError } from '@millrace/client'
import { postgresVersion, startPostgres, whyMissing } from '@millrace/dev'
import { expect, onTestFinished, test } from 'vitest'
import { clientOf } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'

const rounds = process.env.MILLRACE_LONG === '1' ? 10 : 2

test.for(['pglite', 'postgres'])(
  'over %s, changes go on after kill -9: each once, none missing',
  { timeout: 180_000 },
  async (backend, ctx) => {
    const missing = backend === 'postgres' ? whyMissing(postgresVersion) : undefined
    ctx.skip(missing !== undefined, missing)
    const postgres = backend === 'postgres' ? await startPostgres({ fsync: false }) : undefined
    onTestFinished(() => postgres?.stop())
    const server = await startServer({ flags: ['--log-level', 'error', ...(postgres ? ['--tables', postgres.url] : [])] })
    onTestFinished(() => server[Symbol.asyncDispose]())
    const mr = clientOf(server, { namespace: 'default', retry: false, timeout: '60s' })
    await mr.tables.migrate([{ name: '001.sql', sql: 'CREATE TABLE t (n int PRIMARY KEY)' }])
    const table = mr.table<{ n: number }>('t')
    const seen: number[] = []
    const stop = new AbortController()
    const begun = Promise.withResolvers<void>()
    const watching = (async () => {
      for await (const change of table.changes({ signal: stop.signal, onCursor: () => begun.resolve() }))
        if (change.type === 'insert') seen.push(change.row.n)
    })().catch((error: Error) => {
      begun.reject(error)
      if (error.name !== 'AbortError') throw error
    })
    await begun.promise
    let next = 0
    for (let round = 0; round < rounds; round++) {
      const before = next
      const writer = async (): Promise<void> => {
        for (;;) {
          const n = next++
          try {
            await table.insert({ n }, { returning: false })
          } catch (error) {
            // Perhaps written, perhaps not: what is there is compared.
            expect(error).toBeInstanceOf(UnavailableError)
            return
          }
        }
      }
      const writers = [writer(), writer(), writer()]
      await expect.poll(() => next - before, { timeout: 30_000 }).toBeGreaterThan(60)
      await server.kill()
      await Promise.all(writers)
      await server.restart()
      await mr.ready({ timeout: '30s' })
    }
    const there = (await table.select('n').order('n')).map(({ n }) => n)
    await expect.poll(() => seen.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(there.length)
    expect(seen.toSorted((a, b) => a - b)).toEqual(there)
    stop.abort()
    await watching
  },
)
