import { afterEach, beforeEach, describe, it } from 'vitest'
import { claimCases } from './claim.ts'
import { enqueueCases } from './enqueue.ts'
import { type Case, Harness, type StoreFactory } from './harness.ts'
import { keyCases } from './keys.ts'
import { lifeCases } from './life.ts'
import { queueCases } from './queues.ts'
import { settleCases } from './settle.ts'

const groups: Readonly<Record<string, readonly Case[]>> = {
  enqueue: enqueueCases,
  claim: claimCases,
  settle: settleCases,
  life: lifeCases,
  queues: queueCases,
  keys: keyCases,
}

/** Declares every behaviour of a store as tests of one backend. */
export function storeConformance(backend: string, factory: StoreFactory): void {
  describe.each(Object.entries(groups))(`${backend}: %s`, (_, cases) => {
    let harness: Harness
    beforeEach(async () => {
      harness = await Harness.open(factory)
    })
    afterEach(() => harness.close())
    it.each(cases)('$name', ({ run }) => run(harness))
  })
}
