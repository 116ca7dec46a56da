import { MillraceError } from '../../errors.ts'

/** How to reach a database; read from its URL. */
export interface ConnectionSettings {
  /** For the driver. */
  readonly connectionString: string
  /** Most connections of this server, the listening one aside. */
  readonly poolSize: number
  /**
   * The URL leads to PgBouncer (or the like) in transaction mode: no prepared statements, no settings of the session,
   * and no LISTEN but over `listenUrl`.
   */
  readonly pooler: boolean
  /** For LISTEN alone; undefined when there is no way to listen. */
  readonly listenUrl: string | undefined
  /** Host, port and database, for messages; never the password. */
  readonly target: string
}

const defaultPoolSize = 10

/**
 * Reads `postgres://user:password@host:port/database`, with the driver's parameters (`sslmode`, …) and these:
 * `pool=N` (most connections, default 10), `pgbouncer=true` (the URL leads to a pooler in transaction mode) and
 * `listen_url=URL` (percent-encoded: straight to the server, for LISTEN, when the URL leads to a pooler).
 *
 * @throws MillraceError VALIDATION when it is not such a URL.
 */
export function readConnectionUrl(text: string): ConnectionSettings {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:')) {
    throw invalidUrl('It has the form postgres://user:password@host:port/database.')
  }
  const take = (name: string) => {
    const value = url.searchParams.get(name) ?? undefined
    url.searchParams.delete(name)
    return value
  }
  const pool = take('pool')
  const poolSize = pool === undefined ? defaultPoolSize : Number(pool)
  if (!Number.isInteger(poolSize) || poolSize < 4 || poolSize > 1000) throw invalidUrl(`pool=${pool} must be a number from 4 to 1000.`)
  const pgbouncer = take('pgbouncer')
  if (pgbouncer !== undefined && pgbouncer !== 'true' && pgbouncer !== 'false') throw invalidUrl('pgbouncer must be true or false.')
  const pooler = pgbouncer === 'true'
  const listenUrl = take('listen_url')
  const connectionString = url.href
  return {
    connectionString,
    poolSize,
    pooler,
    listenUrl: listenUrl ?? (pooler ? undefined : connectionString),
    target: `${url.hostname || 'localhost'}:${url.port || 5432}${url.pathname}`,
  }
}

function invalidUrl(message: string): MillraceError {
  return new MillraceError('VALIDATION', `The store's URL is not right. ${message}`)
}
