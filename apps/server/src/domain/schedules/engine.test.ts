import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Scope, Store } from '../../store/ports.ts'
import type { ScheduleRecord, ScheduleSpec } from '../../store/schedule-port.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { createJobEngine } from '../jobs/engine.ts'
import { defaultRetryPolicy, retryPlanner } from '../jobs/retry.ts'
import type { JobEngine } from '../jobs/types.ts'
import { createScheduleEngine, type ScheduleEngine } from './engine.ts'
import { changesOf, wall, zones } from './test-zones.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
const retention = { completedMs: 9 * day, failedMs: 9 * day, cancelledMs: 9 * day, requestsMs: day }

let clock: ManualClock
let store: Store
let jobs: JobEngine
let scope: Scope
let engines: ScheduleEngine[]
const errors: unknown[] = []

async function setUp(start = Date.UTC(2030, 0, 1)): Promise<void> {
  clock = new ManualClock(start)
  const options = { planRetry: retryPlanner(() => 0.5), defaultRetry: defaultRetryPolicy, defaultMaxDepth: 5, now: clock.now }
  store = await openSqliteStore({ path: ':memory:', ...options })
  jobs = createJobEngine({ store, clock, retention, onError: (error) => errors.push(error) })
  scope = { tenant: await store.keys.tenant('t', 0), namespace: 'default' }
  engines = []
}

async function tearDown(): Promise<void> {
  await Promise.all(engines.map((engine) => engine.close()))
  await jobs.close()
  await store.close()
}

beforeEach(() => setUp())
afterEach(async () => {
  await tearDown()
  expect(errors.splice(0)).toEqual([])
})

/** A server. @param enqueue - what it has for enqueueing, when it is to fail. */
function node(enqueue: JobEngine['enqueue'] = jobs.enqueue): ScheduleEngine {
  const engine = createScheduleEngine({
    store,
    jobs: { enqueue },
    schemas: { guard: () => undefined },
    clock,
    onError: (error) => errors.push(error),
  })
  engines.push(engine)
  return engine
}

const named = (name = 's') => ({ ...scope, name })
function settings(change: Partial<ScheduleSpec> = { everyMs: minute }, queue = 'q') {
  const job = { queue, function: '', contentType: '', headers: {}, labels: {}, priority: 0, timeoutMs: 0 }
  const base = { from: clock.now(), timezone: 'UTC', jitterMs: 0, overlap: 'allow', catchUp: 1, job } as const
  return { spec: { ...base, ...change }, payload: new Uint8Array([1]), paused: false }
}

/** Moves the time in steps, and waits for what they set off. */
async function move(ms: number, step = ms): Promise<void> {
  for (let left = ms; left > 0; left -= step) {
    await clock.advance(Math.min(step, left))
    await idle()
  }
}

async function idle(): Promise<void> {
  for (let turn = 0; turn < 2000; turn++) {
    const due = await store.schedules.nextDueAt()
    if (due === undefined || due > clock.now()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error('What is due is not seen to.')
}

async function waiting(queue = 'q'): Promise<number> {
  return (await store.queues.stats(scope, queue)).total
}

async function finishAll(): Promise<void> {
  const demands = () => [{ functions: [''], max: 100, leaseMs: hour, workerId: 'w' }]
  const [claimed] = await store.jobs.claim({ scope, queue: 'q', demands, now: clock.now() })
  const action = { type: 'complete', result: new Uint8Array(), contentType: '' } as const
  await jobs.settle(
    scope,
    claimed!.map(({ seq, token }) => ({ seq, token, action })),
  )
}

const outcomes = async (engine: ScheduleEngine) =>
  (await engine.runs(named(), 100)).runs.map(({ at, submitted, manual }) => [at - start(), submitted, manual]).reverse()
const start = () => Date.UTC(2030, 0, 1)

it('two servers over one store submit each tick once', async () => {
  const [one, two] = [node(), node()]
  await one.create(named(), settings())
  // The other one hears of it as it would of a change elsewhere.
  await two.update(named(), () => ({}))
  await move(5 * minute, minute)
  expect(await waiting()).toBe(5)
  expect(await outcomes(two)).toEqual([1, 2, 3, 4, 5].map((n) => [n * minute, true, false]))
})

it('at every change of the clock in ten zones, two servers submit a daily tick once a day', { timeout: 120_000 }, async () => {
  for (const timezone of zones) {
    for (const at of changesOf(timezone)) {
      await tearDown()
      await setUp(at - 36 * hour)
      // Its jobs need no upkeep here, which would look at them every minute.
      await jobs.close()
      const [one, two] = [node(), node()]
      const { hour: h, minute: m } = wall(at + 10 * minute, timezone, at - day)
      await one.create(named(), settings({ cron: `${m} ${h} * * *`, timezone }))
      await two.update(named(), () => ({}))
      await move(72 * hour, 3 * hour)
      const { runs } = await one.runs(named(), 100)
      const dates = runs.map((run) => wall(run.at, timezone).date)
      expect(new Set(dates).size, `${timezone} ${new Date(at).toISOString()}`).toBe(3)
      expect([dates.length, await waiting()]).toEqual([3, 3])
    }
  }
})

it('a server that dies between submitting and going on leaves the tick to the next one, which does not double it', async () => {
  const dying = node(async (...request) => {
    await jobs.enqueue(...request)
    throw new Error('died')
  })
  await dying.create(named(), settings())
  await clock.advance(minute)
  await dying.close()
  expect(errors.splice(0)).toEqual([new Error('died')])
  expect(await waiting()).toBe(1)
  const next = node()
  await move(second)
  expect(await waiting()).toBe(1)
  expect(await outcomes(next)).toEqual([[minute, true, false]])
  expect((await next.runs(named(), 1)).runs[0]!.job).toBeDefined()
})

it('a server that dies before submitting leaves the tick to the next one, which does not lose it', async () => {
  const dying = node(() => Promise.reject(new Error('died')))
  await dying.create(named(), settings())
  await clock.advance(minute)
  await dying.close()
  expect(errors.splice(0)).toEqual([new Error('died')])
  node()
  await move(second)
  expect(await waiting()).toBe(1)
})

it('a start at the very moment of a tick submits it once', async () => {
  const first = node()
  await first.create(named(), settings())
  await first.close()
  await clock.advance(minute)
  node()
  await clock.advance(0)
  await idle()
  expect(await waiting()).toBe(1)
  await move(minute - 1)
  expect(await waiting()).toBe(1)
})

it('skips a tick while the one before has not ended', async () => {
  const engine = node()
  await engine.create(named(), settings({ everyMs: minute, overlap: 'skip' }))
  await move(2 * minute, minute)
  await finishAll()
  await move(minute)
  expect(await outcomes(engine)).toEqual([
    [minute, true, false],
    [2 * minute, false, false],
    [3 * minute, true, false],
  ])
  expect((await engine.runs(named(), 100)).runs[1]!.reason).toBe('The one before has not ended.')
})

it('lets ticks wait for each other', async () => {
  const engine = node()
  await engine.create(named(), settings({ everyMs: minute, overlap: 'queue' }))
  await move(3 * minute, minute)
  expect(await store.queues.stats(scope, 'q')).toMatchObject({ pending: 1, blocked: 2 })
  await finishAll()
  expect(await store.queues.stats(scope, 'q')).toMatchObject({ pending: 1, blocked: 1, completed: 1 })
})

it.each([
  [0, []],
  [1, [9]],
  [3, [7, 8, 9]],
])('after a downtime makes up for %i ticks at most', async (catchUp, made) => {
  const engine = node()
  await engine.create(named(), settings({ everyMs: 10 * minute, catchUp }))
  await engine.close()
  await clock.advance(95 * minute)
  const next = node()
  await move(second)
  const submitted = (await outcomes(next)).filter(([, is]) => is)
  expect(submitted).toEqual(made.map((n) => [n * 10 * minute, true, false]))
  const missed = (await outcomes(next)).filter(([, is]) => !is)
  expect(missed).toEqual([[10 * minute, false, false]])
  expect((await next.get(named())).nextAt).toBe(start() + 100 * minute)
})

it('a pause lets ticks pass, and a resumed schedule goes on in time', async () => {
  const engine = node()
  await engine.create(named(), settings())
  await move(minute)
  expect((await engine.update(named(), () => ({ paused: true }))).nextAt).toBeUndefined()
  await move(10 * minute + 30 * second)
  expect(await waiting()).toBe(1)
  expect((await engine.update(named(), () => ({ paused: false }))).nextAt).toBe(start() + 12 * minute)
  await move(minute)
  expect(await waiting()).toBe(2)
})

it('a single time comes once, whatever is changed later', async () => {
  const engine = node()
  await engine.create(named(), settings({ at: start() + hour }))
  await move(2 * hour, hour)
  await engine.update(named(), () => ({ paused: true }))
  const after: ScheduleRecord = await engine.update(named(), () => ({ paused: false }))
  expect([after.nextAt, after.lastAt]).toEqual([undefined, start() + hour])
  await move(hour)
  expect(await waiting()).toBe(1)
})

it('a change waits for many ticks that are due, however many, and submits them before', async () => {
  await node().create(named(), settings({ everyMs: second, overlap: 'skip' }))
  await engines[0]!.close()
  await clock.advance(50 * second)
  // Its own timer sees to them too, but a change does not depend on who does.
  const engine = node()
  const { paused, nextAt } = await engine.update(named(), () => ({ paused: true }))
  expect([paused, nextAt]).toEqual([true, undefined])
  expect(await outcomes(engine)).toEqual(Array.from({ length: 50 }, (_, i) => [(i + 1) * second, i === 0, false]))
})

it('a trigger submits once for each request, also while paused', async () => {
  const engine = node()
  await engine.create(named(), { ...settings(), paused: true })
  const first = await engine.trigger(named(), 'r1')
  expect(await engine.trigger(named(), 'r1')).toEqual(first)
  await engine.trigger(named(), 'r2')
  expect(await waiting()).toBe(2)
  expect(await outcomes(engine)).toEqual([
    [0, true, true],
    [0, true, true],
  ])
})

it('jitter delays a tick, and a change meanwhile does not lose it', async () => {
  const engine = node()
  const { dueAt } = await engine.create(named(), settings({ everyMs: hour, jitterMs: 30 * minute }))
  expect(dueAt! - start()).toBeGreaterThan(hour)
  await move(hour)
  await engine.update(named(), ({ spec }) => ({ spec: { ...spec, overlap: 'skip' }, payload: new Uint8Array([2]) }))
  expect(await waiting()).toBe(0)
  await move(dueAt! - clock.now())
  expect(await waiting()).toBe(1)
  expect(await outcomes(engine)).toEqual([[hour, true, false]])
})

it('a full queue refuses ticks, and they say so', async () => {
  const engine = node()
  await engine.create(named(), settings())
  await move(7 * minute, minute)
  expect(await waiting()).toBe(5)
  const { runs } = await engine.runs(named(), 100)
  expect(runs.map(({ submitted }) => submitted)).toEqual([false, false, true, true, true, true, true])
  expect(runs[0]!.reason).toContain("'q'")
})

it('a deleted schedule submits nothing more; a second one of its name is refused', async () => {
  const engine = node()
  await engine.create(named(), settings())
  await expect(engine.create(named(), settings({ everyMs: hour }))).rejects.toMatchObject({ reason: 'ALREADY_EXISTS' })
  expect([await engine.delete(named()), await engine.delete(named())]).toEqual([true, false])
  await move(5 * minute)
  expect(await waiting()).toBe(0)
  await expect(engine.get(named())).rejects.toMatchObject({ reason: 'NOT_FOUND' })
})
