import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { JobState, type NewStage } from '../ports.ts'
import { openPostgresStore } from './open.ts'
import { sql, useTestServer } from './test-database.ts'

const server = await useTestServer()
const now = Date.UTC(2030, 0, 1)
const retry = { maxAttempts: 1, initialBackoffMs: 0, maxBackoffMs: 0, multiplier: 1, strategy: 'fixed', jitter: 0 } as const
const task = { queue: 'q', function: '', labels: {}, priority: 0, timeoutMs: 0 }

async function start() {
  const database = await server.create()
  const options = { planRetry: () => undefined, defaultRetry: retry, defaultMaxDepth: 1e6, now: () => now, url: database.url }
  const store = await openPostgresStore(options)
  onTestFinished(async () => {
    await store.close()
    await database.drop()
  })
  store.listen({ ready() {}, changed() {} })
  return { database, store, scope: { tenant: await store.keys.tenant('one', now), namespace: 'default' } }
}

/** Another server changes all jobs, and commits while somebody waits for one of them. */
async function changedMeanwhile<T>(url: string, work: () => Promise<T>): Promise<T> {
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  try {
    await other.query('BEGIN')
    await other.query("UPDATE millrace.jobs SET message = 'meanwhile'")
    const done = work()
    const waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    await expect.poll(() => sql(url, waiting), { interval: 5 }).toHaveLength(1)
    await other.query('COMMIT')
    return await done
  } finally {
    await other.end()
  }
}

const stage = (name: string, dependsOn: readonly number[]): NewStage => ({
  name,
  task,
  payload: { data: new Uint8Array(), contentType: '' },
  dependsOn,
})

it('jobs of a pipeline that is cancelled, and tried again, are so also when another server changes them at that moment', async () => {
  const { database, store, scope } = await start()
  const pipeline = { name: 'p', stages: [stage('a', []), stage('b', []), stage('c', [0])], continueOnFailure: false, timeoutMs: 0 }
  const seq = await store.pipelines.create(scope, pipeline, '', now)
  const states = async () => (await sql(database.url, 'SELECT state FROM millrace.jobs ORDER BY seq')).map((row) => row.state)
  await changedMeanwhile(database.url, () => store.pipelines.cancel(scope, seq, 'enough', now))
  expect(await states()).toEqual([JobState.cancelled, JobState.cancelled, JobState.cancelled])
  await changedMeanwhile(database.url, () => store.pipelines.retry(scope, seq, now))
  expect(await states()).toEqual([JobState.pending, JobState.pending, JobState.blocked])
})

it('a job that is to begin by a time ends then, also when another server changes it at that moment', async () => {
  const { database, store, scope } = await start()
  const job = { ...task, payload: new Uint8Array(), contentType: '', headers: {}, idempotencyKey: '', startBefore: now + 1000 }
  await store.jobs.enqueue({ scope, jobs: [job], requestId: '', partial: false, batch: false, now })
  await changedMeanwhile(database.url, () => store.jobs.expireDue(now + 1000, 100))
  expect(await store.queues.stats(scope, 'q')).toMatchObject({ pending: 0, cancelled: 1 })
})
