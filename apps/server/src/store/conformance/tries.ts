import fc from 'fast-check'
import type { Harness } from './harness.ts'

/** Properties are tried no more after this time, in milliseconds, so fewer times on a slow store; their seed differs each time. */
const longestMs = process.env.MILLRACE_LONG === '1' ? Infinity : 8000

/**
 * Tries a property of stores, each time with values of these kinds and a store of its own.
 *
 * @param runs - how many times; one at least, however slow the store.
 */
export async function tryEach<Values extends [unknown, ...unknown[]]>(
  fresh: Harness,
  runs: number,
  kinds: { [K in keyof Values]: fc.Arbitrary<Values[K]> },
  property: (test: Harness, ...values: Values) => Promise<void>,
): Promise<void> {
  const end = performance.now() + longestMs
  let tried = 0
  const once = async (...values: Values) => {
    if (tried > 0 && performance.now() > end) return
    const test = await fresh.another()
    try {
      await property(test, ...values)
      tried++
    } finally {
      await test.close()
    }
  }
  await fc.assert(fc.asyncProperty<Values>(...kinds, once), { numRuns: runs })
}
