import type fc from 'fast-check'
import type { Case, Harness } from './harness.ts'
import { tryEach } from './tries.ts'

/** A model beside which a store is tried. */
export interface History<Model, Step> {
  readonly name: string
  /** The steps of a history. */
  readonly steps: fc.Arbitrary<Step[]>
  /** How many histories; fewer on a slow store. */
  readonly runs: number
  /** What the model is before the first step. */
  readonly begin: () => Model
  /** Does a step to both. */
  readonly play: (test: Harness, model: Model, step: Step) => Promise<void>
  /** Expects of the store what the model says. */
  readonly agree: (test: Harness, model: Model) => Promise<void>
}

/** A case in which a store and a model go through the same histories, and agree after each step. */
export function historyCase<Model, Step>({ name, steps, runs, begin, play, agree }: History<Model, Step>): Case {
  return {
    name,
    async run(fresh) {
      await tryEach(fresh, runs, [steps], async (test, history) => {
        const model = begin()
        for (const step of history) {
          await play(test, model, step)
          await agree(test, model)
        }
      })
    },
  }
}
