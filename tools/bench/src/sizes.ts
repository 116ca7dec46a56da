import type { StoreName } from './options.ts'

/** How much of everything a run does. */
export interface Sizes {
  /** Bytes of one payload as JSON. */
  readonly payloadBytes: number
  /** Concurrent single calls. */
  readonly singles: number
  readonly batch: number
  /** Batches under way at once. */
  readonly batchesInFlight: number
  /** Milliseconds of the same work before the clock starts. */
  readonly warmUp: number
  /** Milliseconds that count. */
  readonly window: number
  /** Jobs a worker takes at once. */
  readonly concurrency: number
  readonly processJobs: number
  readonly processWarmUpJobs: number
  /** Calls of each latency measurement: at one and at {@link Sizes.latencyConcurrency} at a time. */
  readonly latencyCalls: number
  readonly latencyConcurrency: number
  /** Waiting jobs while claiming; the first is what the others are compared with. */
  readonly claimDepths: readonly number[]
  readonly claimBatch: number
  /** Claims of a batch, and of a single job, in one round. */
  readonly claims: number
  /** Readers of one task's events. */
  readonly subscribers: number
  /** Updates that they are sent. */
  readonly updates: number
  /** Stages beside each other in a pipeline. */
  readonly pipelineWidths: readonly number[]
  /** Tasks of one state. */
  readonly stateful: number
  /** Jobs of a customer who takes turns with others, … */
  readonly fair: number
  /** … starts that a second allows, … */
  readonly starts: number
  /** … and triggers of one job. */
  readonly triggers: number
  /** Servers over one database. */
  readonly nodes: readonly number[]
  /** Jobs that go through a small queue, … */
  readonly sizeJobs: number
  /** … in which so many wait at most. */
  readonly sizeDepth: number
}

const full: Sizes = {
  payloadBytes: 200,
  singles: 256,
  batch: 500,
  batchesInFlight: 4,
  warmUp: 2000,
  window: 5000,
  concurrency: 100,
  processJobs: 100_000,
  processWarmUpJobs: 20_000,
  latencyCalls: 2000,
  latencyConcurrency: 16,
  claimDepths: [1000, 1_000_000],
  claimBatch: 100,
  claims: 200,
  subscribers: 5000,
  updates: 20,
  pipelineWidths: [98, 998],
  stateful: 5000,
  fair: 100_000,
  starts: 1000,
  triggers: 10_000,
  nodes: [1, 2, 3],
  sizeJobs: 300_000,
  sizeDepth: 5000,
}

/** The sizes of a full, quick or long run. */
export function sizesFor(options: { readonly store: StoreName; readonly quick: boolean; readonly long: boolean }): Sizes {
  const base = options.store === 'postgres' ? { ...full, processJobs: 60_000, processWarmUpJobs: 10_000 } : full
  const sizes = options.quick
    ? {
        ...base,
        warmUp: 500,
        window: 1500,
        processJobs: 20_000,
        processWarmUpJobs: 5000,
        latencyCalls: 300,
        claimDepths: [1000, 100_000],
        claims: 40,
        sizeJobs: 30_000,
        subscribers: 500,
        fair: 10_000,
      }
    : base
  return options.long ? { ...sizes, claimDepths: [...sizes.claimDepths, 10_000_000], sizeJobs: 10_000_000 } : sizes
}
