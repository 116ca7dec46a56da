import type { Seq } from '../ports.ts'

const epoch = Date.UTC(2025, 0, 1)
/** Ticks in a millisecond. */
const perMillisecond = 64
/** Nodes at once at most: the slot is a number's last digit. */
export const mostNodes = 64

/** The smallest number that may be given at a time. */
export function seqAt(time: number): Seq {
  return seqsIn(Math.max(time - epoch, 0))
}

/** How many numbers there are in a length of time. */
export function seqsIn(ms: number): number {
  return ms * perMillisecond * mostNodes
}

/**
 * Numbers that grow with time and never repeat, over all nodes, restarts and clocks set back: ticks of a 64th of a
 * millisecond since 2025 (or one more than the last one), times 64, plus the node's slot. They stay below 2^53 until 2094.
 * (A hybrid logical clock: Kulkarni et al., 2014.)
 *
 * A slot's ticks are given up to a limit that is stored ahead of them. Who takes the slot over begins at its limit, so two
 * nodes never give the same number, even if one of them slept through the loss of its slot.
 */
export class Sequence {
  readonly #now: () => number
  #slot = 0
  #last = 0
  #limit = 0

  constructor(now: () => number) {
    this.#now = now
  }

  get slot(): number {
    return this.#slot
  }

  /** The tick given last. */
  get last(): number {
    return this.#last
  }

  /** The tick that would be given now. */
  get upcoming(): number {
    return Math.max(this.#last + 1, (this.#now() - epoch) * perMillisecond)
  }

  /** Begins in a slot: after `last`, up to `limit`. */
  begin(slot: number, last: number, limit: number): void {
    this.#slot = slot
    this.#last = Math.max(this.#last, last)
    this.#limit = limit
  }

  /** The stored limit is now this. */
  extend(limit: number): void {
    this.#limit = Math.max(this.#limit, limit)
  }

  /** Another node gave this tick: later numbers here are larger. */
  observe(tick: number): void {
    this.#last = Math.max(this.#last, tick)
  }

  /** True when this many numbers may be given now. */
  has(count: number): boolean {
    return this.upcoming + count <= this.#limit
  }

  /** The next number; ask {@link has} before. */
  next(): Seq {
    this.#last = this.upcoming
    return this.#last * mostNodes + this.#slot
  }
}
