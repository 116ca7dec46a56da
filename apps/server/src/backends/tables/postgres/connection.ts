import pg from 'pg'
import {
  type ResultBounds,
  ResultTooLarge,
  SqlError,
  type SqlOutcome,
  type SqlValue,
  type TableConnection,
} from '../../../domain/tables/backend.ts'
import { MillraceError } from '../../../errors.ts'
import { PreparedStatements } from './prepared-statements.ts'
import { Statement } from './statement.ts'

const beginTogether = ['BEGIN', `SET LOCAL lock_timeout = '100ms'`, 'SET CONSTRAINTS ALL IMMEDIATE']

const unbounded = { rows: Infinity, bytes: Infinity }

const preparedOn = new WeakMap<pg.Client, PreparedStatements>()

function preparedOf(client: pg.Client, epoch: number): PreparedStatements {
  const known = preparedOn.get(client) ?? new PreparedStatements(epoch)
  preparedOn.set(client, known)
  known.since(epoch)
  return known
}

/**
 * Errors of a prepared statement that it may owe to what it was prepared for: it is none any more, or a column is gone or
 * has another type, while its values are still read as they were.
 */
const stale = /^(0A|22|26|42)/

/** A statement was prepared before something changed, or another failed with which it should have been committed. It had no effect. */
export class StaleStatement extends Error {
  override readonly name = 'StaleStatement'
}

/** A statement with its values and bounds. */
export interface BoundStatement {
  readonly text: string
  readonly values: readonly SqlValue[]
  readonly bounds: ResultBounds
}

/** A statement without values. */
function bare(text: string): BoundStatement {
  return { text, values: [], bounds: unbounded }
}

/** A statement on its way. */
export interface StatementRun {
  readonly statement: Statement
  readonly outcome: Promise<SqlOutcome>
}

/** What a connection is lent with. */
export interface Lent {
  readonly client: pg.Client
  readonly timeoutMs: number
  /** What was prepared before the last one began is not used; undefined: nothing is prepared. */
  readonly epoch: number | undefined
  /** Ends what the connection does, and itself; false when that cannot be done. */
  end(): Promise<boolean>
}

/** A connection, lent for a while. */
export class PostgresConnection implements TableConnection {
  readonly #client: pg.Client
  readonly #timeoutMs: number
  readonly #prepared: PreparedStatements | undefined
  readonly #end: () => Promise<boolean>
  #ended: Promise<boolean> | undefined
  /** True when it must not be used again. */
  broken = false

  constructor({ client, timeoutMs, epoch, end }: Lent) {
    this.#client = client
    this.#timeoutMs = timeoutMs
    this.#prepared = epoch === undefined ? undefined : preparedOf(client, epoch)
    this.#end = end
  }

  /** Makes it as new; false when that is not possible. */
  async renew(): Promise<boolean> {
    preparedOn.delete(this.#client)
    try {
      await this.#client.query('ROLLBACK')
      await this.#client.query('DISCARD ALL')
      return true
    } catch {
      return false
    }
  }

  async query(text: string, values: readonly SqlValue[] = [], bounds: ResultBounds = unbounded): Promise<SqlOutcome> {
    const statement = { text, values, bounds }
    try {
      return await this.queryAll([statement])[0]!.outcome
    } catch (error) {
      if (!(error instanceof StaleStatement)) throw error
      return this.queryAll([statement])[0]!.outcome
    }
  }

  async write(text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome> {
    const statement = { text, values, bounds }
    return this.#writeOnce(statement).catch((error) => {
      if (!(error instanceof StaleStatement)) throw error
      return this.#writeOnce(statement)
    })
  }

  async #writeOnce(statement: BoundStatement): Promise<SqlOutcome> {
    // What the statement fails with says enough when this one fails.
    const [begun, run] = this.queryAll([bare('BEGIN'), statement])
    begun!.outcome.catch(() => undefined)
    try {
      const outcome = await run!.outcome
      await this.query('COMMIT')
      return outcome
    } catch (error) {
      // A connection that broke has rolled back by itself.
      await this.query('ROLLBACK').catch(() => undefined)
      throw error
    }
  }

  /**
   * Carries out statements one after the other, each in a transaction of its own, and waits for none before it sends the next.
   * Nothing else may be asked of the connection before all are over.
   *
   * @returns what each gives; rejects with {@link StaleStatement} when it shall be sent again.
   */
  queryAll(statements: readonly BoundStatement[]): StatementRun[] {
    // An error would end the caller's transaction, so what can fail for being prepared is not, there.
    const prepared = this.#client.getTransactionStatus() === 'I' ? this.#prepared : undefined
    const sent = statements.map(({ text, values, bounds }) => new Statement(text, values, bounds, prepared))
    for (const [i, statement] of sent.entries()) {
      const next = sent[i + 1]
      if (!next) break
      statement.next = next
      statement.onOver = () => this.#client.query(next)
    }
    this.#client.query(sent[0]!)
    return sent.map((statement) => ({ statement, outcome: this.#answer(statement, sent.length) }))
  }

  /**
   * Carries out statements one after the other and commits them together, or none of them. Each is as if it were alone:
   * constraints that could wait for the commit are looked at with each, and none waits for locks for long.
   *
   * @returns what each gives, once it is committed; rejects with {@link StaleStatement} when it shall be sent again, alone.
   */
  commitAll(statements: readonly BoundStatement[]): StatementRun[] {
    if (statements.length === 1) return this.queryAll(statements)
    const runs = this.queryAll([...beginTogether.map(bare), ...statements, bare('COMMIT')])
    // What they fail with is asked of the commit first.
    for (const { outcome } of runs) outcome.catch(() => undefined)
    const commit = runs.at(-1)!.outcome
    return runs.slice(beginTogether.length, -1).map(({ statement, outcome }) => ({
      statement,
      outcome: commit.then(
        // Postgres answers the commit of what has failed with ROLLBACK.
        ({ command }) => (command === 'COMMIT' ? outcome : Promise.reject(new StaleStatement())),
        (error) => Promise.reject(error instanceof SqlError && !this.broken ? new StaleStatement() : error),
      ),
    }))
  }

  async #answer(statement: Statement, together: number): Promise<SqlOutcome> {
    try {
      return await this.#within(statement.outcome, together)
    } catch (error) {
      if (!statement.reused || !(error instanceof SqlError) || !stale.test(error.code)) throw error
      this.#prepared!.drop(statement.text)
      throw new StaleStatement()
    }
  }

  async script(text: string): Promise<void> {
    await this.#within(this.#client.query(text))
  }

  /** Postgres ends a statement that takes too long, unless it turned that off: it goes on, with its locks, until its connection is ended. */
  async #within<T>(answer: Promise<T>, statements = 1): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => {
          this.broken = true
          this.#ended ??= this.#end()
          this.#explainEnd(this.#ended).catch(reject)
        },
        statements * this.#timeoutMs + 5000,
      )
    })
    try {
      const own = answer.catch((error) => (this.#ended !== undefined ? this.#explainEnd(this.#ended) : Promise.reject(error)))
      return await Promise.race([own, late])
    } catch (error) {
      if (error instanceof MillraceError || error instanceof ResultTooLarge || error instanceof SqlError) throw error
      if (error instanceof pg.DatabaseError) {
        // Classes 08 and 57P: the connection is lost, or Postgres is going down.
        if (/^(08|57P)/.test(error.code ?? '')) this.broken = true
        throw new SqlError(error)
      }
      this.broken = true
      const { message } = error as Error
      throw new MillraceError(
        'UNAVAILABLE',
        `The connection to the tables broke (${message}). Try again.`,
        { retryAfterMs: 1000 },
        { cause: error },
      )
    } finally {
      clearTimeout(timer)
    }
  }

  async #explainEnd(ended: Promise<boolean>): Promise<never> {
    if (await ended) throw new SqlError({ code: '57014', message: 'the statement took too long, and was ended' })
    throw new MillraceError('UNAVAILABLE', 'The Postgres of the tables does not answer.', { retryAfterMs: 1000 })
  }
}
