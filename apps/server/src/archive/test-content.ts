import { expect } from 'vitest'
import type { KvWriteRequest } from '../store/kv-port.ts'
import { type ClaimedJob, JobState, type Scope, type Store, type StoreOptions } from '../store/ports.ts'
import { compactAfterMs } from '../store/stream-compaction.ts'
import type { StreamWriteRequest } from '../store/stream-port.ts'
import { plainTraits } from '../store/trait-port.ts'

const text = (value: string) => new TextEncoder().encode(value)
const retry = { maxAttempts: 3, initialBackoffMs: 1000, maxBackoffMs: 60_000, multiplier: 2, strategy: 'fixed', jitter: 0 } as const

/** When everything happens. */
export const testNow = Date.UTC(2026, 0, 2)
let now = testNow
export const testOptions: StoreOptions = {
  planRetry: ({ attempt, maxAttempts, policy, now }) => (attempt < maxAttempts ? now + policy.initialBackoffMs : undefined),
  defaultRetry: retry,
  defaultMaxDepth: 1_000_000,
  now: () => now,
}

/** What {@link fill} put into a store, to be asked for afterwards. */
export interface Content {
  readonly scope: Scope
  readonly other: Scope
  readonly seqs: Readonly<Record<string, number>>
  /** Of the job `running`. */
  readonly token: number
  readonly request: Parameters<Store['jobs']['enqueue']>[0]
  readonly answer: Awaited<ReturnType<Store['jobs']['enqueue']>>
}

/** Sets, replaces and deletes keys, in a store that keeps a history. */
const kvRequest = (scope: Scope): KvWriteRequest => {
  const set = (key: string, value: Uint8Array, expiresAt?: number) =>
    ({ type: 'set', key, value, contentType: 'x/y', expiresAt, ifAbsent: false }) as const
  const writes = [
    set('ü', text('1')),
    set('large', new Uint8Array(90_000).fill(3)),
    set('ü', text('2'), testNow + 60_000),
    set('gone', text('3')),
    { type: 'delete', key: 'gone' } as const,
    { type: 'increment', key: 'n', by: 7 } as const,
  ]
  return { scope, store: 'settings', writes, requestId: 'k1', partial: false, now: testNow }
}

const durableTraits = { ...plainTraits, contentType: 'text/plain', ttlMs: 1e9, expiresAt: testNow + 1e9, closed: true, order: 'ö' }
const producer = { id: 'ü', epoch: 2, seq: 0 }
/** Writes to both partitions of a stream. */
const streamRequest = (scope: Scope): StreamWriteRequest => {
  const message = (partition: number, payload: Uint8Array) => ({ payload, contentType: 'x/y', headers: { h: 'é' }, key: 'k', partition })
  const batch = [message(0, text('a')), message(1, text('b')), message(1, new Uint8Array(200_000).fill(5))]
  return { scope, stream: 'events', batches: [{ messages: batch, producer }], requestId: 's1', now: testNow }
}

/** Puts something of every kind and state into a store. */
export async function fill(store: Store, more = 0): Promise<Content> {
  now = testNow
  const scope = { tenant: await store.keys.tenant('one', now), namespace: 'default' }
  const other = { tenant: await store.keys.tenant('two', now), namespace: 'näme' }
  const key = {
    tenant: scope.tenant,
    name: 'ci',
    hint: 'mr_a',
    scopes: ['admin'],
    namespaces: [],
    rateLimit: 7,
    createdAt: now,
    expiresAt: now + 1,
  }
  const made = await store.keys.create({ ...key, hash: new Uint8Array(32).fill(7) })
  await store.keys.create({ ...key, tenant: other.tenant, hash: new Uint8Array(32).fill(8), expiresAt: undefined })
  await store.keys.revoke(scope.tenant, made.seq, now + 5)
  await store.keys.tokenSecret(scope.tenant, new Uint8Array(32).fill(9))
  await store.queues.update(other, 'paused', { paused: true, maxDepth: 5, retry: { ...retry, strategy: 'linear', jitter: 0.5 } }, now)

  const job = {
    queue: 'q',
    function: '',
    payload: text('{"n":1}'),
    contentType: '',
    headers: {},
    labels: {},
    priority: 0,
    timeoutMs: 0,
    idempotencyKey: '',
  }
  const names = ['completed', 'large', 'failed', 'cancelled', 'running', 'backoff', 'released', 'expired', 'fresh', 'later'] as const
  const details: Partial<Record<(typeof names)[number], object>> = {
    completed: {
      labels: { env: 'prod', 'a\\"b': '{}' },
      headers: { h: 'é\u0000' },
      idempotencyKey: 'done',
      function: 'f',
      timeoutMs: 60_000,
      maxAttempts: 9,
    },
    large: { payload: new Uint8Array(100_000).fill(255), contentType: 'application/octet-stream' },
    running: { timeoutMs: 90_000, labels: { env: 'prod' }, retry: { ...retry, maxAttempts: 7 } },
    later: { runAt: now + 3_600_000, priority: 5, idempotencyKey: 'later' },
    fresh: { priority: -100, payload: new Uint8Array() },
  }
  const request = {
    scope,
    jobs: names.map((name) => ({ ...job, ...details[name], priority: (details[name] as { priority?: number })?.priority ?? 10 })),
    requestId: 'r1',
    partial: false,
    batch: true,
    now,
  }
  const answer = await store.jobs.enqueue(request)
  const seqs = Object.fromEntries(names.map((name, i) => [name, (answer.outcomes[i] as { seq: number }).seq]))
  const claimed: ClaimedJob[] = []
  // One claim may give less than there is.
  while (claimed.length < 8) {
    const demands = () => [{ functions: ['', 'f'], max: 8 - claimed.length, leaseMs: 30_000, workerId: 'w\u0000"' }]
    claimed.push(...(await store.jobs.claim({ scope, queue: 'q', demands, now })).flat())
  }
  const held = (name: string) => ({ seq: seqs[name]!, token: claimed.find(({ seq }) => seq === seqs[name])!.token })
  const error = { message: 'no\u0000', code: 'E', stack: 'at' }
  const entries = [1, 2].map((n) => ({ timestamp: now + n, level: 2, message: `line\u0000 ${n}`, fields: '{"a":1}' }))
  const first = await store.jobs.settle(
    scope,
    [
      { ...held('completed'), action: { type: 'log', entries } },
      { ...held('completed'), action: { type: 'progress', percent: 100 / 3, message: 'third' } },
      { ...held('running'), action: { type: 'log', entries } },
      { ...held('running'), action: { type: 'progress', percent: 100 / 3, message: 'third' } },
    ],
    now,
  )
  const second = await store.jobs.settle(
    scope,
    [
      { ...held('completed'), action: { type: 'complete', result: text('"ok"'), contentType: 'application/json' } },
      { ...held('large'), action: { type: 'complete', result: new Uint8Array(70_000).fill(1), contentType: '' } },
      { ...held('failed'), action: { type: 'fail', error, noRetry: true } },
      { ...held('backoff'), action: { type: 'fail', error, noRetry: false } },
      { ...held('released'), action: { type: 'release' } },
      { ...held('expired'), action: { type: 'renew', leaseMs: 1000 } },
    ],
    now,
  )
  expect([...first, ...second].filter(({ error }) => error)).toEqual([])
  await store.jobs.cancel(scope, seqs.cancelled!, 'not needed', now)
  now += 500
  await store.jobs.expireDue(now + 500, 100)
  await store.jobs.enqueue({ ...request, scope: other, jobs: [{ ...job, idempotencyKey: 'done' }], requestId: 'r1', now })
  await store.kv.update(scope, 'settings', { history: 3 }, now)
  await store.kv.write(kvRequest(scope))
  await store.streams.put(scope, 'events', { partitions: 2, retention: { maxAgeMs: 60_000, maxBytes: 1e9 } }, now)
  expect(await store.streams.write(streamRequest(scope))).toMatchObject([{ offsets: [0, 0, 1] }])
  const durable = { scope, messages: [{ payload: text('é'), contentType: 'text/plain', headers: {}, key: '' }], now }
  await store.streams.create({ ...durable, stream: 'durable', traits: durableTraits })
  const { number } = (await store.streams.state(scope, 'durable'))!
  await store.streams.create({
    ...durable,
    stream: 'fork',
    traits: { ...plainTraits, fork: { source: number, inherited: 1, sub: 2, depth: 3 } },
  })
  await store.streams.delete(scope, 'durable')
  await store.streams.put(scope, 'compacted', { compaction: true }, now)
  const keyed = ['1', '2', '', '3'].map((value, i) => ({ payload: text(value), contentType: '', headers: {}, key: i === 2 ? 'b' : 'a' }))
  await store.streams.write({ scope, stream: 'compacted', batches: [{ messages: keyed }], requestId: '', now: now - compactAfterMs })
  expect(await store.streams.trim(now, 3)).toBe(3)
  await store.streams.commit(scope, 'events', [{ group: 'ü', partition: 1, offset: 1 }], now)
  const object = { contentType: 'x/y', metadata: { ü: 'é' }, content: { blob: 'b1', size: 3, sha256: 'aa' } }
  const bucket = { publicRead: true, tags: { t: 'ü' }, lifecycle: [{ prefix: 'tmp/', expireAfterMs: 60_000 }] }
  await store.objects.createBucket(scope, { ...bucket, name: 'raw', createdAt: now })
  await store.objects.begin(scope, 'b1', now + 1000)
  await store.objects.put({ ...scope, bucket: 'raw', key: 'tmp/ü' }, object, {}, now)
  const upload = { upload: 'u1', contentType: '', metadata: {}, createdAt: now, expiresAt: now + 60_000 }
  await store.objects.createUpload({ ...scope, bucket: 'raw', key: 'large' }, upload)
  await store.objects.begin(scope, 'b2', now + 1000)
  await store.objects.putPart(scope, 'raw', 'u1', { part: 2, blob: 'b2', size: 5, sha256: 'bb' }, now)
  for (let left = more; left > 0; left -= 1000) {
    const jobs = Array.from({ length: Math.min(left, 1000) }, (_, i) => ({ ...job, queue: 'more', labels: { n: String(i) } }))
    await store.jobs.enqueue({ ...request, jobs, requestId: '', batch: false, now })
  }
  return { scope, other, seqs, token: held('running').token, request, answer }
}

/** Asks a store whether it is the one that {@link fill} filled, also where it goes on from there. */
export async function expectContent(store: Store, { scope, other, seqs, token, request, answer }: Content): Promise<void> {
  const get = async (name: string) => (await store.jobs.get(scope, seqs[name]!))!
  expect(await get('completed')).toMatchObject({
    state: JobState.completed,
    function: 'f',
    progress: 100,
    message: 'third',
    maxAttempts: 9,
    finishedAt: testNow,
  })
  expect(await store.objects.bucket(scope, 'raw')).toMatchObject({ publicRead: true, tags: { t: 'ü' }, lifecycle: [{ prefix: 'tmp/' }] })
  expect(await store.objects.get({ ...scope, bucket: 'raw', key: 'tmp/ü' })).toMatchObject({
    metadata: { ü: 'é' },
    blobs: [{ blob: 'b1', size: 3, sha256: 'aa' }],
  })
  expect(await store.objects.parts(scope, 'raw', 'u1', { limit: 10, after: 0 })).toEqual([{ part: 2, blob: 'b2', size: 5, sha256: 'bb' }])
  expect((await get('large')).payload).toHaveLength(100_000)
  expect((await get('large')).result).toHaveLength(70_000)
  expect(await get('failed')).toMatchObject({ state: JobState.failed, error: { code: 'E', stack: 'at' } })
  expect(await get('cancelled')).toMatchObject({ state: JobState.cancelled, message: 'not needed' })
  expect(await get('backoff')).toMatchObject({ state: JobState.scheduled, runAt: testNow + 1000, attempts: 1 })
  expect(await get('released')).toMatchObject({ state: JobState.pending, attempts: 0 })
  expect(await get('expired')).toMatchObject({ state: JobState.pending, attempts: 1, error: { code: 'lease_expired' } })
  expect(await get('later')).toMatchObject({ state: JobState.scheduled, runAt: testNow + 3_600_000, priority: 5 })
  expect((await store.jobs.listDead(scope, 'q', { limit: 10 })).items.map(({ seq }) => seq)).toEqual([seqs.failed])
  expect(await store.queues.stats(scope, 'q')).toMatchObject({
    pending: 3,
    scheduled: 2,
    processing: 1,
    completed: 2,
    failed: 1,
    cancelled: 1,
    dead: 1,
    total: 10,
  })
  expect((await store.jobs.list(scope, { labels: { env: 'prod' } }, { limit: 10 })).items).toHaveLength(2)
  expect((await store.jobs.list(scope, { batch: answer.batch }, { limit: 20 })).items).toHaveLength(10)
  expect(await store.jobs.logs(scope, seqs.completed!, { limit: 10, after: 0 })).toMatchObject([{ sequence: 1 }, { sequence: 2 }])
  expect(await store.queues.settings(other, 'paused')).toMatchObject({ paused: true, maxDepth: 5, retry: { strategy: 'linear' } })
  expect(await store.keys.findByHash(new Uint8Array(32).fill(7))).toMatchObject({ tenantName: 'one', rateLimit: 7, revokedAt: testNow + 5 })

  expect([...(await store.keys.tokenSecret(scope.tenant))!]).toEqual(Array(32).fill(9))
  expect(await store.keys.tokenSecret(other.tenant)).toBeUndefined()
  const kv = { prefix: '', after: 0, limit: 100, now: testNow }
  const { changes } = await store.kv.changes(scope, 'settings', kv)
  expect(changes.map(({ type, entry }) => `${type} ${entry.key} ${entry.revision} ${entry.value?.length}`)).toEqual([
    '1 large 2 90000',
    '1 ü 3 1',
    '2 gone 5 undefined',
    '1 n 6 1',
  ])
  expect((await store.kv.history(scope, 'settings', 'ü')).map(({ entry }) => Buffer.from(entry.value!).toString())).toEqual(['2', '1'])
  expect(await store.kv.write(kvRequest(scope))).toMatchObject([{ revision: 1 }, {}, {}, {}, { deleted: true }, { number: 7 }])
  expect(await store.kv.write({ ...kvRequest(scope), store: 'new', requestId: '' })).toHaveLength(6)
  expect(await store.kv.expire(testNow + 60_000, 10)).toBe(2)
  expect(await store.kv.settings(scope, 'settings')).toMatchObject({ history: 3, revision: 7 })

  const { slices } = await store.streams.read(scope, 'events', 1, { offset: 1, maxMessages: 10, maxBytes: 1e9 })
  expect(slices).toMatchObject([{ firstOffset: 1, timestamp: testNow, messages: [{ key: 'k', contentType: 'x/y', headers: { h: 'é' } }] }])
  expect(slices[0]!.messages[0]!.payload).toHaveLength(200_000)
  expect(await store.streams.state(scope, 'durable')).toMatchObject({ ...durableTraits, gone: true, next: 1 })
  expect(await store.streams.state(scope, 'fork')).toMatchObject({ ...plainTraits, fork: { inherited: 1, sub: 2, depth: 3 }, next: 2 })
  const forked = await store.streams.read(scope, 'fork', 0, { offset: 0, maxMessages: 1, maxBytes: 1e9 })
  expect(forked.slices).toMatchObject([{ firstOffset: 0, messages: [{ contentType: 'text/plain' }] }])
  while ((await store.streams.trim(testNow + 1000, 10)) > 0);
  const compacted = await store.streams.read(scope, 'compacted', 0, { offset: 0, maxMessages: 10, maxBytes: 1e9 })
  expect(compacted.slices).toMatchObject([{ firstOffset: 2, messages: [{ key: 'b' }, { key: 'a' }] }])
  expect(await store.streams.describe(scope, 'compacted')).toMatchObject({ compaction: true })
  expect(await store.streams.committed(scope, 'events', 'ü')).toEqual([-1, 1])
  expect(await store.streams.write(streamRequest(scope))).toEqual([{ partitions: [0, 1, 1], offsets: [0, 0, 1] }])
  expect(await store.streams.write({ ...streamRequest(scope), requestId: '' })).toMatchObject([{ offsets: [0, 0, 1], repeatOf: 0 }])
  const another = [{ ...streamRequest(scope).batches[0]!, producer: { ...producer, seq: 1 } }]
  expect(await store.streams.write({ ...streamRequest(scope), batches: another, requestId: '' })).toMatchObject([{ offsets: [1, 2, 3] }])
  expect(await store.streams.write({ ...streamRequest(scope), stream: 'new', requestId: '' })).toMatchObject([
    { error: { reason: 'VALIDATION' } },
  ])
  expect(await store.streams.describe(scope, 'events')).toMatchObject({
    retention: { maxAgeMs: 60_000 },
    partitions: [{ earliest: 0, latest: 1 }, { latest: 3 }],
  })

  // Where it goes on: repeats are answered, leases hold, numbers grow, time goes by.
  expect(await store.jobs.enqueue(request)).toEqual(answer)
  const again = { ...request, requestId: '', batch: false, jobs: [request.jobs[0]!] }
  expect((await store.jobs.enqueue(again)).outcomes).toEqual([{ seq: seqs.completed, created: false }])
  const [fresh] = (await store.jobs.enqueue({ ...again, jobs: [{ ...request.jobs[0]!, idempotencyKey: '' }] })).outcomes
  expect((fresh as { seq: number }).seq).toBeGreaterThan(Math.max(...Object.values(seqs), token))
  const log = { type: 'log', entries: [{ timestamp: 9, level: 1, message: 'more', fields: '' }] } as const
  const complete = { type: 'complete', result: text('1'), contentType: '' } as const
  const settled = await store.jobs.settle(
    scope,
    [
      { seq: seqs.running!, token, action: log },
      { seq: seqs.failed!, token, action: complete },
    ],
    now,
  )
  expect(settled).toMatchObject([{}, { error: { reason: 'CONFLICT' } }])
  expect(await store.jobs.logs(scope, seqs.running!, { limit: 10, after: 2 })).toMatchObject([{ sequence: 3 }])
  expect(await store.jobs.nextDueAt()).toBe(testNow + 1000)
  expect(await store.jobs.promoteDue(testNow + 1000, 10)).toBe(1)
  expect(await store.jobs.expireDue(testNow + 30_000, 10)).toBe(1)
  expect(await get('running')).toMatchObject({ state: JobState.pending, attempts: 1, error: { code: 'lease_expired' } })
  const demands = () => [{ functions: ['', 'f'], max: 100, leaseMs: 1000, workerId: 'w' }]
  const [claimed] = await store.jobs.claim({ scope, queue: 'q', demands, now })
  const order = ['running', 'backoff', 'released', 'expired'].map((name) => seqs[name])
  expect(claimed!.map(({ seq }) => seq)).toEqual([...order, (fresh as { seq: number }).seq, seqs.fresh])
}
