import type { Sizes } from '../sizes.ts'
import type { SystemClient } from '../systems/client.ts'
import type { Measure, Window } from '../window.ts'

/** What a phase works with, in the driver process. */
export interface PhaseContext {
  readonly client: SystemClient
  readonly sizes: Sizes
  readonly measure: Measure
}

/** One figure of one round: jobs a second, or milliseconds. */
export interface Figure {
  readonly name: string
  readonly value: number
}

/** What a phase found in one round. */
export interface PhaseResult {
  readonly figures: readonly Figure[]
  /** What the two sides used; absent where several servers share the clock. */
  readonly window?: Window
  /** Why the figures are void; empty when what was acknowledged is what is there. */
  readonly problems: readonly string[]
}
