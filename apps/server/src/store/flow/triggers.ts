import type { NewJob, Scope, Seq } from '../ports.ts'
import { type Program, query } from './program.ts'

/**
 * A trigger is what several requests for the same work have in common: a key of a queue and a function. The first request with a
 * key makes a job; those that follow within its time make none.
 */
export interface Trigger {
  readonly queue: string
  readonly function: string
  readonly kind: number
  readonly key: string
}

const TriggerKind = { debounce: 1, deduplicate: 2 } as const

/** How long after its planned start a job that nobody has taken is still the one to replace. */
const waitsMs = 24 * 60 * 60_000

/** The trigger of a new job; undefined when it is work of its own. */
export function triggerOf({ queue, function: name, debounce, deduplicate }: NewJob): Trigger | undefined {
  if (debounce) return { queue, function: name, kind: TriggerKind.debounce, key: debounce.key }
  return deduplicate && { queue, function: name, kind: TriggerKind.deduplicate, key: deduplicate.key }
}

/** The job that a trigger made before. */
export interface Triggered {
  /** It stands for the new one, if it has not begun where that matters; absent when there is none. */
  readonly first?: Seq
  /** When it was triggered first. */
  readonly firstAt: number
}

/** Finds the job that stands for a new one. Nobody else makes one with this trigger until the end of the transaction. */
export function* findTriggered({ tenant, namespace }: Scope, trigger: Trigger, now: number): Program<Triggered> {
  const { queue, function: name, kind, key } = trigger
  const [row] = yield* query<{ seq: Seq; first_at: number; until: number }>(
    `INSERT INTO millrace.triggers AS t (tenant, namespace, queue, function, kind, key, seq, first_at, until)
      VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $7)
      ON CONFLICT (tenant, namespace, queue, function, kind, key) DO UPDATE SET seq = t.seq RETURNING seq, first_at, until`,
    [tenant, namespace, queue, name, kind, key, now],
  )
  return row && row.seq !== 0 && row.until > now ? { first: row.seq, firstAt: row.first_at } : { firstAt: now }
}

/** When a debounced job is to start: after the delay, and not later than its first trigger allows. */
export function startOf({ debounce, runAt = 0 }: NewJob, firstAt: number): number {
  return debounce && debounce.maxDelayMs > 0 ? Math.min(runAt, firstAt + debounce.maxDelayMs) : runAt
}

/** Notes the job that stands for those to come. */
export function* noteTriggered({ tenant, namespace }: Scope, job: NewJob, first: Required<Triggered>, now: number): Program<void> {
  const { queue, function: name, kind, key } = triggerOf(job)!
  const until = job.deduplicate ? now + job.deduplicate.windowMs : startOf(job, first.firstAt) + waitsMs
  yield* query(
    `UPDATE millrace.triggers SET seq = $7, first_at = $8, until = $9
      WHERE tenant = $1 AND namespace = $2 AND queue = $3 AND function = $4 AND kind = $5 AND key = $6`,
    [tenant, namespace, queue, name, kind, key, first.first, first.firstAt, until],
  )
}

/** Forgets triggers past their time; returns how many, at most `limit`. */
export function* sweepTriggers(now: number, limit: number): Program<number> {
  const names = 'tenant, namespace, queue, function, kind, key'
  const gone = yield* query(
    `DELETE FROM millrace.triggers WHERE until <= $1 AND (${names}) IN
      (SELECT ${names} FROM millrace.triggers WHERE until <= $1 ORDER BY until LIMIT $2) RETURNING 1 AS gone`,
    [now, limit],
  )
  return gone.length
}
