import { JobState, type Seq, type TenantId } from '../ports.ts'
import { columns } from './arrays.ts'
import type { Database, Statement } from './database.ts'

/** A lane with its first job that became pending: by rank (the negated priority), then by number. */
export interface ReadyLane {
  readonly tenant: TenantId
  readonly lane: number
  readonly rank: number
  readonly seq: Seq
}

/** The columns of a {@link ReadyLane} in a statement's answer. */
export type ReadyRow = readonly [tenant: TenantId, lane: number, rank: number, seq: Seq]

export function readyOf([tenant, lane, rank, seq]: ReadyRow): ReadyLane {
  return { tenant, lane, rank, seq }
}

/** Where a claim begins to look. */
export type Position = Pick<ReadyLane, 'rank' | 'seq'>

/** Before every job. */
export const start: Position = { rank: -1_000_000, seq: 0 }

/** After every job. */
const end: Position = { rank: 1_000_000, seq: 0 }

interface Head {
  at: Position
  /** The lowest that became pending since the claim under way began; it may not have seen it. */
  lowest: Position | undefined
  /** A claim found no more. */
  dry: boolean
  /** Since the last check. */
  used: boolean
}

const asked = columns<ReadyLane>({
  tenant: ['int', ({ tenant }) => tenant],
  lane: ['int', ({ lane }) => lane],
  rank: ['int', ({ rank }) => rank],
  seq: ['bigint', ({ seq }) => seq],
})
const check: Statement = {
  name: 'heads_check',
  repeatable: true,
  text: `
    SELECT i.tenant, i.lane, h.rank, h.seq FROM ${asked.from('i', 1)} CROSS JOIN LATERAL (
      SELECT rank, seq FROM millrace.jobs
      WHERE tenant = i.tenant AND lane = i.lane AND rank IS NOT NULL AND (rank, seq) < (i.rank, i.seq) AND state = ${JobState.pending}
      ORDER BY rank, seq LIMIT 1
    ) AS h`,
}

/** True when `a` comes first. */
export function precedes(a: Position, b: Position): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.seq < b.seq)
}

/** The first of each lane. */
export function firstOfEach(ready: Iterable<ReadyLane>): ReadyLane[] {
  const lanes = new Map<string, ReadyLane>()
  for (const each of ready) {
    const key = keyOf(each)
    const known = lanes.get(key)
    if (!known || precedes(each, known)) lanes.set(key, each)
  }
  return [...lanes.values()]
}

/**
 * Where the pending jobs of a lane begin, as far as this node knows. What was claimed leaves dead entries in the index until
 * the next vacuum; a claim that began at the lane's first entry would step over all of them, more each time.
 *
 * A head is a hint. It goes back when a job before it becomes pending, here or (as told) elsewhere. What nobody told of, such
 * as the jobs of a claim that another node could not finish, a check finds that is made from time to time.
 */
export class Heads {
  readonly #heads = new Map<string, Head>()

  /** Where the next claim of a lane begins. */
  begin(tenant: TenantId, lane: number): Position {
    const key = keyOf({ tenant, lane })
    const head = this.#heads.get(key)
    if (!head) {
      this.#heads.set(key, { at: start, lowest: undefined, dry: false, used: true })
      return start
    }
    head.lowest = undefined
    head.used = true
    return head.at
  }

  /** A claim took jobs of a lane up to this one. */
  took(tenant: TenantId, lane: number, last: Position): void {
    const head = this.#heads.get(keyOf({ tenant, lane }))
    if (head) head.at = head.lowest && precedes(head.lowest, last) ? head.lowest : last
  }

  /** A claim found no more. */
  drained(tenant: TenantId, lane: number): void {
    const head = this.#heads.get(keyOf({ tenant, lane }))
    if (head) head.dry = head.lowest === undefined
  }

  /** True when the lane has no pending jobs, as far as is known. */
  isDry(tenant: TenantId, lane: number): boolean {
    const head = this.#heads.get(keyOf({ tenant, lane }))
    if (!head?.dry) return false
    head.used = true
    return true
  }

  /** A job became pending, or is about to. */
  pending(ready: ReadyLane): void {
    const head = this.#heads.get(keyOf(ready))
    if (!head) return
    head.dry = false
    if (precedes(ready, head.at)) head.at = ready
    if (!head.lowest || precedes(ready, head.lowest)) head.lowest = ready
  }

  /** Nothing is known any more. */
  forget(): void {
    this.#heads.clear()
  }

  /** Looks for pending jobs that the heads have passed by; forgets heads that were not used since the last time. */
  async check(db: Database): Promise<readonly ReadyLane[]> {
    const used: ReadyLane[] = []
    for (const [key, head] of this.#heads) {
      if (head.used) used.push({ ...placeOfKey(key), ...(head.dry ? end : head.at) })
      else this.#heads.delete(key)
      head.used = false
    }
    return used.length > 0 ? (await db.run<ReadyRow>(check, asked.values(used))).map(readyOf) : []
  }
}

function placeOfKey(key: string): { readonly tenant: TenantId; readonly lane: number } {
  const [tenant, lane] = key.split(' ').map(Number) as [number, number]
  return { tenant, lane }
}

function keyOf({ tenant, lane }: { readonly tenant: TenantId; readonly lane: number }): string {
  return `${tenant} ${lane}`
}
