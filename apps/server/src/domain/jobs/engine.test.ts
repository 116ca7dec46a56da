import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type ChangeCause,
  type ClaimedJob,
  type JobRecord,
  JobState,
  type NewJob,
  type Scope,
  type Store,
  type StoreListener,
} from '../../store/ports.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { createJobEngine } from './engine.ts'
import { defaultRetryPolicy, retryPlanner } from './retry.ts'
import type { JobEngine, Lease } from './types.ts'

const day = 86_400_000
const retention = { completedMs: day, failedMs: day, cancelledMs: day, requestsMs: day }
const nothing = new Uint8Array()

let clock: ManualClock
let store: Store
let engine: JobEngine
let scope: Scope
const errors: unknown[] = []

beforeEach(async () => {
  clock = new ManualClock()
  errors.length = 0
  const planRetry = retryPlanner(() => 0.5)
  store = await openSqliteStore({ path: ':memory:', planRetry, defaultRetry: defaultRetryPolicy, defaultMaxDepth: 1e6, now: clock.now })
  engine = createJobEngine({ store, clock, retention, onError: (error) => errors.push(error) })
  scope = { tenant: await store.keys.tenant('t', 0), namespace: 'default' }
})

afterEach(async () => {
  await engine.close()
  await store.close()
  expect(errors).toEqual([])
})

async function enqueue(count: number, change: Partial<NewJob> = {}): Promise<number[]> {
  const job = {
    queue: 'q',
    function: '',
    payload: nothing,
    contentType: '',
    headers: {},
    labels: {},
    priority: 0,
    timeoutMs: 0,
    idempotencyKey: '',
  }
  const jobs = Array.from({ length: count }, () => ({ ...job, ...change }))
  const { outcomes } = await engine.enqueue(scope, { jobs, requestId: '', partial: false, batch: false })
  return outcomes.map((outcome) => ('seq' in outcome ? outcome.seq : 0))
}

/** A worker that writes down what it is told. */
function worker(maxInFlight: number, options: { functions?: string[]; leaseMs?: number } = {}) {
  const jobs: ClaimedJob[] = []
  const revoked: { lease: Lease; cause: ChangeCause }[] = []
  const subscription = engine.subscribe({
    scope,
    queue: 'q',
    functions: options.functions ?? [''],
    workerId: 'w',
    leaseMs: options.leaseMs ?? 30_000,
    maxInFlight,
    deliver: (delivered) => jobs.push(...delivered),
    revoke: (leases) => revoked.push(...leases),
  })
  const complete = (job: ClaimedJob) =>
    engine.settle(scope, [{ seq: job.seq, token: job.token, action: { type: 'complete', result: nothing, contentType: '' } }])
  return { jobs, revoked, subscription, complete }
}

describe('dispatch', () => {
  it('pushes jobs that wait and jobs that come, up to the credit', async () => {
    await enqueue(2)
    const { jobs, subscription, complete } = worker(3)
    await clock.advance(0)
    expect(jobs).toHaveLength(2)
    await enqueue(5)
    await clock.advance(0)
    expect(jobs).toHaveLength(3)
    expect(subscription.inFlight).toBe(3)
    await complete(jobs[0]!)
    await clock.advance(0)
    expect(jobs).toHaveLength(4)
  })

  it('gives more when the credit grows, nothing when it is 0', async () => {
    const { jobs, subscription } = worker(0)
    await enqueue(3)
    await clock.advance(0)
    expect(jobs).toHaveLength(0)
    subscription.setMaxInFlight(2)
    await clock.advance(0)
    expect(jobs).toHaveLength(2)
  })

  it('shares jobs between workers in turn, and never gives one twice', async () => {
    const workers = [worker(10), worker(10), worker(10)]
    for (let i = 0; i < 30; i++) {
      await enqueue(1)
      await clock.advance(0)
    }
    const all = workers.flatMap(({ jobs }) => jobs.map((job) => job.seq))
    expect(new Set(all).size).toBe(30)
    expect(workers.map(({ jobs }) => jobs.length)).toEqual([10, 10, 10])
  })

  it('drains a queue larger than one claim', async () => {
    await enqueue(3000)
    const { jobs } = worker(10_000)
    await clock.advance(0)
    await clock.advance(0)
    expect(jobs).toHaveLength(3000)
  })

  it('gives only functions the worker has', async () => {
    const { jobs } = worker(10, { functions: ['a', 'b'] })
    await enqueue(1, { function: 'c' })
    await enqueue(1, { function: 'b' })
    await clock.advance(0)
    expect(jobs.map((job) => job.function)).toEqual(['b'])
  })

  it('gives jobs back that were claimed for a worker that left', async () => {
    const { jobs, subscription } = worker(10)
    const enqueued = enqueue(4)
    subscription.close()
    await enqueued
    await clock.advance(0)
    expect(jobs).toHaveLength(0)
    const other = worker(10)
    await clock.advance(0)
    expect(other.jobs.map((job) => job.attempt)).toEqual([1, 1, 1, 1])
  })

  it('closes when the jobs of claims under way are given back', async () => {
    const [seq] = await enqueue(1)
    const arrived = Promise.withResolvers<void>()
    const slow = createJobEngine({
      store: { ...store, jobs: slowClaims(store.jobs, arrived.promise) },
      clock,
      retention,
      onError: (error) => errors.push(error),
    })
    const subscription = slow.subscribe({
      scope,
      queue: 'q',
      functions: [''],
      workerId: 'w',
      leaseMs: 600_000,
      maxInFlight: 1,
      deliver: () => errors.push('delivered'),
      revoke: () => undefined,
    })
    await clock.advance(0)
    expect((await store.jobs.get(scope, seq!))?.state).toBe(JobState.running)
    subscription.close()
    const closed = slow.close()
    arrived.resolve()
    await closed
    expect((await store.jobs.get(scope, seq!))?.state).toBe(JobState.pending)
  })

  it('lists workers with what they hold', async () => {
    worker(5, { functions: ['f'] })
    await enqueue(2, { function: 'f' })
    await clock.advance(0)
    expect(engine.workers(scope.tenant)).toMatchObject([{ workerId: 'w', queue: 'q', functions: ['f'], maxInFlight: 5, inFlight: 2 }])
    expect(engine.workers(scope.tenant + 1)).toEqual([])
  })
})

describe('receive', () => {
  const options = { max: 10, leaseMs: 1000, workerId: '', queue: 'q' }

  it('takes what is there, or nothing at once', async () => {
    const { signal } = new AbortController()
    expect(await engine.receive({ ...options, scope, waitMs: 0, signal })).toEqual([])
    await enqueue(3)
    expect(await engine.receive({ ...options, scope, waitMs: 0, signal })).toHaveLength(3)
  })

  it('is woken by a job, and gives up after its wait', async () => {
    const { signal } = new AbortController()
    const waiting = engine.receive({ ...options, scope, waitMs: 5000, signal })
    await clock.advance(1000)
    await enqueue(1)
    const [job] = await waiting
    await engine.settle(scope, [{ seq: job!.seq, token: job!.token, action: { type: 'complete', result: nothing, contentType: '' } }])
    const vain = engine.receive({ ...options, scope, waitMs: 5000, signal })
    await clock.advance(5000)
    expect(await vain).toEqual([])
  })

  it('ends with its signal and leaves the jobs to others', async () => {
    const controller = new AbortController()
    const waiting = engine.receive({ ...options, scope, waitMs: 5000, signal: controller.signal })
    await clock.advance(0)
    controller.abort()
    expect(await waiting).toEqual([])
    await enqueue(1)
    expect(await engine.receive({ ...options, scope, waitMs: 0, signal: new AbortController().signal })).toMatchObject([{ attempt: 1 }])
  })
})

describe('time', () => {
  it('runs delayed jobs and retries at their time', async () => {
    const { jobs } = worker(1)
    await enqueue(1, { runAt: clock.now() + 5000, maxAttempts: 2 })
    await clock.advance(4999)
    expect(jobs).toHaveLength(0)
    await clock.advance(1)
    expect(jobs).toHaveLength(1)
    const { seq, token } = jobs[0]!
    const error = { message: 'no', code: '', stack: '' }
    await engine.settle(scope, [{ seq, token, action: { type: 'fail', error, noRetry: false } }])
    await clock.advance(999)
    expect(jobs).toHaveLength(1)
    await clock.advance(1)
    expect(jobs).toHaveLength(2)
  })

  it('revokes leases that run out and gives the job to the next worker', async () => {
    const first = worker(1, { leaseMs: 1000 })
    const [seq] = await enqueue(1)
    await clock.advance(0)
    const second = worker(1)
    await clock.advance(1000)
    expect(first.revoked).toMatchObject([{ lease: { seq }, cause: 'lease-expired' }])
    expect(second.jobs).toMatchObject([{ seq, attempt: 2 }])
  })

  it('gives a worker whose lease ran out nothing more until it shows life, or for the length of a lease', async () => {
    const hanging = worker(5, { leaseMs: 1000 })
    await enqueue(2, { maxAttempts: 10 })
    await clock.advance(1000)
    expect(hanging.revoked).toHaveLength(2)
    await clock.advance(999)
    expect(hanging.jobs).toHaveLength(2)
    await clock.advance(1)
    expect(hanging.jobs).toHaveLength(4)
    await clock.advance(1000)
    hanging.subscription.alive()
    await clock.advance(0)
    expect(hanging.jobs).toHaveLength(6)
  })

  it('revokes attempts that take too long, and cancelled jobs', async () => {
    const { revoked } = worker(2)
    const [slow] = await enqueue(1, { timeoutMs: 2000, maxAttempts: 1 })
    const [unwanted] = await enqueue(1)
    await clock.advance(0)
    await engine.cancel(scope, unwanted!, 'no')
    await clock.advance(2000)
    expect(revoked.map(({ lease, cause }) => [lease.seq, cause])).toEqual([
      [unwanted, 'cancelled'],
      [slow, 'timeout'],
    ])
  })

  it('forgets ended jobs', async () => {
    const { jobs, complete } = worker(1)
    const [seq] = await enqueue(1)
    await clock.advance(0)
    await complete(jobs[0]!)
    await clock.advance(day + 120_000)
    await expect(engine.get(scope, seq!)).rejects.toMatchObject({ reason: 'NOT_FOUND' })
  })
})

describe('follow', () => {
  it('tells the present state, each change, and ends with the terminal one', async () => {
    const seen: JobRecord[] = []
    const follower = engine.follow(scope, (records) => seen.push(...records))
    const [seq] = await enqueue(1)
    expect(await follower.add(seq!)).toBe(true)
    const { jobs, complete } = worker(1)
    await clock.advance(0)
    await engine.settle(scope, [{ seq: seq!, token: jobs[0]!.token, action: { type: 'progress', percent: 50, message: 'half' } }])
    await clock.advance(0)
    await complete(jobs[0]!)
    await clock.advance(0)
    expect(seen.map((record) => record.state)).toEqual([JobState.pending, JobState.running, JobState.running, JobState.completed])
    expect(seen.map((record) => record.progress)).toEqual([0, 0, 50, 100])
    expect(seen.map((record) => record.revision)).toEqual([1, 2, 3, 4])
  })

  it('tells the terminal state alone when asked to, also of a job that ended before', async () => {
    const seen: number[] = []
    const follower = engine.follow(scope, (records) => seen.push(...records.map((record) => record.state)))
    const [a, b] = await enqueue(2)
    await follower.add(a!, { terminalOnly: true })
    await engine.cancel(scope, a!, '')
    await engine.cancel(scope, b!, '')
    await follower.add(b!, { terminalOnly: true })
    await clock.advance(0)
    expect(seen).toEqual([JobState.cancelled, JobState.cancelled])
  })

  it('knows no jobs of others', async () => {
    const [seq] = await enqueue(1)
    const follower = engine.follow({ ...scope, namespace: 'other' }, () => expect.unreachable())
    expect(await follower.add(seq!)).toBe(false)
    expect(await follower.add(1)).toBe(false)
    await engine.cancel(scope, seq!, '')
    await clock.advance(0)
  })
})

describe('changes that went unseen', () => {
  it('are found when the store says so: ready jobs, jobs taken away, and what is followed', async () => {
    let listener: StoreListener | undefined
    const deaf: Store = { ...store, listen: (heard) => (listener = heard) }
    await engine.close()
    store.listen({ ready() {}, changed() {} })
    engine = createJobEngine({ store: deaf, clock, retention, onError: (error) => errors.push(error) })
    const { jobs, revoked } = worker(1)
    const [first, second] = await enqueue(2)
    await clock.advance(0)
    expect(jobs).toEqual([])
    listener!.missed!()
    await clock.advance(0)
    expect(jobs.map(({ seq }) => seq)).toEqual([first])

    const seen: number[] = []
    await engine.follow(scope, (records) => seen.push(...records.map(({ state }) => state))).add(first!)
    await store.jobs.cancel(scope, first!, '', clock.now())
    await clock.advance(0)
    expect([seen, revoked]).toEqual([[JobState.running], []])
    listener!.missed!()
    await clock.advance(0)
    expect(seen).toEqual([JobState.running, JobState.cancelled])
    expect(revoked).toMatchObject([{ lease: { seq: first }, cause: 'cancelled' }])
    expect(jobs.map(({ seq }) => seq)).toEqual([first, second])
  })
})

/** Jobs whose claims are answered late. */
function slowClaims(jobs: Store['jobs'], answered: Promise<void>): Store['jobs'] {
  return new Proxy(jobs, {
    get(target, name) {
      if (name === 'claim') {
        return async (request: Parameters<Store['jobs']['claim']>[0]) => {
          const claims = await target.claim(request)
          await answered
          return claims
        }
      }
      const value = Reflect.get(target, name) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
