import type { Seq, TenantId } from '../ports.ts'

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

/** How long a head is trusted. */
const trustedMs = 1_000

interface Head {
  at: Position
  /** The lowest that became pending since the claim under way began; it may not have seen it. */
  lowest: Position | undefined
  lookedAt: number
}

/** True when `a` comes first. */
function precedes(a: Position, b: Position): boolean {
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
 * A head is a hint. It goes back when a job before it becomes pending, here or (as told) elsewhere; and once a second a
 * claim begins at the start, which finds what nobody told of.
 */
export class Heads {
  readonly #heads = new Map<string, Head>()

  /** Where the next claim of a lane begins. */
  begin(tenant: TenantId, lane: number): Position {
    const key = keyOf({ tenant, lane })
    const now = performance.now()
    const head = this.#heads.get(key)
    if (!head) {
      this.#heads.set(key, { at: start, lowest: undefined, lookedAt: now })
      return start
    }
    head.lowest = undefined
    if (now - head.lookedAt > trustedMs) {
      head.at = start
      head.lookedAt = now
    }
    return head.at
  }

  /** A claim took jobs of a lane up to this one. */
  took(tenant: TenantId, lane: number, last: Position): void {
    const head = this.#heads.get(keyOf({ tenant, lane }))
    if (head) head.at = head.lowest && precedes(head.lowest, last) ? head.lowest : last
  }

  /** A job became pending. */
  pending(ready: ReadyLane): void {
    const head = this.#heads.get(keyOf(ready))
    if (!head) return
    if (precedes(ready, head.at)) head.at = ready
    if (!head.lowest || precedes(ready, head.lowest)) head.lowest = ready
  }

  /** Nothing is known any more. */
  forget(): void {
    this.#heads.clear()
  }
}

function keyOf({ tenant, lane }: { readonly tenant: TenantId; readonly lane: number }): string {
  return `${tenant} ${lane}`
}
