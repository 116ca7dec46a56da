import type { Case } from './harness.ts'

type Outcome = 'passed' | 'failed' | 'skipped'

const signs: Readonly<Record<Outcome | 'not run', string>> = { passed: '✓', failed: '✗', skipped: '–', 'not run': '?' }

/** What became of each case on each store. */
export class Matrix {
  readonly #backends: readonly string[]
  readonly #names: readonly string[]
  readonly #outcomes = new Map<string, Outcome>()

  /** @param groups - everything registered. */
  constructor(backends: readonly string[], groups: Readonly<Record<string, readonly Case[]>>) {
    this.#backends = backends
    this.#names = Object.entries(groups).flatMap(([group, cases]) => cases.map(({ name }) => fullName(group, name)))
    const twice = this.#names.find((name, i) => this.#names.indexOf(name) !== i)
    if (twice !== undefined) throw new Error(`There are two cases '${twice}': each needs a name of its own.`)
  }

  record(backend: string, group: string, name: string, outcome: Outcome): void {
    const key = `${backend} ${fullName(group, name)}`
    if (!this.#names.includes(fullName(group, name))) throw new Error(`'${key}' is not registered.`)
    this.#outcomes.set(key, outcome)
  }

  /** What was registered and neither ran nor was skipped with a reason. */
  unrun(): readonly string[] {
    return this.#backends.flatMap((backend) => this.#names.map((name) => `${backend} ${name}`)).filter((key) => !this.#outcomes.has(key))
  }

  /** A line for each case, a column for each store. */
  toString(): string {
    const width = Math.max(...this.#backends.map((backend) => backend.length))
    const heading = this.#backends.map((backend) => backend.padEnd(width)).join('  ')
    const lines = this.#names.map((name) => {
      const cells = this.#backends.map((backend) => signs[this.#outcomes.get(`${backend} ${name}`) ?? 'not run'].padEnd(width))
      return `${cells.join('  ')}  ${name}`
    })
    const legend = Object.entries(signs).map(([outcome, sign]) => `${sign} ${outcome}`)
    return [heading, ...lines, legend.join(', ')].join('\n')
  }
}

function fullName(group: string, name: string): string {
  return `${group}: ${name}`
}
