import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Harness, type StoreFactory } from '../conformance/harness.ts'
import { type ClaimedJob, type Demand, JobState } from '../ports.ts'
import { openPostgresStore } from './open.ts'
import { sql, useTestServer } from './test-database.ts'

const server = await useTestServer()

let url = ''
const factory: StoreFactory = {
  async open(options) {
    const database = await server.create()
    url = database.url
    const open = () => openPostgresStore({ ...options, url })
    return { store: await open(), reopen: open, discard: () => database.drop() }
  },
}

let t: Harness
beforeEach(async () => {
  t = await Harness.open(factory)
})
afterEach(() => t?.close())

/** Claims whenever a lane is said to be ready, as a dispatcher does. */
function subscribe(demands: () => readonly Demand[]): ClaimedJob[] {
  const got: ClaimedJob[] = []
  const claim = () => {
    t.store.jobs
      .claim({ scope: t.scope, queue: 'q', demands, now: t.clock.now() })
      .then((claims) => got.push(...claims.flat()))
      .catch(() => undefined)
  }
  t.store.listen({ ready: claim, changed: (changes) => t.changes.push(...changes) })
  return got
}

const demand = (max: number, functions = ['']): Demand => ({ functions, max, leaseMs: 10_000, workerId: 'w' })
const soon = { timeout: 5000, interval: 5 }

describe('jobs of a lane where none waits', () => {
  it('go straight to those who wait, under leases that hold', async () => {
    await t.enqueue({})
    await t.complete((await t.claim())[0]!)
    expect(await t.claim()).toEqual([])

    const got = subscribe(() => [demand(2)])
    const labels = { a: 'b' }
    const seqs = await t.enqueue({ labels, timeoutMs: 5000 }, { headers: { h: 'x' } }, {})
    await expect.poll(() => got.map((job) => job.seq), soon).toEqual(seqs.slice(0, 2))
    expect(got[0]).toMatchObject({
      attempt: 1,
      maxAttempts: 3,
      labels,
      leaseExpiresAt: t.clock.now() + 10_000,
      deadline: t.clock.now() + 5000,
    })
    expect(await t.store.jobs.get(t.scope, seqs[0]!)).toMatchObject({ state: JobState.running, attempts: 1, workerId: 'w', labels })
    expect(t.changes.map(({ seq, state }) => [seq, state])).toContainEqual([seqs[1], JobState.running])
    // They never were pending: one transaction added them and leased them out.
    expect(await sql(url, 'SELECT revision, state FROM millrace.jobs ORDER BY seq')).toMatchObject([{ revision: 2 }, { revision: 2 }, {}])

    expect(await t.complete(got[1]!)).toEqual({})
    await t.tick(5000)
    expect(await t.store.jobs.get(t.scope, seqs[0]!)).toMatchObject({ error: { code: 'timeout' } })
    expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ total: 4, completed: 2 })
  })

  it('go in order of priority, and what nobody takes waits', async () => {
    expect(await t.claim()).toEqual([])
    await t.enqueue({})
    const [first] = await t.claim()
    expect(await t.claim()).toEqual([])
    const got = subscribe(() => (got.length === 0 ? [demand(1)] : []))
    const [low, high] = await t.enqueue({}, { priority: 5 })
    expect(got.map((job) => job.seq)).toEqual([high])
    expect((await t.claim()).map((job) => job.seq)).toEqual([low])
    expect(await t.complete(first!)).toEqual({})
  })

  it('wait behind those that wait already, of any function the worker takes', async () => {
    await t.enqueue({ function: 'f' }, { function: 'g' })
    for (const job of await t.claim({ functions: ['f', 'g'] })) await t.complete(job)
    expect(await t.claim({ functions: ['f', 'g'] })).toEqual([])
    const [older] = await t.enqueue({ function: 'g' })
    const order: number[] = []
    t.store.listen({
      ready: () => {
        t.store.jobs
          .claim({ scope: t.scope, queue: 'q', demands: () => [demand(1, ['f', 'g'])], now: t.clock.now() })
          .then((claims) => order.push(...claims.flat().map((job) => job.seq)))
          .catch(() => undefined)
      },
      changed() {},
    })
    const [younger] = await t.enqueue({ function: 'f' })
    await expect.poll(() => order, soon).toEqual([older])
    expect((await t.claim({ functions: ['f', 'g'] })).map((job) => job.seq)).toEqual([younger])
  })

  it('do not pass by a pause', async () => {
    await t.enqueue({})
    await t.claim()
    expect(await t.claim()).toEqual([])
    await t.store.queues.update(t.scope, 'q', { paused: true }, t.clock.now())
    const got = subscribe(() => [demand(1)])
    const [seq] = await t.enqueue({})
    expect(await t.state(seq!)).toBe(JobState.pending)
    expect(got).toEqual([])
    await t.store.queues.update(t.scope, 'q', { paused: false }, t.clock.now())
    await expect.poll(() => got.map((job) => job.seq), soon).toEqual([seq])
  })

  it('a refused request takes its jobs back, and theirs who waited', async () => {
    await t.enqueue({ idempotencyKey: 'k' })
    await t.claim()
    expect(await t.claim()).toEqual([])
    const got = subscribe(() => [demand(5)])
    await expect(t.enqueue({}, { idempotencyKey: 'k', payload: new Uint8Array([2]) })).rejects.toMatchObject({ reason: 'ALREADY_EXISTS' })
    const [seq] = await t.enqueue({})
    await expect.poll(() => got.map((job) => job.seq), soon).toEqual([seq])
  })
})

it('a queue that drains through claims and handoffs gives each job once', async () => {
  const got = subscribe(() => [demand(3)])
  const seqs: number[] = []
  for (let round = 0; round < 30; round++) {
    seqs.push(...(await t.enqueue(...Array.from({ length: round % 7 }, (_, i) => ({ priority: i % 2 })))))
    if (round % 5 === 0) seqs.push(...(await Promise.all([t.enqueue({}), t.enqueue({}, {})])).flat())
  }
  // Whoever got jobs asks for more, as a dispatcher does.
  for (let more = 1; more > 0; ) {
    const jobs = await t.claim({ max: 50 })
    got.push(...jobs)
    more = jobs.length
  }
  await expect.poll(() => got.length, soon).toBe(seqs.length)
  expect(got.map((job) => job.seq).sort((a, b) => a - b)).toEqual(seqs.sort((a, b) => a - b))
  expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ processing: seqs.length, pending: 0 })
})
