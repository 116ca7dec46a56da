import { afterEach, beforeEach, describe, it } from 'vitest'
import { claimCases } from './claim.ts'
import { enqueueCases } from './enqueue.ts'
import { type Case, Harness, type StoreFactory } from './harness.ts'
import { keyCases } from './keys.ts'
import { lifeCases } from './life.ts'
import { modelCases } from './model.ts'
import { queueCases } from './queues.ts'
import { settleCases } from './settle.ts'

const groups = (open: () => Promise<Harness>): Readonly<Record<string, readonly Case[]>> => ({
  enqueue: enqueueCases,
  claim: claimCases,
  settle: settleCases,
  life: lifeCases,
  queues: queueCases,
  keys: keyCases,
  model: modelCases(open),
})

/** Declares every behaviour of a store as tests of one backend. */
export function storeConformance(backend: string, factory: StoreFactory): void {
  describe.each(Object.entries(groups(() => Harness.open(factory))))(`${backend}: %s`, (_, cases) => {
    let harness: Harness | undefined
    beforeEach(async () => {
      harness = await Harness.open(factory)
    })
    afterEach(() => harness?.close())
    it.each(cases)('$name', { timeout: 60_000 }, ({ run }) => run(harness!))
  })
}
