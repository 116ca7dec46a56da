import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { sql, type TestDatabase, useTestServer } from '../src/store/postgres/test-database.ts'
import { connectTo, newJob, startTestServer } from './harness.ts'

const databases = await useTestServer()

/** Longer than any test: a job left behind under a lease would be seen. */
const leaseMs = 600_000

/** Has all who change jobs wait, as on storage that does not answer, until what is returned is called. */
async function holdUp({ url }: TestDatabase): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  client.on('error', () => undefined)
  await client.query('BEGIN; LOCK TABLE millrace.jobs IN EXCLUSIVE MODE')
  return () => client.end()
}

/** Resolves when a claim waits. */
async function claiming({ url }: TestDatabase): Promise<void> {
  const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%bound AS%'"
  await expect.poll(() => sql(url, waiting), { timeout: 20_000, interval: 20 }).toHaveLength(1)
}

describe('a server that stops', () => {
  it('waits for calls whose callers have gone: the jobs that one would have got go back', async () => {
    const database = await databases.create()
    const { server, admin } = await startTestServer({ store: database.url })
    const { channel, queues } = connectTo(server, server.key)
    await admin.queues.enqueueJobs({ queue: 'q', jobs: [newJob()], requestId: '', allowPartial: false })
    const letGo = await holdUp(database)
    const caller = new AbortController()
    const received = queues
      .receiveJobs({ queue: 'q', maxJobs: 1, waitMs: 0, leaseMs, workerId: 'w' }, { signal: caller.signal })
      .catch((error: unknown) => error)
    await claiming(database)
    caller.abort()
    await received
    channel.close()
    admin.channel.close()
    const stopped = server.stop()
    // What it does without waiting for the storage it does before.
    await new Promise((resolve) => setTimeout(resolve, 200))
    await letGo()
    await stopped
    expect(await sql(database.url, 'SELECT state, attempts FROM millrace.jobs')).toEqual([{ state: 2, attempts: 0 }])
  })
})
