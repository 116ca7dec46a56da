import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { conformanceCases } from './cases.ts'
import { Harness, type StoreFactory } from './harness.ts'
import { Matrix } from './matrix.ts'

/** The long forms of some cases make thousands of histories. */
const timeout = process.env.MILLRACE_LONG === '1' ? 3_600_000 : 60_000

/** Declares every behaviour of a store as tests of each backend; at the end, shows what ran on which, and fails when something did not. */
export function storeConformance(factories: Readonly<Record<string, StoreFactory>>): void {
  const matrix = new Matrix(Object.keys(factories), conformanceCases)
  for (const [backend, factory] of Object.entries(factories)) {
    describe.each(Object.entries(conformanceCases))(`${backend}: %s`, (group, cases) => {
      let harness: Harness | undefined
      beforeEach(async () => {
        if (!factory.missing) harness = await Harness.open(factory)
      })
      afterEach(async () => {
        await harness?.close()
        harness = undefined
      })
      it.for(cases)('$name', { timeout }, async ({ name, run }, { skip }) => {
        if (factory.missing) {
          matrix.record(backend, group, name, 'skipped')
          skip(factory.missing)
        }
        matrix.record(backend, group, name, 'failed')
        await run(harness!)
        matrix.record(backend, group, name, 'passed')
      })
    })
  }
  it('every case ran on every store', () => {
    console.info(matrix.toString())
    expect(matrix.unrun()).toEqual([])
  })
}
