import pg from 'pg'
import { MillraceError } from '../../errors.ts'
import type { ConnectionSettings } from './connection.ts'
import { isConflict, isDisconnected, storageError } from './errors.ts'

/** One SQL statement: carried out alone, it is one transaction. */
export interface Statement {
  /** Unique: Postgres keeps its plan under this name. */
  readonly name: string
  readonly text: string
  /** True when carrying it out again after a lost connection does no harm: a read, or a change that finds itself done. */
  readonly repeatable: boolean
}

/** A value of a statement's parameter. Arrays are literals made by `arrays.ts`. */
export type Value = string | number | boolean | Uint8Array | null

/** What a transaction of several statements is given. */
export interface Transaction {
  /** Rows are tuples in the order of the statement's columns. */
  run<Row extends readonly unknown[]>(statement: Statement, values: readonly Value[]): Promise<Row[]>
  /** Rows are objects by the names of the columns. */
  query<Row>(text: string, values?: readonly Value[]): Promise<Row[]>
}

/** Is told of statements that did not go well. */
export interface StatementWatcher {
  /** The storage failed under one: what it did, or kept from others meanwhile, is not known. */
  failed(): void
  /** One was carried out again after its connection broke: if it had been carried out before, nobody was told what it did. */
  repeated(): void
}

/**
 * - Sequential scans are off, because plans are made when tables may be empty and are kept when they are not. Each
 *   statement reaches its rows by an index, whatever the statistics say; few rows each time, which bitmaps are not for.
 * - Plans are generic from the start, and never compiled: statements are short.
 */
const sessionOptions =
  '-c enable_seqscan=off -c enable_bitmapscan=off -c plan_cache_mode=force_generic_plan -c jit=off -c statement_timeout=15000'
const connectTimeoutMs = 5_000
/** Past the server's own limit: the network is gone. */
const answerTimeoutMs = 20_000
/** The longest that a timer takes. */
const longestTimeout = 2 ** 31 - 1
const attempts = 4
/** The wait before the second attempt; each further one waits three times as long. */
const firstRetryMs = 30

/** Bigints are numbers here: times, counts and job numbers all stay below 2^53. */
const parsers: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === 't',
  17: (text) => Buffer.from(text.slice(2), 'hex'),
  20: Number,
  21: Number,
  23: Number,
  700: Number,
  701: Number,
}
const asText = (text: string) => text
/** How the driver reads values. */
export const types = { getTypeParser: (oid: number) => parsers[oid] ?? asText }

/** The connections to Postgres. Every error that leaves it is a `MillraceError`, or a fault of the statement. */
export class Database {
  readonly #settings: ConnectionSettings
  readonly #pool: pg.Pool

  #watcher: StatementWatcher = { failed() {}, repeated() {} }

  constructor(settings: ConnectionSettings) {
    this.#settings = settings
    this.#pool = new pg.Pool({
      connectionString: settings.connectionString,
      max: settings.poolSize,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: answerTimeoutMs,
      idleTimeoutMillis: 60_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      application_name: 'millrace',
      options: settings.pooler ? undefined : sessionOptions,
    })
    // A connection that breaks, idle or in use, is dropped by the pool, and its statement fails: there is nothing more to do.
    this.#pool.on('error', () => undefined)
    this.#pool.on('connect', (client) => client.on('error', () => undefined))
  }

  /** Sets who is told of statements that did not go well. */
  watch(watcher: StatementWatcher): void {
    this.#watcher = watcher
  }

  /** Carries out a statement; rows are tuples in the order of its columns. */
  async run<Row extends readonly unknown[]>(statement: Statement, values: readonly Value[]): Promise<Row[]> {
    const config = { ...this.#query(statement, values), rowMode: 'array' as const }
    const { rows } = await this.#retrying(statement.repeatable, (client) => client.query(config))
    return rows as unknown[] as Row[]
  }

  /** Carries out a statement; rows are objects by the names of its columns. */
  async objects<Row extends object>(statement: Statement, values: readonly Value[]): Promise<Row[]> {
    const { rows } = await this.#retrying(statement.repeatable, (client) => client.query(this.#query(statement, values)))
    return rows as Row[]
  }

  /**
   * Carries out `work` in one transaction. For what is rare: each statement is a trip to the server.
   *
   * @param patient - its statements may take as long as they need.
   */
  transaction<T>(work: (transaction: Transaction) => Promise<T>, { patient = false } = {}): Promise<T> {
    const query_timeout = patient ? longestTimeout : undefined
    return this.#retrying(false, async (client) => {
      await client.query('BEGIN')
      try {
        if (patient) await client.query('SET LOCAL statement_timeout = 0')
        const result = await work({
          run: async <Row>(statement: Statement, values: readonly Value[]) =>
            (await client.query({ ...this.#query(statement, values), rowMode: 'array' as const })).rows as unknown[] as Row[],
          query: async <Row>(text: string, values: readonly Value[] = []) =>
            (await client.query({ text, values: values as unknown[], types, query_timeout } as pg.QueryConfig)).rows as Row[],
        })
        await client.query('COMMIT')
        return result
      } catch (error) {
        // When the connection is gone, so is the transaction; the error worth telling is the first.
        await client.query('ROLLBACK').catch(() => undefined)
        throw error
      }
    })
  }

  /** A connection of its own that listens; undefined when the settings know no way. */
  listener(): pg.Client | undefined {
    const { listenUrl } = this.#settings
    if (listenUrl === undefined) return undefined
    return new pg.Client({
      connectionString: listenUrl,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      application_name: 'millrace listen',
    })
  }

  /** What the caller should see of an error. */
  explain(error: unknown): unknown {
    return storageError(error, this.#settings.target)
  }

  close(): Promise<void> {
    return this.#pool.end()
  }

  #query({ name, text }: Statement, values: readonly Value[]) {
    return { name: this.#settings.pooler ? undefined : name, text, values: values as unknown[], types }
  }

  /**
   * Transactions undone for another's sake are tried again, and so are statements that never left. When a connection
   * breaks under a statement nobody knows whether it was carried out: then only what may be repeated is.
   */
  async #retrying<T>(repeatable: boolean, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    let delay = firstRetryMs
    let doubtful = false
    for (let attempt = 1; ; attempt++) {
      let sent = false
      let client: pg.PoolClient | undefined
      try {
        client = await this.#pool.connect()
        sent = true
        const result = await work(client)
        client.release()
        if (doubtful) this.#watcher.repeated()
        return result
      } catch (error) {
        const broken = isDisconnected(error)
        client?.release(broken)
        if (broken && sent) doubtful = true
        const again = isConflict(error) || (broken && (repeatable || !sent))
        if (!again || attempt === attempts) {
          const explained = this.explain(error)
          if (explained instanceof MillraceError) this.#watcher.failed()
          throw explained
        }
      }
      await new Promise((resolve) => setTimeout(resolve, delay * (0.5 + Math.random())))
      delay *= 3
    }
  }
}
