import { expect, it } from 'vitest'
import { openPostgresStore } from '../../store/postgres/open.ts'
import { openTestServer } from '../../store/postgres/test-database.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { defaultRetryPolicy, retryPlanner } from '../jobs/retry.ts'
import type { JobEngine } from '../jobs/types.ts'
import { createScheduleEngine } from './engine.ts'

const minute = 60_000
const postgres = await openTestServer()

it('servers over one Postgres submit each tick once, also when the one that made the schedule is gone', { timeout: 60_000 }, async ({
  skip,
}) => {
  if (postgres.missing) skip(postgres.missing)
  const database = await postgres.create()
  const clock = new ManualClock()
  const errors: unknown[] = []
  const options = { planRetry: retryPlanner(), defaultRetry: defaultRetryPolicy, defaultMaxDepth: 1000, now: clock.now, url: database.url }
  const open = async () => {
    const store = await openPostgresStore(options)
    store.listen({ ready() {}, changed() {} })
    // Nothing but schedules needs the time to pass.
    const enqueue: JobEngine['enqueue'] = (scope, request) => store.jobs.enqueue({ ...request, scope, now: clock.now() })
    return {
      store,
      engine: createScheduleEngine({
        store,
        jobs: { enqueue },
        schemas: { guard: () => undefined },
        clock,
        onError: (error) => errors.push(error),
      }),
    }
  }
  const [one, two] = [await open(), await open()]
  const scope = { tenant: await two.store.keys.tenant('t', 0), namespace: 'n' }
  const job = { queue: 'q', function: '', contentType: '', headers: {}, labels: {}, priority: 0, timeoutMs: 0 }
  const times = { everyMs: minute, from: clock.now(), timezone: 'UTC', jitterMs: 0, overlap: 'allow', catchUp: 1 } as const
  await one.engine.create({ ...scope, name: 's' }, { spec: { ...times, job }, payload: new Uint8Array(), paused: false })

  const pass = async () => {
    await clock.advance(minute)
    // Whoever hears late what others did looks again.
    const waits = async () => {
      await clock.advance(0)
      return (await two.store.schedules.nextDueAt())! > clock.now()
    }
    await expect.poll(waits, { timeout: 20_000, interval: 10 }).toBe(true)
  }
  for (let tick = 1; tick <= 5; tick++) await pass()
  await one.engine.close()
  await one.store.close()
  for (let tick = 6; tick <= 8; tick++) await pass()

  expect((await two.store.queues.stats(scope, 'q')).total).toBe(8)
  const { runs } = await two.engine.runs({ ...scope, name: 's' }, 100)
  expect(runs.map(({ at, submitted, job: seq }) => [at, submitted, seq !== undefined])).toEqual(
    [8, 7, 6, 5, 4, 3, 2, 1].map((n) => [times.from + n * minute, true, true]),
  )
  await two.engine.close()
  await two.store.close()
  await database.drop()
  expect(errors).toEqual([])
})
