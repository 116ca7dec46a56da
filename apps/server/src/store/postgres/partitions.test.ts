import { expect, it } from 'vitest'
import { Harness, type StoreFactory } from '../conformance/harness.ts'
import { openPostgresStore } from './open.ts'
import { sql, useTestServer } from './test-database.ts'

const server = await useTestServer()

const hour = 3_600_000
const retention = { completedMs: 24 * hour, failedMs: 48 * hour, cancelledMs: hour, requestsMs: hour }

it('drops what is past its retention, whole, and keeps what is not', async () => {
  let url = ''
  const factory: StoreFactory = {
    async open(options) {
      const database = await server.create()
      url = database.url
      const open = () => openPostgresStore({ ...options, url })
      return { store: await open(), reopen: open, discard: () => database.drop() }
    },
  }
  const t = await Harness.open(factory)
  const partitions = async (table: string) => {
    const rows = await sql(
      url,
      `SELECT relname AS name FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'millrace.${table}'::regclass`,
    )
    return rows.map((row) => String(row.name)).sort()
  }
  const sweep = async () => {
    while ((await t.store.jobs.sweep(retention, t.clock.now(), 100)) === 100);
  }
  const first = await partitions('completed')
  expect(first).toContain('completed_rest')
  expect(first.length).toBeGreaterThan(1)

  const entry = { timestamp: 1, level: 2, message: 'x', fields: '' }
  await t.enqueue(...Array.from({ length: 300 }, () => ({ labels: { a: 'b' } })))
  const jobs = [...(await t.claim()), ...(await t.claim()), ...(await t.claim())]
  for (const job of jobs) await t.settle(job, { type: 'log', entries: [entry] })
  const failed = jobs.pop()!
  await t.fail(failed, { noRetry: true })
  for (const job of jobs) await t.complete(job)
  expect(await sql(url, 'SELECT count(*)::int AS count FROM millrace.completed_rest')).toEqual([{ count: 0 }])

  // An hour at a time, as a server would: the partitions of the first day go, those of the present come.
  for (let i = 0; i < 30; i++) {
    await t.clock.advance(hour)
    await sweep()
  }
  expect(await t.state(jobs[0]!.seq)).toBeUndefined()
  expect(await sql(url, 'SELECT count(*)::int AS count FROM millrace.completed')).toEqual([{ count: 0 }])
  const later = await partitions('completed')
  expect(later).not.toContain(first.find((name) => !name.endsWith('rest')))
  expect(later.length).toBeLessThan(15)
  // The failed job is kept longer: what belongs to it was moved out of the way.
  expect(await t.store.jobs.logs(t.scope, failed.seq, { limit: 10, after: 0 })).toHaveLength(1)
  expect((await t.store.jobs.list(t.scope, { labels: { a: 'b' } }, { limit: 10 })).items.map((job) => job.seq)).toEqual([failed.seq])
  expect(await sql(url, 'SELECT count(*)::int AS count FROM millrace.labels_rest')).toEqual([{ count: 1 }])

  for (let i = 0; i < 30; i++) {
    await t.clock.advance(hour)
    await sweep()
  }
  expect(await t.state(failed.seq)).toBeUndefined()
  expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ completed: 299, failed: 1, dead: 0, total: 300 })
  await t.close()
})
