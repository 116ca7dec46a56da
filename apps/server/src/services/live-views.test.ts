import type { NewTask, WatchTasksRequest } from '@millrace/protocol'
import { pino } from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Attestor } from '../domain/attestation/attestor.ts'
import { createJobEngine } from '../domain/jobs/engine.ts'
import { defaultRetryPolicy, retryPlanner } from '../domain/jobs/retry.ts'
import { SchemaRegistry } from '../domain/schemas/registry.ts'
import { JobState, type Scope, type Store, type StoreOptions } from '../store/ports.ts'
import { openPostgresStore } from '../store/postgres/open.ts'
import { useTestServer } from '../store/postgres/test-database.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import type { Call } from './call.ts'
import { createClusterService } from './cluster-service.ts'
import { createQueueService } from './queue-service.ts'
import { createTaskService } from './task-service.ts'

const day = 86_400_000
const retention = { completedMs: day, failedMs: day, cancelledMs: day, requestsMs: day }
const task: NewTask = {
  function: 'f',
  payload: new Uint8Array(),
  contentType: '',
  queue: 'q',
  priority: 0,
  timeoutMs: 0,
  idempotencyKey: '',
  labels: {},
  headers: {},
  delayMs: 0,
  runAt: undefined,
  retry: undefined,
  concurrency: undefined,
  rateLimit: undefined,
  fairKey: '',
  debounce: undefined,
  deduplicate: undefined,
  expiresInMs: 0,
  stateKey: '',
  initialState: undefined,
  stateTtlMs: 0,
  teeRequired: false,
}
const everything: WatchTasksRequest = { labels: {}, states: [], function: '', queue: '', batchId: '', limit: 0 }

/** One server's services over a store. */
function createNode(store: Store, clock: ManualClock) {
  // What time does to jobs may be under way when the store closes.
  const engine = createJobEngine({ store, clock, retention, onError: () => undefined })
  const attestor = new Attestor({ acceptSimulated: false, collateral: [], measurements: [], amdRevocationLists: [] }, clock)
  const schemas = new SchemaRegistry({ store: store.schemas, clock })
  const context = { engine, clock, payloadLimit: 1e6, attestor, proofs: store.proofs, schemas, logger: pino({ enabled: false }) }
  const health = { problem: async () => '', stop() {} }
  return {
    engine,
    store,
    tasks: createTaskService(context),
    queues: createQueueService(context),
    cluster: createClusterService({ engine, health, version: '0', nodes: () => store.nodes(), backends: {}, services: [] }),
  }
}
type Node = ReturnType<typeof createNode>

/** A server that changes things and one that is watched: the same one, or two over one database. */
interface Setting {
  readonly clock: ManualClock
  readonly scope: Scope
  readonly writer: Node
  readonly watched: Node
  call(signal?: AbortSignal): Call
  close(): Promise<void>
}

const postgres = await useTestServer()
const options = (clock: ManualClock): StoreOptions => ({
  planRetry: retryPlanner(() => 0.5),
  defaultRetry: defaultRetryPolicy,
  defaultMaxDepth: 1e6,
  now: clock.now,
})

async function settle(clock: ManualClock, writer: Node, watched: Node, discard: () => Promise<void>): Promise<Setting> {
  const scope = { tenant: await writer.store.keys.tenant('t', 0), namespace: 'default' }
  return {
    clock,
    scope,
    writer,
    watched,
    call: (signal = new AbortController().signal) => ({ requestId: 'r', scope, signal }) as Call,
    async close() {
      for (const node of new Set([writer, watched])) {
        await node.engine.close()
        await node.store.close()
      }
      await discard()
    },
  }
}

const settings: Readonly<Record<string, () => Promise<Setting>>> = {
  async sqlite() {
    const clock = new ManualClock()
    const node = createNode(await openSqliteStore({ ...options(clock), path: ':memory:' }), clock)
    return settle(clock, node, node, async () => undefined)
  },
  async 'postgres, another server'() {
    const clock = new ManualClock()
    const database = await postgres.create()
    const open = async () => createNode(await openPostgresStore({ ...options(clock), url: database.url }), clock)
    const [writer, watched] = [await open(), await open()]
    for (const { store } of [writer, watched]) await store.check()
    return settle(clock, writer, watched, () => database.drop())
  },
}

/** Reads a stream while the clock moves, until what it says fits; or rejects as it does. */
async function until<T>(clock: ManualClock, stream: AsyncIterable<T>, fits: (value: T) => boolean): Promise<T[]> {
  const seen: T[] = []
  let done = false
  const reading = (async () => {
    for await (const value of stream) {
      seen.push(value)
      if (fits(value)) break
    }
    return seen
  })().finally(() => {
    done = true
  })
  reading.catch(() => undefined)
  while (!done) await clock.advance(20)
  return reading
}

describe.each(Object.entries(settings))('%s', (_, openSetting) => {
  const open = async () => {
    const setting = await openSetting()
    onTestFinished(() => setting.close())
    return setting
  }
  const submit = (t: Setting, change: Partial<NewTask> = {}) =>
    t.writer.tasks.submitTask({ task: { ...task, ...change }, requestId: '' }, t.call())

  it('a list of tasks shows those that come, run and end', async () => {
    const t = await open()
    await submit(t, { function: 'old' })
    let end: (() => void) | undefined
    const work = t.writer.engine.subscribe({
      scope: t.scope,
      queue: 'q',
      functions: ['new'],
      workerId: 'w',
      leaseMs: day / 4,
      maxInFlight: 1,
      deliver([job]) {
        const action = { type: 'complete', result: new Uint8Array(), contentType: '' } as const
        end = () => void t.writer.engine.settle(t.scope, [{ seq: job!.seq, token: job!.token, action }])
      },
      revoke: () => undefined,
    })
    const states: (number | undefined)[] = []
    const shown = await until(t.clock, t.watched.tasks.watchTasks(everything, t.call()), ({ tasks: [newest] }) => {
      if (newest!.function === 'old') void submit(t, { function: 'new' })
      else states.push(newest!.state)
      if (newest!.state === JobState.running) end!()
      return newest!.state === JobState.completed
    })
    expect(shown[0]!.tasks.map((each) => each.function)).toEqual(['old'])
    expect(shown.at(-1)!.tasks.map((each) => each.function)).toEqual(['new', 'old'])
    expect(states.slice(-2)).toEqual([JobState.running, JobState.completed])
    work.close()
  })

  it('a list of tasks keeps to its conditions and its length', async () => {
    const t = await open()
    for (let i = 0; i < 5; i++) await submit(t, { labels: { user: i % 2 ? 'a' : 'b' } })
    const watch = (change: Partial<WatchTasksRequest>) => t.watched.tasks.watchTasks({ ...everything, ...change }, t.call())
    const [mine] = await until(t.clock, watch({ labels: { user: 'b' } }), () => true)
    expect([mine!.tasks.length, mine!.more]).toEqual([3, false])
    const [two] = await until(t.clock, watch({ limit: 2 }), () => true)
    expect([two!.tasks.length, two!.more]).toEqual([2, true])
    await expect(until(t.clock, watch({ limit: 1000 }), () => true)).rejects.toMatchObject({ reason: 'VALIDATION' })
    await expect(until(t.clock, watch({ batchId: 'x', function: 'no name' }), () => true)).rejects.toThrow(
      'batchId: is not the id of a batch',
    )
  })

  it('counts of a queue follow what waits, also for its time and in a paused queue', async () => {
    const t = await open()
    await submit(t)
    const wanted = { pending: 2, scheduled: 1 }
    let begun = false
    const shown = await until(t.clock, t.watched.queues.watchQueueStats({ queue: 'q' }, t.call()), ({ stats }) => {
      if (!begun) {
        begun = true
        void submit(t, { delayMs: 3_600_000 })
          .then(() => t.writer.queues.pauseQueue({ queue: 'q' }, t.call()))
          .then(() => submit(t))
          .then(() => submit(t, { delayMs: 7_200_000 }))
      }
      return stats!.pending + stats!.scheduled === 4
    })
    expect(shown[0]!.stats).toMatchObject({ queue: 'q', pending: 1, scheduled: 0 })
    expect(shown.at(-1)!.stats).toMatchObject({ ...wanted, scheduled: 2, oldestAgeMs: expect.any(Number) })
  })

  it('health follows the depth of all queues', async () => {
    const t = await open()
    let begun = false
    const shown = await until(t.clock, t.watched.cluster.watchHealth({}, t.call()), ({ health }) => {
      if (!begun) {
        begun = true
        void submit(t, { queue: 'another' })
      }
      return health!.queue!.depth === 1
    })
    expect(shown[0]!.health).toMatchObject({ healthy: true, queue: { depth: 0 } })
  })

  it('a stream ends with its call, and leaves nothing behind', async () => {
    const t = await open()
    const controller = new AbortController()
    const reason = new Error('The caller has gone.')
    const stream = t.watched.tasks.watchTasks(everything, t.call(controller.signal))
    await expect(
      until(t.clock, stream, () => {
        controller.abort(reason)
        return false
      }),
    ).rejects.toBe(reason)
  })
})
