import { expect, it } from 'vitest'
import { Harness } from '../conformance/harness.ts'
import { openPostgresStore } from './open.ts'
import { sql, useTestServer } from './test-database.ts'

const server = await useTestServer()

it('many jobs that go through a small queue leave a small table', async () => {
  const database = await server.create()
  const t = await Harness.open({
    async open(options) {
      const reopen = () => openPostgresStore({ ...options, url: database.url })
      return { store: await reopen(), reopen, discard: () => database.drop() }
    },
  })
  const action = { type: 'complete', result: new Uint8Array(), contentType: '' } as const
  const wave = async () => {
    await t.enqueue(...Array.from({ length: 1000 }, () => ({ payload: new Uint8Array(1000) })))
    const jobs = await t.claim({ max: 1000 })
    const outcomes = await t.store.jobs.settle(
      t.scope,
      jobs.map(({ seq, token }) => ({ seq, token, action })),
      t.clock.now(),
    )
    expect(outcomes.filter(({ error }) => error)).toEqual([])
  }
  const size = async () => Number((await sql(database.url, "SELECT pg_relation_size('millrace.jobs') AS size"))[0]!.size)
  for (let i = 0; i < 50; i++) await wave()
  const most = await size()
  const vacuums = "SELECT vacuum_count FROM pg_stat_user_tables WHERE schemaname = 'millrace' AND relname = 'jobs'"
  await expect.poll(async () => Number((await sql(database.url, vacuums))[0]!.vacuum_count), { timeout: 10_000 }).toBeGreaterThan(0)
  for (let i = 0; i < 30; i++) await wave()
  expect(await size()).toBeLessThan(most * 1.2)
  await t.close()
})
