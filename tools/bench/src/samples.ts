import type { PhaseName } from './options.ts'
import type { PhaseResult } from './phases/phase.ts'
import { median } from './statistics.ts'
import type { Window } from './window.ts'

/** What is compared. */
export const systemNames = [
  'millrace',
  'bullmq-always',
  'bullmq-everysec',
  'pg-boss',
  'pg-boss-batches',
  'graphile-worker',
  'graphile-batches',
] as const
export type SystemName = (typeof systemNames)[number]

/** All that was found, round by round. */
export class Samples {
  readonly problems: string[] = []
  readonly #figures = new Map<string, number[]>()
  readonly #windows = new Map<string, Window[]>()
  readonly #void = new Set<string>()

  add(system: SystemName, phase: PhaseName, result: PhaseResult): void {
    for (const { name, value } of result.figures) {
      push(this.#figures, `${system} ${name}`, value)
      if (result.problems.length > 0) this.#void.add(`${system} ${name}`)
    }
    if (result.window !== undefined) push(this.#windows, `${system} ${phase}`, result.window)
    this.problems.push(...result.problems.map((problem) => `${system}, ${phase}: ${problem}`))
  }

  /** One value a round; empty when it was not measured. */
  rounds(system: SystemName, figure: string): readonly number[] {
    return this.#figures.get(`${system} ${figure}`) ?? []
  }

  /** True when a round of it did not add up. */
  isVoid(system: SystemName, figure: string): boolean {
    return this.#void.has(`${system} ${figure}`)
  }

  /** Medians of what both sides used; undefined when it was not measured. */
  window(system: SystemName, phase: PhaseName): Window | undefined {
    const windows = this.#windows.get(`${system} ${phase}`)
    if (windows === undefined) return undefined
    const names = Object.keys(windows[0]!) as (keyof Window)[]
    return Object.fromEntries(names.map((name) => [name, median(windows.map((each) => each[name]!))])) as unknown as Window
  }

  /** Most of a core that anything else used during a measurement, by the medians of its rounds. */
  noise(): number {
    const each = [...this.#windows.values()].map((windows) => median(windows.map(({ otherCpu }) => otherCpu)))
    return Math.max(0, ...each)
  }
}

function push<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}
