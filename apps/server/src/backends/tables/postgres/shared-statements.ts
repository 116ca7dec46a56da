import type { SqlOutcome } from '../../../domain/tables/backend.ts'
import { type BoundStatement, type PostgresConnection, StaleStatement, type StatementRun } from './connection.ts'
import type { Account } from './pool.ts'

/** Texts of which something is known. */
const mostKnown = 1000
/** How often a statement goes alone after one like it had to be carried out again: what fails often would make the others do so each time. */
const waryTimes = 256

interface Waiting {
  readonly statement: BoundStatement
  readonly resolve: (outcome: SqlOutcome | Promise<SqlOutcome>) => void
}

/** Lends a connection. */
type Lend = <T>(account: Account, work: (connection: PostgresConnection) => Promise<T>) => Promise<T>

/** How statements share connections. */
export interface Sharing {
  /** Statements that share a connection: fewer wake Postgres more often, more wait for each other. */
  readonly mostTogether: number
  /** What took longer than so many milliseconds waits for nobody and lets nobody wait. */
  readonly quickMs: number
  /** Carries out those that share one; {@link StaleStatement} says that one had no effect and shall be carried out alone. */
  carryOut(connection: PostgresConnection, statements: readonly BoundStatement[]): readonly StatementRun[]
}

/**
 * Statements that begin in the same moment share connections: to send one and wait for its answer costs more than to carry
 * it out. Only those that were quick the last time do, and made no others be carried out again; the rest have a connection each.
 */
export class SharedStatements {
  readonly #lend: Lend
  readonly #sharing: Sharing
  readonly #waiting = new Map<string, { readonly account: Account; readonly all: Waiting[] }>()
  /** How often each text goes alone yet. */
  readonly #alone = new Map<string, number>()

  constructor(lend: Lend, sharing: Sharing) {
    this.#lend = lend
    this.#sharing = sharing
  }

  /** Carries out a statement. */
  run(account: Account, statement: BoundStatement): Promise<SqlOutcome> {
    const { text, values, bounds } = statement
    if (this.#alone.get(text) !== 0) {
      return this.#lend(account, async (connection) => {
        const begun = performance.now()
        const outcome = await connection.query(text, values, bounds)
        this.#learn(text, performance.now() - begun)
        return outcome
      })
    }
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(account.name) ?? { account, all: [] }
      if (waiting.all.push({ statement, resolve }) > 1) return
      this.#waiting.set(account.name, waiting)
      const { mostTogether } = this.#sharing
      queueMicrotask(() => {
        this.#waiting.delete(account.name)
        for (let i = 0; i < waiting.all.length; i += mostTogether) this.#send(account, waiting.all.slice(i, i + mostTogether))
      })
    })
  }

  #send(account: Account, together: readonly Waiting[]): void {
    let begun = false
    const sent = this.#lend(account, async (connection) => {
      begun = true
      const runs = this.#sharing.carryOut(
        connection,
        together.map(({ statement }) => statement),
      )
      for (const [i, { outcome }] of runs.entries()) {
        const { statement, resolve } = together[i]!
        resolve(
          outcome.catch((error) => {
            if (!(error instanceof StaleStatement)) throw error
            this.#know(statement.text, waryTimes)
            return this.#lend(account, (another) => another.query(statement.text, statement.values, statement.bounds))
          }),
        )
      }
      // One that failed tells its caller; the connection is given back when all are over.
      await Promise.allSettled(runs.map(({ outcome }) => outcome))
      for (const [i, { statement }] of runs.entries()) this.#learn(together[i]!.statement.text, statement.tookMs)
    })
    sent.catch((error) => {
      if (!begun) for (const { resolve } of together) resolve(Promise.reject(error))
    })
  }

  #learn(text: string, tookMs: number): void {
    const alone = this.#alone.get(text) ?? 1
    this.#know(text, tookMs < this.#sharing.quickMs ? Math.max(0, alone - 1) : Math.max(1, alone))
  }

  #know(text: string, alone: number): void {
    if (this.#alone.size >= mostKnown && !this.#alone.has(text)) this.#alone.clear()
    this.#alone.set(text, alone)
  }
}
