import type { EnqueueOutcome, EnqueueResult, Seq } from '../ports.ts'

/** An answer as it is kept: `[seq, how many in a row, created]`, and the batch. */
interface Remembered {
  readonly runs: readonly (readonly [Seq, number, 0 | 1])[]
  readonly batch?: Seq
}

/** The text of an answer without errors. */
export function remember(outcomes: readonly EnqueueOutcome[], batch: Seq | undefined): string {
  const runs: [Seq, number, 0 | 1][] = []
  for (const outcome of outcomes) {
    if ('error' in outcome) continue
    const last = runs.at(-1)
    const created = outcome.created ? 1 : 0
    if (last && last[2] === created && last[0] + last[1] === outcome.seq) last[1]++
    else runs.push([outcome.seq, 1, created])
  }
  return JSON.stringify({ runs, batch } satisfies Remembered)
}

/** The answer that {@link remember} wrote. */
export function recall(text: string): EnqueueResult {
  const { runs, batch } = JSON.parse(text) as Remembered
  const outcomes = runs.flatMap(([first, length, created]) =>
    Array.from({ length }, (_, i) => ({ seq: first + i, created: created === 1 })),
  )
  return { outcomes, batch }
}
