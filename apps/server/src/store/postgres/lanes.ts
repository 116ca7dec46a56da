import { MillraceError } from '../../errors.ts'
import type { Lane, QueueSettings, RetryPolicy, Scope } from '../ports.ts'
import { mostOf } from '../quotas.ts'
import { numbers, texts } from './arrays.ts'
import type { Database, Statement } from './database.ts'
import type { ReadyLane } from './heads.ts'

/** A queue as this node knows it. */
export interface QueueEntry extends Scope {
  readonly name: string
  /** 0 until it is stored. */
  number: number
  readonly createdAt: number
  readonly retry: RetryPolicy | undefined
  readonly maxDepth: number
  readonly paused: boolean
  readonly lanes: Map<string, LaneEntry>
  /** Queues of the tenant when it was read, for the limit. */
  readonly queuesOfTenant: number
  /** Pending, scheduled and blocked jobs when last read, and those added here since. */
  waiting: number
  waitingReadAt: number
}

/** Jobs of one queue and function. */
export interface LaneEntry {
  /** 0 until it is stored. */
  number: number
  readonly queue: QueueEntry
  readonly function: string
}

/** Most queues, and most functions in a queue. */
const most = mostOf.queues

type QueueRow = readonly [
  n: number,
  queue: number | null,
  retry: string | null,
  maxDepth: number,
  paused: boolean,
  createdAt: number,
  queuesOfTenant: number,
  waiting: number,
  lanes: string | null,
]

const waitingOf = (queue: string) => `(SELECT coalesce(sum(c.pending + c.scheduled + c.blocked), 0)::bigint FROM millrace.lanes l
    JOIN millrace.lane_counts c ON c.tenant = l.tenant AND c.lane = l.lane WHERE l.tenant = ${queue}.tenant AND l.queue = ${queue}.queue)`

const read: Statement = {
  name: 'queue_read',
  repeatable: true,
  text: `
    SELECT i.n, q.queue, q.retry, q.max_depth, q.paused, q.created_at,
      (SELECT count(*) FROM millrace.queues t WHERE t.tenant = i.tenant),
      ${waitingOf('q')},
      (SELECT json_agg(json_build_array(l.lane, l.function)) FROM millrace.lanes l WHERE l.tenant = q.tenant AND l.queue = q.queue)
    FROM unnest($1::int[], $2::text[], $3::text[]) WITH ORDINALITY AS i (tenant, namespace, name, n)
    LEFT JOIN millrace.queues q ON q.tenant = i.tenant AND q.namespace = i.namespace AND q.name = i.name`,
}

const readWaiting: Statement = {
  name: 'queue_waiting',
  repeatable: true,
  text: `SELECT ${waitingOf('q')} FROM unnest($1::int[], $2::int[]) WITH ORDINALITY AS q (tenant, queue, n) ORDER BY q.n`,
}

const addQueues: Statement = {
  name: 'queue_add',
  repeatable: true,
  text: `INSERT INTO millrace.queues (tenant, namespace, name, created_at) SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[])
    ON CONFLICT (name, namespace, tenant) DO NOTHING`,
}

const addLanes: Statement = {
  name: 'lane_add',
  repeatable: true,
  text: `INSERT INTO millrace.lanes (tenant, queue, function, namespace) SELECT * FROM unnest($1::int[], $2::int[], $3::text[], $4::text[])
    ON CONFLICT (queue, function, tenant) DO NOTHING`,
}

const nameLanes: Statement = {
  name: 'lane_names',
  repeatable: true,
  text: `SELECT l.tenant, l.lane, l.function, q.namespace, q.name FROM unnest($1::int[], $2::int[]) AS i (tenant, lane)
    JOIN millrace.lanes l ON l.tenant = i.tenant AND l.lane = i.lane JOIN millrace.queues q ON q.tenant = l.tenant AND q.queue = l.queue`,
}

/** The queues and lanes that this node uses. Their numbers never change; settings are read again when another node says that they changed. */
export class Lanes {
  readonly #db: Database
  readonly #queues = new Map<string, QueueEntry>()
  readonly #names = new Map<string, Lane>()

  constructor(db: Database) {
    this.#db = db
  }

  /** The queue, as far as {@link load} has been asked for it. */
  queue(scope: Scope, name: string): QueueEntry | undefined {
    return this.#queues.get(keyOf(scope, name))
  }

  /** Reads queues that are not known yet. One that does not exist has the number 0, and is forgotten unless it is stored. */
  async load(wanted: Iterable<readonly [Scope, string]>): Promise<ReadonlyMap<string, QueueEntry>> {
    const found = new Map<string, QueueEntry>()
    const unknown = new Map<string, readonly [Scope, string]>()
    for (const [scope, name] of wanted) {
      const key = keyOf(scope, name)
      const known = this.#queues.get(key)
      if (known) found.set(key, known)
      else unknown.set(key, [scope, name])
    }
    if (unknown.size === 0) return found
    const asked = [...unknown.values()]
    const values = [
      numbers(asked.map(([{ tenant }]) => tenant)),
      texts(asked.map(([{ namespace }]) => namespace)),
      texts(asked.map(([, name]) => name)),
    ]
    for (const row of await this.#db.run<QueueRow>(read, values)) {
      const [scope, name] = asked[row[0] - 1]!
      const entry = queueEntry(scope, name, row)
      found.set(keyOf(scope, name), entry)
      if (entry.number > 0) this.#keep(entry)
    }
    return found
  }

  /** Forgets a queue's settings, as they changed; they are read when they are next needed. */
  forget(scope: Scope, name: string): void {
    this.#queues.delete(keyOf(scope, name))
  }

  /** Forgets all settings, as changes may have gone unseen. */
  forgetAll(): void {
    this.#queues.clear()
  }

  /** A lane of the entry, or one with the number 0 when it is new; {@link store} makes it last. */
  lane(queue: QueueEntry, functionName: string): LaneEntry {
    const known = queue.lanes.get(functionName)
    if (known) return known
    if (queue.number === 0 && queue.queuesOfTenant >= most) throw tooMany('queues', queue.queuesOfTenant)
    if (queue.lanes.size >= most) throw tooMany('functions in a queue', queue.lanes.size)
    return { number: 0, queue, function: functionName }
  }

  /** Stores lanes that are new, and their queues; the numbers are filled in. */
  async store(lanes: readonly LaneEntry[], now: number): Promise<void> {
    const newLanes = lanes.filter((lane) => lane.number === 0)
    if (newLanes.length === 0) return
    const queues = [...new Set(newLanes.map((lane) => lane.queue))]
    await this.storeQueues(queues, now)
    await this.#db.run(addLanes, [
      numbers(newLanes.map((lane) => lane.queue.tenant)),
      numbers(newLanes.map((lane) => lane.queue.number)),
      texts(newLanes.map((lane) => lane.function)),
      texts(newLanes.map((lane) => lane.queue.namespace)),
    ])
    const stored = await this.#readAgain(queues)
    for (const lane of newLanes) lane.number = stored.get(keyOf(lane.queue, lane.queue.name))!.lanes.get(lane.function)!.number
  }

  /** Stores queues that are new; their numbers are filled in. */
  async storeQueues(queues: readonly QueueEntry[], now: number): Promise<void> {
    const newQueues = queues.filter((queue) => queue.number === 0)
    if (newQueues.length === 0) return
    await this.#db.run(addQueues, [
      numbers(newQueues.map((queue) => queue.tenant)),
      texts(newQueues.map((queue) => queue.namespace)),
      texts(newQueues.map((queue) => queue.name)),
      numbers(newQueues.map(() => now)),
    ])
    const stored = await this.#readAgain(newQueues)
    for (const queue of newQueues) queue.number = stored.get(keyOf(queue, queue.name))!.number
  }

  /** Reads how many jobs wait in queues. */
  async readWaiting(queues: readonly QueueEntry[], now: number): Promise<void> {
    const stored = queues.filter((queue) => queue.number > 0)
    if (stored.length === 0) return
    for (const queue of stored) queue.waitingReadAt = now
    const before = stored.map((queue) => queue.waiting)
    const rows = await this.#db.run<[number]>(readWaiting, [
      numbers(stored.map((queue) => queue.tenant)),
      numbers(stored.map((queue) => queue.number)),
    ])
    // What was added here while it was read may or may not be in it: count it rather than not.
    stored.forEach((queue, i) => {
      queue.waiting = rows[i]![0] + (queue.waiting - before[i]!)
    })
  }

  /** A job was added to a queue. */
  added(queue: QueueEntry): void {
    const known = this.queue(queue, queue.name)
    if (known) known.waiting++
  }

  /** What lanes found in rows are called. */
  async named(lanes: readonly Pick<ReadyLane, 'tenant' | 'lane'>[]): Promise<readonly Lane[]> {
    const unknown = lanes.filter(({ tenant, lane }) => !this.#names.has(`${tenant} ${lane}`))
    if (unknown.length > 0) {
      const values = [numbers(unknown.map(({ tenant }) => tenant)), numbers(unknown.map(({ lane }) => lane))]
      for (const [tenant, lane, functionName, namespace, queue] of await this.#db.run<[number, number, string, string, string]>(
        nameLanes,
        values,
      )) {
        this.#names.set(`${tenant} ${lane}`, { tenant, namespace, queue, function: functionName })
        // Another node made it: its queue is read again before the next claim.
        this.forget({ tenant, namespace }, queue)
      }
    }
    return lanes.map(({ tenant, lane }) => this.#names.get(`${tenant} ${lane}`)).filter((lane) => lane !== undefined)
  }

  #readAgain(queues: readonly QueueEntry[]): Promise<ReadonlyMap<string, QueueEntry>> {
    for (const queue of queues) this.forget(queue, queue.name)
    return this.load(queues.map((queue) => [queue, queue.name]))
  }

  #keep(queue: QueueEntry): void {
    this.#queues.set(keyOf(queue, queue.name), queue)
    for (const lane of queue.lanes.values()) {
      this.#names.set(`${queue.tenant} ${lane.number}`, {
        tenant: queue.tenant,
        namespace: queue.namespace,
        queue: queue.name,
        function: lane.function,
      })
    }
  }
}

/** A queue's settings with the defaults filled in. */
export function settingsOf(name: string, queue: QueueEntry | undefined, defaultRetry: RetryPolicy): QueueSettings {
  const stored = queue !== undefined && queue.number > 0
  return {
    name,
    retry: queue?.retry ?? defaultRetry,
    maxDepth: queue?.maxDepth ?? 0,
    paused: queue?.paused ?? false,
    createdAt: stored ? queue.createdAt : undefined,
  }
}

/** What {@link Lanes.load} finds a queue under. */
export function keyOf({ tenant, namespace }: Scope, name: string): string {
  return `${tenant} ${namespace} ${name}`
}

function queueEntry({ tenant, namespace }: Scope, name: string, row: QueueRow): QueueEntry {
  const [, queue, retry, maxDepth, paused, createdAt, queuesOfTenant, waiting, lanes] = row
  const entry: QueueEntry = {
    tenant,
    namespace,
    name,
    number: queue ?? 0,
    createdAt: createdAt ?? 0,
    retry: retry === null ? undefined : (JSON.parse(retry) as RetryPolicy),
    maxDepth: maxDepth ?? 0,
    paused: paused ?? false,
    lanes: new Map(),
    queuesOfTenant,
    waiting: waiting ?? 0,
    waitingReadAt: 0,
  }
  for (const [number, functionName] of lanes === null ? [] : (JSON.parse(lanes) as [number, string][])) {
    entry.lanes.set(functionName, { number, queue: entry, function: functionName })
  }
  return entry
}

function tooMany(what: string, current: number): MillraceError {
  return new MillraceError('QUOTA_EXCEEDED', `There are ${current} ${what}, which is the most there may be. Use fewer names.`, {
    quota: { type: what, current, limit: most },
  })
}
