import { afterEach, describe, expect, it } from 'vitest'
import { type JobChange, JobState, type Lane, type NewJob, type Scope, type StoreOptions } from '../ports.ts'
import { openPostgresStore, type PostgresStore } from './open.ts'
import { sql, type TestDatabase, useTestServer } from './test-database.ts'

const server = await useTestServer()

const retry = { maxAttempts: 3, initialBackoffMs: 1000, maxBackoffMs: 1000, multiplier: 1, strategy: 'fixed', jitter: 0 } as const
const day = 86_400_000

/** One server's store, and what it was told. */
interface TestNode {
  readonly store: PostgresStore
  readonly ready: Lane[]
  readonly changes: JobChange[]
  missed: number
}

/** Several servers over one database, on a clock that stands still. */
class Cluster {
  readonly database: TestDatabase
  readonly nodes: TestNode[] = []
  scope!: Scope
  now = Date.UTC(2030, 0, 1)

  constructor(database: TestDatabase) {
    this.database = database
  }

  async add(count = 1): Promise<void> {
    const options: StoreOptions = { planRetry: () => undefined, defaultRetry: retry, defaultMaxDepth: 1e6, now: () => this.now }
    const open = async () => {
      const store = await openPostgresStore({ ...options, url: this.database.url })
      const node: TestNode = { store, ready: [], changes: [], missed: 0 }
      store.listen({
        ready: (lane) => node.ready.push(lane),
        changed: (changes) => node.changes.push(...changes),
        missed: () => node.missed++,
      })
      this.nodes.push(node)
    }
    // One after the other, so that they take turns in the order of the list.
    for (let i = 0; i < count; i++) await open()
    this.scope = { tenant: await this.nodes[0]!.store.keys.tenant('one', this.now), namespace: 'default' }
    // Each knows of the others.
    for (const { store } of this.nodes) await store.check()
  }

  job(change: Partial<NewJob> = {}): NewJob {
    const payload = new TextEncoder().encode('1')
    const none = { contentType: '', headers: {}, labels: {}, priority: 0, timeoutMs: 0, idempotencyKey: '' }
    return { queue: 'q', function: '', payload, ...none, ...change }
  }

  async enqueue(node: number, jobs: readonly Partial<NewJob>[]): Promise<number[]> {
    const request = {
      scope: this.scope,
      jobs: jobs.map((job) => this.job(job)),
      requestId: '',
      partial: false,
      batch: false,
      now: this.now,
    }
    const { outcomes } = await this.nodes[node]!.store.jobs.enqueue(request)
    return outcomes.map((outcome) => ('seq' in outcome ? outcome.seq : 0))
  }

  async claim(node: number, { max = 100, leaseMs = 30_000, functions = [''] } = {}) {
    const demands = () => [{ functions, max, leaseMs, workerId: `w${node}` }]
    const [jobs] = await this.nodes[node]!.store.jobs.claim({ scope: this.scope, queue: 'q', demands, now: this.now })
    return jobs!
  }

  complete(node: number, jobs: readonly { seq: number; token: number }[]) {
    const action = { type: 'complete', result: new Uint8Array(), contentType: '' } as const
    return this.nodes[node]!.store.jobs.settle(
      this.scope,
      jobs.map(({ seq, token }) => ({ seq, token, action })),
      this.now,
    )
  }

  stats(node = 0) {
    return this.nodes[node]!.store.queues.stats(this.scope, 'q')
  }

  async close(): Promise<void> {
    for (const { store } of this.nodes) await store.close()
    await this.database.drop()
  }
}

let cluster: Cluster
async function start(count: number): Promise<Cluster> {
  cluster = new Cluster(await server.create())
  await cluster.add(count)
  return cluster
}
afterEach(() => cluster.close())

const soon = { timeout: 5000, interval: 5 }

describe('what one node does', () => {
  it('wakes the others, with the names of what they did not know', async () => {
    const t = await start(3)
    await t.enqueue(0, [{ function: 'f' }, { function: 'g', runAt: t.now + 5000 }])
    for (const [i, node] of t.nodes.slice(1).entries()) {
      await expect.poll(() => node.ready, soon).toEqual([{ ...t.scope, queue: 'q', function: 'f' }])
      // A moment later than the one that knows it first: they take turns.
      await expect.poll(() => node.changes.map((change) => change.dueAt), soon).toEqual([t.now + 5000 + 25 * (i + 2)])
    }
    expect(await t.claim(1, { functions: ['f'] })).toHaveLength(1)
  })

  it('is told to the others: claims, cancellations, completions', async () => {
    const t = await start(2)
    const [a, b] = await t.enqueue(0, [{}, {}])
    const [first] = await t.claim(1)
    await t.nodes[0]!.store.jobs.cancel(t.scope, b!, 'no', t.now)
    await t.complete(0, [first!])
    const seen = () => t.nodes[1]!.changes.map(({ seq, state, cause }) => [seq, state, cause])
    await expect.poll(seen, soon).toContainEqual([b, JobState.cancelled, 'cancelled'])
    await expect.poll(seen, soon).toContainEqual([a, JobState.completed, 'settled'])
    await expect.poll(() => t.nodes[0]!.changes.map(({ seq, state }) => [seq, state]), soon).toContainEqual([a, JobState.running])
  })

  it('changes settings for all', async () => {
    const t = await start(2)
    await t.enqueue(1, [{}])
    await t.nodes[0]!.store.queues.update(t.scope, 'q', { paused: true, retry: { ...retry, maxAttempts: 9 } }, t.now)
    expect(await t.claim(1)).toEqual([])
    await expect.poll(async () => (await t.nodes[1]!.store.queues.settings(t.scope, 'q')).paused, soon).toBe(true)
    const [seq] = await t.enqueue(1, [{}])
    expect(await t.nodes[1]!.store.jobs.get(t.scope, seq!)).toMatchObject({ maxAttempts: 9 })
  })

  it('revokes keys for all', async () => {
    const t = await start(2)
    const told: unknown[] = []
    t.nodes[1]!.store.keys.listen({ revoked: (...key) => told.push(key), missed: () => undefined })
    const { tenant } = t.scope
    const key = {
      tenant,
      name: 'k',
      hash: new Uint8Array(32).fill(1),
      hint: 'mr_',
      scopes: [],
      namespaces: [],
      rateLimit: 0,
      createdAt: t.now,
    }
    const { seq } = await t.nodes[0]!.store.keys.create(key)
    await t.nodes[0]!.store.keys.revoke(tenant, seq, t.now)
    await expect.poll(() => told, soon).toEqual([[tenant, seq]])
  })

  it('tells them to look for themselves when there is too much to tell', async () => {
    const t = await start(2)
    const request = { scope: t.scope, requestId: '', partial: false, batch: false, now: t.now }
    const many = Array.from({ length: 25_000 }, () => t.job({ runAt: t.now + 1000 }))
    await t.nodes[0]!.store.jobs.enqueue({ ...request, jobs: many })
    await expect.poll(() => t.nodes[1]!.missed, soon).toBe(1)
    // When the first of them is due.
    await expect.poll(() => t.nodes[1]!.changes, soon).toHaveLength(1)
    t.now += 1000
    t.nodes[1]!.changes.length = 0
    expect(await t.nodes[0]!.store.jobs.promoteDue(t.now, 25_000)).toBe(25_000)
    await expect.poll(() => t.nodes[1]!.missed, soon).toBe(2)
    expect(t.nodes[1]!.changes).toEqual([])
  })
})

describe('nodes at the same time', () => {
  it('give each job once', async () => {
    const t = await start(3)
    const seqs = await t.enqueue(
      0,
      Array.from({ length: 3000 }, (_, i) => ({ priority: i % 3 })),
    )
    const claimed: number[] = []
    const drain = async (node: number) => {
      for (;;) {
        const jobs = await t.claim(node, { max: 37 })
        if (jobs.length === 0) return
        claimed.push(...jobs.map((job) => job.seq))
        // Whoever the worker reaches may settle.
        const outcomes = await t.complete((node + 1) % 3, jobs)
        expect(outcomes.every((outcome) => outcome.error === undefined)).toBe(true)
      }
    }
    await Promise.all([drain(0), drain(1), drain(2)])
    expect(claimed.sort((a, b) => a - b)).toEqual(seqs)
    expect(await t.stats()).toMatchObject({ completed: 3000, pending: 0, processing: 0, total: 3000 })
  })

  it('take an idempotency key, and a request, once', async () => {
    const t = await start(3)
    const request = { scope: t.scope, jobs: [t.job()], requestId: 'r', partial: false, batch: false, now: t.now }
    const keyed = { ...request, requestId: '', jobs: [t.job({ idempotencyKey: 'k' })] }
    const twelve = Array.from({ length: 12 }, (_, i) => t.nodes[i % 3]!.store.jobs)
    const byKey = await Promise.all(twelve.map((jobs) => jobs.enqueue(keyed)))
    const created = byKey.flatMap(({ outcomes }) => outcomes).filter((outcome) => 'created' in outcome && outcome.created)
    expect(created).toHaveLength(1)
    const byRequest = await Promise.all(twelve.map((jobs) => jobs.enqueue(request)))
    expect(new Set(byRequest.map((result) => JSON.stringify(result))).size).toBe(1)
    expect((await t.stats()).total).toBe(2)
  })

  it('do what is due once', async () => {
    const t = await start(3)
    await t.enqueue(
      0,
      Array.from({ length: 300 }, () => ({ runAt: t.now + 1000 })),
    )
    await t.enqueue(
      1,
      Array.from({ length: 300 }, () => ({})),
    )
    expect(await t.claim(2, { max: 300, leaseMs: 1000 })).toHaveLength(300)
    t.now += 1000
    const sum = async (act: (node: TestNode) => Promise<number>) => (await Promise.all(t.nodes.map(act))).reduce((total, n) => total + n, 0)
    expect(await sum(({ store }) => store.jobs.promoteDue(t.now, 1000))).toBe(300)
    expect(await sum(({ store }) => store.jobs.expireDue(t.now, 1000))).toBe(300)
    expect(await t.stats()).toMatchObject({ pending: 300, failed: 300, dead: 300, processing: 0, scheduled: 0 })
    t.now += day
    const retention = { completedMs: day, failedMs: day - 1, cancelledMs: day, requestsMs: day }
    expect(await sum(({ store }) => store.jobs.sweep(retention, t.now, 1000))).toBe(300)
    expect(await t.stats()).toMatchObject({ dead: 0, failed: 300 })
  })

  it('bring an empty database up to date', async () => {
    const t = await start(5)
    expect(new Set((await t.nodes[0]!.store.nodes()).map((node) => node.slot)).size).toBe(5)
  })

  it('give numbers that differ and grow', async () => {
    const t = await start(3)
    const seqs = (
      await Promise.all(
        [0, 1, 2, 0, 1, 2].map((node) =>
          t.enqueue(
            node,
            Array.from({ length: 500 }, () => ({})),
          ),
        ),
      )
    ).flat()
    expect(new Set(seqs).size).toBe(3000)
    // A clock that is behind does not give numbers that are behind: the heartbeat carries the others' along.
    t.now -= 5000
    await t.nodes[0]!.store.check()
    await t.nodes[1]!.store.check()
    const [later] = await t.enqueue(1, [{}])
    expect(later).toBeGreaterThan(Math.max(...seqs.filter((seq) => seq % 64 === 0)))
  })
})

describe('a node', () => {
  it('that dies is missed by the others, and its slot taken over without repeating numbers', async () => {
    const t = await start(2)
    const before = await t.enqueue(1, [{}, {}])
    const missed = t.nodes[0]!.missed
    await sql(t.database.url, "UPDATE millrace.nodes SET owner = 'gone', seen_at = now() - interval '1 hour' WHERE slot = 1")
    await t.nodes[0]!.store.check()
    expect(t.nodes[0]!.missed).toBe(missed + 1)
    await t.add()
    const after = await t.enqueue(2, [{}, {}])
    // The one that was taken for dead lives, and finds a slot of its own.
    await t.nodes[1]!.store.check()
    const revived = await t.enqueue(1, [{}, {}])
    const all = [...before, ...after, ...revived]
    expect(new Set(all).size).toBe(6)
    expect((await t.nodes[0]!.store.nodes()).filter((node) => node.active)).toHaveLength(3)
  })

  it('finds jobs that others put back without a word', async () => {
    const t = await start(2)
    // Until the look that every node takes after its start is over.
    await expect.poll(() => t.nodes[1]!.missed, soon).toBe(1)
    await t.enqueue(0, [{}, {}])
    // What it hears later would make it look again.
    await expect.poll(() => t.nodes[1]!.ready.length, soon).toBe(1)
    const claimed = await t.claim(1)
    // As if another node's claim had been undone after this one had passed by.
    expect(await t.claim(1)).toEqual([])
    await sql(t.database.url, `UPDATE millrace.jobs SET state = 2 WHERE seq = ${claimed[0]!.seq}`)
    expect(await t.claim(1)).toEqual([])
    t.nodes[1]!.ready.length = 0
    await expect.poll(() => t.nodes[1]!.ready.length, { timeout: 20_000 }).toBe(1)
    expect((await t.claim(1)).map((job) => job.seq)).toEqual([claimed[0]!.seq])
  }, 30_000)

  it('that left makes room', async () => {
    const t = await start(2)
    const left = t.nodes.pop()!
    await left.store.close()
    expect(await t.nodes[0]!.store.nodes()).toHaveLength(1)
  })

  it('whose listening connection breaks looks at everything, and listens again', async () => {
    const t = await start(2)
    const missed = t.nodes[1]!.missed
    await sql(t.database.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'millrace listen'")
    await expect.poll(() => t.nodes[1]!.missed, soon).toBeGreaterThan(missed)
    await t.enqueue(0, [{ queue: 'other' }])
    await expect.poll(() => t.nodes[1]!.ready.map((lane) => lane.queue), soon).toContain('other')
  })

  it('loses nothing that was acknowledged when its connections are cut', async () => {
    const t = await start(2)
    let cutting = true
    const cut = (async () => {
      while (cutting) {
        await sql(
          t.database.url,
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'millrace' AND random() < 0.3",
        )
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    })()
    const acknowledged: number[] = []
    const completed = new Set<number>()
    const produce = async (node: number) => {
      for (let i = 0; i < 150; i++) {
        await t.enqueue(node, [{}, {}, {}]).then(
          (seqs) => acknowledged.push(...seqs),
          (error: unknown) => expect(error).toMatchObject({ reason: 'UNAVAILABLE' }),
        )
      }
    }
    const work = async (node: number) => {
      for (let i = 0; i < 150; i++) {
        const jobs = await t.claim(node, { max: 10 }).catch((error: unknown) => {
          expect(error).toMatchObject({ reason: 'UNAVAILABLE' })
          return []
        })
        const outcomes = await t.complete(node, jobs).catch(() => [])
        outcomes.forEach((outcome, index) => {
          if (outcome.error) expect(outcome.error).toMatchObject({ reason: 'UNAVAILABLE' })
          else completed.add(jobs[index]!.seq)
        })
      }
    }
    await Promise.all([produce(0), produce(1), work(0), work(1)])
    cutting = false
    await cut
    const missing = await sql(
      t.database.url,
      `SELECT seq FROM unnest('{${acknowledged}}'::bigint[]) AS i (seq)
       WHERE (SELECT count(*) FROM millrace.jobs j WHERE j.seq = i.seq) + (SELECT count(*) FROM millrace.completed c WHERE c.seq = i.seq) <> 1`,
    )
    expect(missing).toEqual([])
    const notDone = `SELECT seq FROM unnest('{${[...completed]}}'::bigint[]) AS i (seq) WHERE NOT EXISTS (SELECT FROM millrace.completed c WHERE c.seq = i.seq)`
    expect(await sql(t.database.url, notDone)).toEqual([])
    // The counts are those of the rows.
    const [rows] = await sql(t.database.url, 'SELECT state, count(*)::int FROM millrace.jobs GROUP BY state').then((all) => [
      new Map(all.map((row) => [Number(row.state), Number(row.count)])),
    ])
    const [done] = await sql(t.database.url, 'SELECT count(*)::int FROM millrace.completed')
    expect(await t.stats()).toMatchObject({
      pending: rows!.get(JobState.pending) ?? 0,
      processing: rows!.get(JobState.running) ?? 0,
      completed: Number(done!.count),
    })
  })
})
