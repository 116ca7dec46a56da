import type { EnqueueRequest, Scope } from '../ports.ts'
import { columns } from './arrays.ts'
import type { Context } from './context.ts'
import type { Statement, Transaction } from './database.ts'
import { type FirstUse, idempotencyId } from './enqueue-plan.ts'
import type { KeyUse } from './enqueue-rows.ts'
import { keyOf, type QueueEntry } from './lanes.ts'

/** How old the count of a queue's waiting jobs may be. */
const waitingMaxAgeMs = 250

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

type Queues = ReadonlyMap<string, QueueEntry>

/** A queue that requests name, and how many jobs they have for it. */
interface AskedQueue {
  readonly scope: Scope
  readonly queue: string
  jobs: number
}

/** The queues that requests name, by {@link keyOf}. */
export function askedQueues(requests: readonly EnqueueRequest[]): ReadonlyMap<string, AskedQueue> {
  const asked = new Map<string, AskedQueue>()
  for (const { scope, jobs } of requests) {
    for (const { queue } of jobs) {
      const key = keyOf(scope, queue)
      const known = asked.get(key)
      if (known) known.jobs++
      else asked.set(key, { scope, queue, jobs: 1 })
    }
  }
  return asked
}

/** Those queues as this node knows them. */
export function loadQueues({ lanes }: Context, asked: ReadonlyMap<string, AskedQueue>): Promise<Queues> {
  return lanes.load([...asked.values()].map(({ scope, queue }) => [scope, queue] as const))
}

/** Which of the requests' idempotency keys were used before. */
export async function readFirstUses(
  db: Pick<Transaction, 'run'>,
  requests: readonly EnqueueRequest[],
  queues: Queues,
): Promise<ReadonlyMap<string, FirstUse>> {
  const uses: KeyUse[] = []
  for (const { scope, jobs } of requests) {
    for (const { queue: name, idempotencyKey: key } of jobs) {
      const queue = key === '' ? undefined : queues.get(keyOf(scope, name))!
      if (queue && queue.number > 0) uses.push({ queue, key })
    }
  }
  const found = new Map<string, FirstUse>()
  if (uses.length === 0) return found
  const rows = await db.run<[number, number, string, number, string]>(readKeys, askedKeys.values(uses))
  const byNumber = new Map(uses.map(({ queue }) => [`${queue.tenant} ${queue.number}`, queue]))
  for (const [tenant, number, key, seq, hash] of rows) found.set(idempotencyId(byNumber.get(`${tenant} ${number}`)!, key), { seq, hash })
  return found
}

/** Counts the waiting jobs of queues that look full, before a job is refused; with other nodes about, those of others from time to time. */
export async function readDepths(
  { lanes, nodes, options }: Context,
  asked: ReadonlyMap<string, AskedQueue>,
  queues: Queues,
): Promise<void> {
  const now = performance.now()
  const full: QueueEntry[] = []
  const old: QueueEntry[] = []
  for (const [key, queue] of queues) {
    if (queue.waiting + asked.get(key)!.jobs > (queue.maxDepth || options.defaultMaxDepth)) full.push(queue)
    else if (!nodes.alone && now - queue.waitingReadAt > waitingMaxAgeMs) old.push(queue)
  }
  // Nobody waits for these, and what fails is asked for again.
  if (old.length > 0) lanes.readWaiting(old, now).catch(() => undefined)
  await lanes.readWaiting(full, now)
}
