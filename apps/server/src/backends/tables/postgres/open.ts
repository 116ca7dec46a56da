import pg from 'pg'
import {
  areSmall,
  type Login,
  LoginRefused,
  type ResultBounds,
  ResultTooLarge,
  SqlError,
  type SqlOutcome,
  type SqlValue,
  type TableConnection,
  type TableDatabase,
} from '../../../domain/tables/backend.ts'
import { MillraceError } from '../../../errors.ts'
import { ChangeListener } from './change-listener.ts'
import { PostgresConnection } from './connection.ts'
import { type Account, AccountPool } from './pool.ts'
import { SharedStatements } from './shared-statements.ts'

/** Settings of every connection: what Postgres writes is read here. A caller's statement that changes them changes its own answer alone. */
const fixed = [
  'DateStyle=ISO',
  'TimeZone=UTC',
  'IntervalStyle=postgres',
  'bytea_output=hex',
  'extra_float_digits=1',
  'client_min_messages=error',
]

/** How to reach Postgres. */
export interface PostgresTablesOptions {
  /** `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, of a user that may make roles and schemas. */
  readonly url: string
  /** Longest statement, in milliseconds. */
  readonly timeoutMs: number
  /** Connections at a time. */
  readonly connections: number
}

/** Tables in a Postgres. Each role has connections of its own, logged in as that role. */
export class PostgresTables implements TableDatabase {
  readonly #options: PostgresTablesOptions
  readonly #pool: AccountPool
  readonly #reads = new SharedStatements((account, work) => this.#lend(account, false, work), {
    mostTogether: 8,
    quickMs: 10,
    carryOut: (connection, statements) => connection.queryAll(statements),
  })
  readonly #inserts = new SharedStatements((account, work) => this.#lend(account, false, work), {
    mostTogether: 32,
    // By itself it waits for its commit.
    quickMs: 50,
    carryOut: (connection, statements) => connection.commitAll(statements),
  })
  /** How often the tables of a role were changed. */
  readonly #epochs = new Map<string, number>()
  #listener: ChangeListener | undefined

  constructor(options: PostgresTablesOptions) {
    this.#options = options
    this.#pool = new AccountPool(options.connections)
  }

  asServer<T>(work: (connection: TableConnection) => Promise<T>): Promise<T> {
    return this.#lend({ name: '', config: () => this.#config('pg_catalog') }, false, work)
  }

  asRole<T>(login: Login, work: (connection: TableConnection) => Promise<T>, raw = false): Promise<T> {
    return this.#lend(this.#account(login), raw, work)
  }

  read(login: Login, text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome> {
    return this.#reads.run(this.#account(login), { text, values, bounds })
  }

  insert(login: Login, text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome> {
    // Many rows keep a connection busy, and gain little.
    if (!areSmall(values)) return this.asRole(login, (connection) => connection.write(text, values, bounds))
    return this.#inserts.run(this.#account(login), { text, values, bounds })
  }

  forget(role: string): void {
    this.#epochs.set(role, (this.#epochs.get(role) ?? 0) + 1)
  }

  async listen(onSaid: (said: string | undefined) => void): Promise<void> {
    const listener = new ChangeListener(this.#config('pg_catalog'), onSaid)
    await listener.open().catch((error) => {
      throw connectError(error)
    })
    this.#listener = listener
  }

  async check(): Promise<void> {
    await this.asServer((connection) => connection.query('SELECT 1'))
  }

  async close(): Promise<void> {
    this.#listener?.close()
    this.#pool.close()
  }

  #account({ role, password, searchPath }: Login): Account {
    return { name: role, config: () => ({ ...this.#config(searchPath), user: role, password }) }
  }

  #config(searchPath: string): pg.ClientConfig {
    const { url, timeoutMs } = this.#options
    const { hostname, port, pathname, username, password, searchParams } = new URL(url)
    const settings = [...fixed, `search_path=${searchPath}`, `statement_timeout=${timeoutMs}`]
    const host = searchParams.get('host') ?? decodeURIComponent(hostname)
    const ssl = /^(require|verify-ca|verify-full|no-verify)$/.exec(searchParams.get('sslmode') ?? '')
    return {
      host,
      port: Number(port || 5432),
      database: decodeURIComponent(pathname.slice(1)) || undefined,
      user: decodeURIComponent(username) || undefined,
      password: decodeURIComponent(password) || undefined,
      ...(ssl && { ssl: { rejectUnauthorized: ssl[1] !== 'no-verify' && ssl[1] !== 'require' } }),
      options: settings.map((setting) => `-c ${setting.replaceAll(/[\\ ]/g, '\\$&')}`).join(' '),
      application_name: 'millrace tables',
      connectionTimeoutMillis: 10_000,
    }
  }

  async #lend<T>(account: Account, raw: boolean, work: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    const client = await this.#pool.take(account).catch((error) => {
      throw connectError(error)
    })
    const connection = new PostgresConnection({
      client,
      timeoutMs: this.#options.timeoutMs,
      epoch: raw ? undefined : (this.#epochs.get(account.name) ?? 0),
      end: () => endBackend(account, client),
    })
    let clean = false
    try {
      const result = await work(connection)
      clean = true
      return result
    } catch (error) {
      clean = error instanceof SqlError || error instanceof ResultTooLarge
      throw error
    } finally {
      if (clean && raw) clean = await connection.renew()
      this.#pool.give(account.name, client, !clean || connection.broken)
    }
  }
}

/** Longest wait for an end, in milliseconds. */
const endMs = 5000

/** Ends the process in Postgres that serves a connection, as each role may of its own. */
async function endBackend(account: Account, client: pg.Client): Promise<boolean> {
  // The driver's types do not say it.
  const { processID } = client as unknown as { readonly processID: number }
  const other = new pg.Client({ ...account.config(), query_timeout: endMs })
  try {
    await other.connect()
    const { rows } = await other.query('SELECT pg_catalog.pg_terminate_backend($1) AS ended', [processID])
    return rows[0].ended
  } catch {
    return false
  } finally {
    void other.end()
  }
}

function connectError(error: unknown): unknown {
  if (error instanceof MillraceError) return error
  const { code, message } = error as pg.DatabaseError
  if (code === '28P01' || code === '28000') return new LoginRefused(message)
  return new MillraceError(
    'UNAVAILABLE',
    `The Postgres of the tables cannot be reached (${message || code}).`,
    { retryAfterMs: 1000 },
    { cause: error },
  )
}
