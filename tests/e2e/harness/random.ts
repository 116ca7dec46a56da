import { randomInt } from 'node:crypto'

/** A repeatable source of randomness. */
export interface Random {
  /** What it was started with. */
  readonly seed: number
  /** From [0, 1). */
  next(): number
  /** A whole number from [from, to]. */
  int(from: number, to: number): number
  /** One of the items. */
  pick<T>(items: readonly T[]): T
}

/**
 * The mulberry32 generator. Source: https://github.com/cprosche/mulberry32
 *
 * @param seed - 32 bits; the same seed gives the same numbers.
 */
export function createRandom(seed: number): Random {
  let state = seed | 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1))
  return { seed, next, int, pick: (items) => items[int(0, items.length - 1)]! }
}

/** The seed of `MILLRACE_TEST_SEED`, or the given one; printed, so that a failure can be repeated. */
export function testSeed(usual: number = randomInt(2 ** 31)): number {
  const seed = Number(process.env.MILLRACE_TEST_SEED ?? usual)
  console.log(`seed ${seed}; repeat with MILLRACE_TEST_SEED=${seed}`)
  return seed
}
