import { type EnqueueRequest, type EnqueueResult, JobState } from '../ports.ts'
import { Bytes, columns } from './arrays.ts'
import type { Context } from './context.ts'
import { addCounts, Writer } from './counts.ts'
import type { Statement, Value } from './database.ts'
import {
  EnqueuePlan,
  type FirstUse,
  idempotencyId,
  type Known,
  type PlannedJob,
  type PlannedRequest,
  storedRequestId,
} from './enqueue-plan.ts'
import { isDisconnected, violatedConstraint } from './errors.ts'
import type { ReadyLane } from './heads.ts'
import { keyOf, type LaneEntry, type QueueEntry } from './lanes.ts'
import { type Pending, Pipeline } from './pipeline.ts'
import { textOfRecord } from './rows.ts'

/** A batch is closed at this many jobs, … */
const mostJobs = 1000
/** … or as many as this much payload stands for. */
const bytesPerJob = 8 * 1024
/** How often a batch is planned and written anew when other nodes came first with its keys. */
const attempts = 5
/** How old the count of a queue's waiting jobs may be. */
const waitingMaxAgeMs = 250

/** An idempotency key that may have been used. */
interface KeyUse {
  readonly queue: QueueEntry
  readonly key: string
}

const askedKeys = columns<KeyUse>({
  tenant: ['int', ({ queue }) => queue.tenant],
  queue: ['int', ({ queue }) => queue.number],
  key: ['text', ({ key }) => key],
})
const readKeys: Statement = {
  name: 'enqueue_keys',
  repeatable: true,
  text: `
    SELECT i.tenant, i.queue, i.key, k.seq, encode(k.hash, 'hex') FROM ${askedKeys.from('i', 1)}
    CROSS JOIN LATERAL (SELECT seq, hash FROM millrace.idempotency WHERE tenant = i.tenant AND queue = i.queue AND key = i.key LIMIT 1) AS k`,
}

const askedRequests = columns<EnqueueRequest>({ tenant: ['int', ({ scope }) => scope.tenant], id: ['text', storedRequestId] })
const readRequests: Statement = {
  name: 'enqueue_requests',
  repeatable: true,
  text: `
    SELECT i.tenant, i.id, r.outcome FROM ${askedRequests.from('i', 1)}
    CROSS JOIN LATERAL (SELECT outcome FROM millrace.requests WHERE tenant = i.tenant AND id = i.id LIMIT 1) AS r`,
}

/** A planned job, and where its payload is among those of the batch. */
interface NewRow extends PlannedJob {
  readonly start: number
}
const jobRows = columns<NewRow>({
  tenant: ['int', ({ lane }) => lane.queue.tenant],
  seq: ['bigint', ({ seq }) => seq],
  lane: ['int', ({ lane }) => lane.number],
  state: ['smallint', ({ scheduled }) => (scheduled ? JobState.scheduled : JobState.pending)],
  priority: ['int', ({ job }) => job.priority],
  namespace: ['text', ({ lane }) => lane.queue.namespace],
  max_attempts: ['int', ({ maxAttempts }) => maxAttempts],
  rank: ['int', ({ job, scheduled }) => (scheduled ? null : -job.priority)],
  run_at: ['bigint', ({ job, scheduled }) => (scheduled ? job.runAt : null)],
  timeout_ms: ['bigint', ({ job }) => job.timeoutMs],
  now: ['bigint', ({ now }) => now],
  batch: ['bigint', ({ batch }) => batch],
  idempotency_key: ['text', ({ job }) => job.idempotencyKey || null],
  retry: ['text', ({ job }) => job.retry && JSON.stringify(job.retry)],
  content_type: ['text', ({ job }) => job.contentType || null],
  headers: ['text', ({ job }) => textOfRecord(job.headers)],
  labels: ['text', ({ job }) => textOfRecord(job.labels)],
  payload_at: ['int', ({ start }) => start],
  payload_length: ['int', ({ job }) => job.payload.length],
})

interface Added {
  readonly lane: LaneEntry
  scheduled: number
  pending: number
}
const countRows = columns<Added>({
  tenant: ['int', ({ lane }) => lane.queue.tenant],
  lane: ['int', ({ lane }) => lane.number],
  scheduled: ['int', ({ scheduled }) => scheduled],
  pending: ['int', ({ pending }) => pending],
})

interface Label {
  readonly tenant: number
  readonly key: string
  readonly value: string
  readonly seq: number
}
const labelRows = columns<Label>({
  tenant: ['int', ({ tenant }) => tenant],
  key: ['text', ({ key }) => key],
  value: ['text', ({ value }) => value],
  seq: ['bigint', ({ seq }) => seq],
})

const keyRows = columns<KeyUse & FirstUse>({
  tenant: ['int', ({ queue }) => queue.tenant],
  queue: ['int', ({ queue }) => queue.number],
  key: ['text', ({ key }) => key],
  seq: ['bigint', ({ seq }) => seq],
  hash: ['text', ({ hash }) => hash],
})

const requestRows = columns<PlannedRequest>({
  tenant: ['int', ({ request }) => request.scope.tenant],
  id: ['text', ({ request }) => storedRequestId(request)],
  outcome: ['text', ({ outcome }) => outcome],
  now: ['bigint', ({ request }) => request.now],
})

/** The parameters: payloads, writer, and then the rows of each table. */
const firstOf = { jobs: 3, counts: 3 + jobRows.width, labels: 0, keys: 0, requests: 0 }
firstOf.labels = firstOf.counts + countRows.width
firstOf.keys = firstOf.labels + labelRows.width
firstOf.requests = firstOf.keys + keyRows.width

const write: Statement = {
  name: 'enqueue',
  // Not by itself: see `#write`.
  repeatable: false,
  text: `
    WITH added AS (
      INSERT INTO millrace.jobs (tenant, seq, lane, state, priority, namespace, max_attempts, rank, run_at, timeout_ms, created_at, updated_at, batch,
        idempotency_key, retry, content_type, headers, labels, payload)
      SELECT tenant, seq, lane, state, priority, namespace, max_attempts, rank, run_at, timeout_ms, now, now, batch,
        idempotency_key, retry, content_type, headers, labels, substring($1::bytea FROM payload_at FOR payload_length)
      FROM ${jobRows.from('i', firstOf.jobs)}
    ), counted AS (
      ${addCounts(`SELECT tenant, lane, scheduled, pending, 0, 0, 0, 0, 0, scheduled + pending FROM ${countRows.from('i', firstOf.counts)}`, '$2::int')}
    ), labelled AS (
      INSERT INTO millrace.labels (tenant, key, value, seq) SELECT * FROM ${labelRows.from('i', firstOf.labels)}
    ), keyed AS (
      INSERT INTO millrace.idempotency (tenant, queue, key, seq, hash)
      SELECT tenant, queue, key, seq, decode(hash, 'hex') FROM ${keyRows.from('i', firstOf.keys)} ORDER BY tenant, queue, key
    )
    INSERT INTO millrace.requests (tenant, id, outcome, created_at)
    SELECT tenant, id, outcome, now FROM ${requestRows.from('i', firstOf.requests)} ORDER BY tenant, id`,
}

const exists: Statement = {
  name: 'enqueue_exists',
  repeatable: true,
  text: `SELECT 1 WHERE EXISTS (SELECT FROM millrace.jobs WHERE tenant = $1 AND seq = $2)
    OR EXISTS (SELECT FROM millrace.completed WHERE tenant = $1 AND seq = $2)`,
}

type Waiting = Pending<EnqueueRequest, EnqueueResult>

/** Adds jobs. */
export class Enqueue {
  readonly #context: Context
  readonly #pipeline: Pipeline<EnqueueRequest, EnqueueResult>

  constructor(context: Context) {
    this.#context = context
    this.#pipeline = new Pipeline({
      run: (batch, lane) => this.#run(batch, lane),
      weigh: ({ jobs }) => jobs.reduce((weight, { payload }) => weight + 1 + Math.floor(payload.length / bytesPerJob), 0),
      most: mostJobs,
      width: 2,
    })
  }

  run(request: EnqueueRequest): Promise<EnqueueResult> {
    return this.#pipeline.add(request)
  }

  close(): Promise<void> {
    return this.#pipeline.close()
  }

  async #run(batch: readonly Waiting[], lane: number): Promise<void> {
    const requests = batch.map(({ request }) => request)
    await this.#context.nodes.reserve(requests.reduce((count, { jobs }) => count + jobs.length + 1, 0))
    for (let attempt = 1; ; attempt++) {
      const plan = new EnqueuePlan(
        await this.#read(requests),
        this.#context.lanes,
        () => this.#context.sequence.next(),
        this.#context.options,
      )
      const outcomes = requests.map((request) => attemptOf(() => plan.add(request)))
      try {
        await this.#write(plan, lane)
      } catch (error) {
        const violated = violatedConstraint(error)
        if ((violated === 'idempotency_pkey' || violated === 'requests_pkey') && attempt < attempts) continue
        throw error
      }
      await this.#announce(plan)
      batch.forEach((caller, i) => {
        const outcome = outcomes[i]!
        if ('error' in outcome) caller.reject(outcome.error)
        else caller.resolve(outcome.value)
      })
      return
    }
  }

  async #read(requests: readonly EnqueueRequest[]): Promise<Known> {
    const names: (readonly [EnqueueRequest['scope'], string])[] = []
    const asked = new Map<string, number>()
    for (const { scope, jobs } of requests) {
      for (const { queue } of jobs) {
        const key = keyOf(scope, queue)
        const count = asked.get(key)
        if (count === undefined) names.push([scope, queue])
        asked.set(key, (count ?? 0) + 1)
      }
    }
    const queues = await this.#context.lanes.load(names)
    const [keys, remembered] = await Promise.all([
      this.#readKeys(requests, queues),
      this.#readRequests(requests),
      this.#readDepths(queues, asked),
    ])
    return { queues, keys, requests: remembered }
  }

  async #readKeys(requests: readonly EnqueueRequest[], queues: ReadonlyMap<string, QueueEntry>): Promise<ReadonlyMap<string, FirstUse>> {
    const uses: KeyUse[] = []
    for (const { scope, jobs } of requests) {
      for (const { queue: name, idempotencyKey: key } of jobs) {
        const queue = key === '' ? undefined : queues.get(keyOf(scope, name))!
        if (queue && queue.number > 0) uses.push({ queue, key })
      }
    }
    const found = new Map<string, FirstUse>()
    if (uses.length === 0) return found
    const rows = await this.#context.db.run<[number, number, string, number, string]>(readKeys, askedKeys.values(uses))
    const byNumber = new Map(uses.map(({ queue }) => [`${queue.tenant} ${queue.number}`, queue]))
    for (const [tenant, number, key, seq, hash] of rows) found.set(idempotencyId(byNumber.get(`${tenant} ${number}`)!, key), { seq, hash })
    return found
  }

  async #readRequests(requests: readonly EnqueueRequest[]): Promise<ReadonlyMap<string, string>> {
    const named = requests.filter((request) => request.requestId !== '')
    const found = new Map<string, string>()
    if (named.length === 0) return found
    for (const [tenant, id, outcome] of await this.#context.db.run<[number, string, string]>(readRequests, askedRequests.values(named))) {
      found.set(`${tenant} ${id}`, outcome)
    }
    return found
  }

  /** Counts the waiting jobs of queues that look full, before a job is refused; with other nodes about, those of others from time to time. */
  async #readDepths(queues: ReadonlyMap<string, QueueEntry>, asked: ReadonlyMap<string, number>): Promise<void> {
    const { lanes, nodes, options } = this.#context
    const now = performance.now()
    const full: QueueEntry[] = []
    const old: QueueEntry[] = []
    for (const [key, queue] of queues) {
      if (queue.waiting + asked.get(key)! > (queue.maxDepth || options.defaultMaxDepth)) full.push(queue)
      else if (!nodes.alone && now - queue.waitingReadAt > waitingMaxAgeMs) old.push(queue)
    }
    // Nobody waits for these, and what fails is asked for again.
    if (old.length > 0) lanes.readWaiting(old, now).catch(() => undefined)
    await lanes.readWaiting(full, now)
  }

  /**
   * Writes the plan in one transaction. When the connection breaks under it, the numbers of its jobs tell whether it was
   * carried out: they are never given twice.
   */
  async #write(plan: EnqueuePlan, lane: number): Promise<void> {
    const { db, lanes } = this.#context
    const [first] = plan.jobs
    if (!first && plan.requests.size === 0) return
    if (first) await lanes.store([...new Set(plan.jobs.map((job) => job.lane))], first.now)
    const values = valuesOf(plan, this.#context.writer(Writer.enqueue + lane))
    try {
      await db.run(write, values)
    } catch (error) {
      if (!first || !isDisconnected((error as Error).cause)) throw error
      if ((await db.run(exists, [first.lane.queue.tenant, first.seq])).length > 0) return
      await db.run(write, values).catch((again: unknown) => {
        if (violatedConstraint(again) !== 'jobs_pkey') throw again
      })
    }
  }

  #announce({ jobs }: EnqueuePlan): Promise<void> {
    const ready: ReadyLane[] = []
    let due: PlannedJob | undefined
    for (const planned of jobs) {
      this.#context.lanes.added(planned.lane.queue)
      if (!planned.scheduled) ready.push(positionOf(planned))
      else if (!due || planned.job.runAt! < due.job.runAt!) due = planned
    }
    return this.#context.announce({
      ready,
      // So that others see to it if this node dies.
      elsewhere: due && [{ tenant: due.lane.queue.tenant, seq: due.seq, state: JobState.scheduled, cause: 'other', dueAt: due.job.runAt }],
    })
  }
}

function valuesOf({ jobs, keys, requests }: EnqueuePlan, writer: number): Value[] {
  const payloads = new Bytes()
  const rows: NewRow[] = []
  const counts = new Map<LaneEntry, Added>()
  const labels: Label[] = []
  for (const planned of jobs) {
    const { job, seq, lane, scheduled } = planned
    rows.push({ ...planned, start: payloads.add(job.payload) })
    const count = counts.get(lane) ?? { lane, scheduled: 0, pending: 0 }
    if (scheduled) count.scheduled++
    else count.pending++
    counts.set(lane, count)
    for (const key in job.labels) labels.push({ tenant: lane.queue.tenant, key, value: job.labels[key]!, seq })
  }
  return [
    payloads.all(),
    writer,
    ...jobRows.values(rows),
    ...countRows.values([...counts.values()]),
    ...labelRows.values(labels),
    ...keyRows.values([...keys.values()]),
    ...requestRows.values([...requests.values()]),
  ]
}

function positionOf({ job, seq, lane }: PlannedJob): ReadyLane {
  return { tenant: lane.queue.tenant, lane: lane.number, rank: -job.priority, seq }
}

function attemptOf<T>(run: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: run() }
  } catch (error) {
    return { error }
  }
}
