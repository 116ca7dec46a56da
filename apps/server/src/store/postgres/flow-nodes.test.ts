import { afterEach, describe, expect, it } from 'vitest'
import { type ClaimedJob, JobState, type NewJob, type NewStage, type Scope, type StoreOptions } from '../ports.ts'
import { openPostgresStore, type PostgresStore } from './open.ts'
import { sql, type TestDatabase, useTestServer } from './test-database.ts'

const server = await useTestServer()
const now = Date.UTC(2030, 0, 1)
const retry = { maxAttempts: 1, initialBackoffMs: 0, maxBackoffMs: 0, multiplier: 1, strategy: 'fixed', jitter: 0 } as const
const options: StoreOptions = { planRetry: () => undefined, defaultRetry: retry, defaultMaxDepth: 1e6, now: () => now }
const none = { contentType: '', headers: {}, labels: {}, priority: 0, timeoutMs: 0, idempotencyKey: '', function: '', queue: 'q' }

let database: TestDatabase
let nodes: PostgresStore[] = []
let scope: Scope

/** Several servers over one database. */
async function start(count: number): Promise<void> {
  database = await server.create()
  nodes = await Promise.all(Array.from({ length: count }, () => openPostgresStore({ ...options, url: database.url })))
  scope = { tenant: await nodes[0]!.keys.tenant('one', now), namespace: 'default' }
  for (const node of nodes) node.listen({ ready() {}, changed() {} })
}
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()))
  await database.drop()
})

async function enqueue(node: PostgresStore, jobs: readonly Partial<NewJob>[]): Promise<number[]> {
  const request = {
    scope,
    jobs: jobs.map((job) => ({ ...none, payload: new Uint8Array(), ...job })),
    requestId: '',
    partial: false,
    batch: false,
    now,
  }
  const { outcomes } = await node.jobs.enqueue(request)
  return outcomes.map((outcome) => ('seq' in outcome ? outcome.seq : 0))
}

async function claim(node: PostgresStore, at = now): Promise<readonly ClaimedJob[]> {
  const demands = () => [{ functions: [''], max: 10, leaseMs: 600_000, workerId: 'w' }]
  return (await node.jobs.claim({ scope, queue: 'q', demands, now: at }))[0]!
}

/** Both servers work until nothing is left. */
async function work(each: (node: PostgresStore, jobs: readonly ClaimedJob[]) => Promise<unknown>): Promise<void> {
  await Promise.all(
    nodes.map(async (node) => {
      for (let idle = 0; idle < 20; ) {
        const jobs = await claim(node)
        if (jobs.length > 0) await each(node, jobs)
        const { pending, blocked, processing } = await node.queues.stats(scope, 'q')
        idle = pending + blocked + processing > 0 ? 0 : idle + 1
        if (jobs.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }),
  )
}

const counter = (state: ClaimedJob['state']) => (state ? Number(Buffer.from(state.data).toString()) : 0)

describe('a claim of many jobs of stages', () => {
  it('begins them together: their leases run while it does', async () => {
    await start(1)
    const [node] = nodes as [PostgresStore]
    const task = { queue: 'q', function: '', priority: 0, timeoutMs: 0, labels: {} }
    const payload = { data: Buffer.from('"in"'), contentType: 'application/json' }
    const list = Buffer.from(JSON.stringify(Array.from({ length: 200 }, (_, i) => i)))
    const stages: NewStage[] = [
      { name: 'first', task, payload, dependsOn: [] },
      { name: 'each', task, payload: { data: new Uint8Array(), contentType: '' }, dependsOn: [0], forEach: list },
    ]
    const pipeline = await node.pipelines.create(scope, { name: 'p', stages, continueOnFailure: false, timeoutMs: 0 }, '', now)
    const [first] = await claim(node)
    const result = { data: Buffer.from('"out"'), contentType: 'application/json' }
    await node.jobs.settle(
      scope,
      [{ seq: first!.seq, token: first!.token, action: { type: 'complete', result: result.data, ...result } }],
      now,
    )
    const transactions = async () => Number((await sql(database.url, 'SELECT pg_current_xact_id()::text AS id'))[0]!.id)
    const before = await transactions()
    const demands = () => [{ functions: [''], max: 500, leaseMs: 1000, workerId: 'w' }]
    const jobs = (await node.jobs.claim({ scope, queue: 'q', demands, now }))[0]!
    expect((await transactions()) - before).toBeLessThan(50)
    expect(jobs).toHaveLength(200)
    for (const { stage } of jobs) expect(stage).toMatchObject({ pipeline, name: 'each', inputs: [{ stage: 'first', result }] })
    expect((await node.pipelines.get(scope, pipeline))!.stages!.map(({ state }) => state)).toEqual([JobState.completed, JobState.running])
  })
})

describe('several servers at the same time', () => {
  it('change a state once for each completed job, whoever completes and cancels', { timeout: 60_000 }, async () => {
    await start(2)
    const keys = ['a', 'b', 'c']
    const batches = Array.from({ length: 20 }, (_, i) =>
      enqueue(
        nodes[i % 2]!,
        keys.map((key) => ({ stateful: { key, ttlMs: 0 } })),
      ),
    )
    const seqs = (await Promise.all(batches)).flat()
    const cancelling = Promise.all(
      seqs.filter((_, i) => i % 7 === 0).map((seq, i) => nodes[i % 2]!.jobs.cancel(scope, seq, '', now).catch(() => undefined)),
    )
    await work(async (node, jobs) => {
      const items = jobs.map(({ seq, token, state }, i) => {
        const change = { data: Buffer.from(String(counter(state) + 1)), contentType: '' }
        const error = { message: 'no', code: '', stack: '' }
        const complete = { type: 'complete', result: new Uint8Array(), contentType: '', state: change } as const
        return { seq, token, action: (seq + i) % 5 === 0 ? ({ type: 'fail', error, noRetry: true } as const) : complete }
      })
      await node.jobs.settle(scope, items, now)
    })
    await cancelling
    const records = await nodes[0]!.jobs.getMany(scope, seqs)
    expect(records.every(({ state }) => state >= JobState.completed)).toBe(true)
    for (const key of keys) {
      const completed = records.filter(({ state, stateKey }) => state === JobState.completed && stateKey === key).length
      const state = await nodes[1]!.states.get(scope, key, now)
      expect(counter(state?.content)).toBe(completed)
    }
    expect(await sql(database.url, 'SELECT * FROM millrace.gates')).toEqual([])
  })

  it.each([
    ['', 0],
    [', those of keys in turn', 4],
  ])('start no more jobs together than their limits allow, within any window%s', { timeout: 60_000 }, async (_name, keys) => {
    await start(2)
    const window = 1000
    const job = (i: number) => ({
      rateLimit: { key: String(i % 3), limit: 5, perMs: window },
      // Every combination, so that servers would wait for each other in a circle if they locked one after the other.
      concurrency: { key: String(i % 2), limit: 20 },
      labels: { key: String(i % 3) },
      // Some have none.
      fairKey: i % 5 < keys ? String(i % 5) : undefined,
    })
    const batches = Array.from({ length: 30 }, (_, i) => enqueue(nodes[i % 2]!, [job(i), job(i + 1), job(i + 2), job(i + 3)]))
    const seqs = (await Promise.all(batches)).flat()
    const starts = new Map<string, number[]>()
    for (let at = now, left = seqs.length; left > 0; at += window / 2) {
      expect(at).toBeLessThan(now + 20 * window)
      await Promise.all(
        nodes.map(async (node) => {
          await node.jobs.promoteDue(at, 500)
          const jobs = await claim(node, at)
          for (const { labels } of jobs) starts.set(labels.key!, [...(starts.get(labels.key!) ?? []), at])
          left -= jobs.length
          const action = { type: 'complete', result: new Uint8Array(), contentType: '' } as const
          await node.jobs.settle(
            scope,
            jobs.map(({ seq, token }) => ({ seq, token, action })),
            at,
          )
        }),
      )
    }
    for (const times of starts.values()) {
      for (const at of times) expect(times.filter((other) => other > at - window && other <= at).length).toBeLessThanOrEqual(5)
    }
    await nodes[0]!.jobs.sweep({ completedMs: 1e9, failedMs: 1e9, cancelledMs: 1e9, requestsMs: 1e9 }, now + 60 * window, 500)
    expect(await sql(database.url, 'SELECT * FROM millrace.gates')).toEqual([])
    expect(await sql(database.url, 'SELECT * FROM millrace.rate_places')).toEqual([])
    expect(await sql(database.url, 'SELECT * FROM millrace.fair_keys')).toEqual([])
  })

  it('bring every pipeline to its end, with its events in order', { timeout: 60_000 }, async () => {
    await start(2)
    const stage = (name: string, dependsOn: readonly number[]): NewStage => {
      const { queue, function: name_, labels, priority, timeoutMs } = none
      return {
        name,
        task: { queue, function: name_, labels, priority, timeoutMs },
        payload: { data: new Uint8Array(), contentType: '' },
        dependsOn,
      }
    }
    const wide = Array.from({ length: 15 }, (_, i) => stage(`w${i}`, [0]))
    const stages = [
      stage('first', []),
      ...wide,
      stage(
        'last',
        wide.map((_, i) => i + 1),
      ),
    ]
    const pipeline = { name: 'p', stages, continueOnFailure: true, timeoutMs: 0 }
    const seqs = await Promise.all(Array.from({ length: 8 }, (_, i) => nodes[i % 2]!.pipelines.create(scope, pipeline, `r${i >> 1}`, now)))
    // Each request came to both servers at once.
    expect(new Set(seqs).size).toBe(4)
    await work((node, jobs) =>
      Promise.all(
        jobs.map(({ seq, token }) => {
          const action = { type: 'complete', result: Buffer.from('1'), contentType: '' } as const
          return node.jobs.settle(scope, [{ seq, token, action }], now)
        }),
      ),
    )
    for (const seq of new Set(seqs)) {
      expect(await nodes[0]!.pipelines.get(scope, seq)).toMatchObject({ state: JobState.completed, stagesLeft: 0 })
      const events = await nodes[1]!.pipelines.events(scope, seq, { limit: 1000, after: 0 })
      expect(events.map(({ number }) => number)).toEqual(events.map((_, i) => i + 1))
      expect(events.filter(({ state }) => state === JobState.completed)).toHaveLength(stages.length + 1)
    }
  })
})
