import type { SqlOutcome } from '../../../domain/tables/backend.ts'

type Columns = SqlOutcome['columns']

/** Statements kept prepared on one connection; and texts of which it is known that they came before. */
const mostPrepared = 64
const mostSeen = 512

/** What a connection has prepared: statements that came twice on it. Postgres has then read and planned them already. */
export class PreparedStatements {
  /** Columns of what is prepared by its text, the one used last at the end. */
  readonly #prepared = new Map<string, { readonly name: string; readonly columns: Columns }>()
  readonly #seen = new Set<string>()
  /** Being prepared. */
  readonly #pending = new Set<string>()
  #dropped: string[] = []
  #made = 0
  #epoch: number

  /** @param epoch - the one that is now. */
  constructor(epoch: number) {
    this.#epoch = epoch
  }

  /** A prepared statement. */
  find(text: string): { readonly name: string; readonly columns: Columns } | undefined {
    const found = this.#prepared.get(text)
    if (found) {
      this.#prepared.delete(text)
      this.#prepared.set(text, found)
    }
    return found
  }

  /** A name to prepare a statement by, of which `keep` or `forget` is told what came of it; undefined when it comes for the first time. */
  nameFor(text: string): string | undefined {
    if (this.#pending.has(text)) return undefined
    if (this.#seen.has(text)) {
      this.#pending.add(text)
      return `millrace_${++this.#made}`
    }
    if (this.#seen.size >= mostSeen) this.#seen.clear()
    this.#seen.add(text)
    return undefined
  }

  /** Notes what was prepared. */
  keep(text: string, name: string, columns: Columns): void {
    this.#pending.delete(text)
    this.#prepared.set(text, { name, columns })
  }

  /** Notes that it was not, or perhaps was: what came after failed. */
  forget(text: string, name: string): void {
    this.#pending.delete(text)
    this.#dropped.push(name)
  }

  /** Prepares a statement anew when it comes again. */
  drop(text: string): void {
    const known = this.#prepared.get(text)
    if (!known) return
    this.#prepared.delete(text)
    this.#dropped.push(known.name)
  }

  /** Names of what Postgres shall forget: what is not used any more, and what is more than there may be. */
  takeDropped(): readonly string[] {
    if (this.#prepared.size >= mostPrepared) {
      const [oldest] = this.#prepared.keys()
      this.drop(oldest!)
    }
    const dropped = this.#dropped
    if (dropped.length > 0) this.#dropped = []
    return dropped
  }

  /** Uses nothing that was prepared before an epoch. */
  since(epoch: number): void {
    if (epoch === this.#epoch) return
    this.#epoch = epoch
    for (const text of [...this.#prepared.keys()]) this.drop(text)
  }
}
