import { chmodSync } from 'node:fs'
import { type Postgres, startPostgres } from '@millrace/dev'
import pg from 'pg'

/** A database of the Postgres that is measured. */
export interface DatabaseAddress {
  readonly url: string
  /** Of the Postgres's first process. */
  readonly pid: number
}

/** A private Postgres on which each round of each system has a database of its own. */
export interface DatabaseServer extends AsyncDisposable {
  /** A new, empty database; dropped when it is disposed of. */
  create(): Promise<DatabaseAddress & AsyncDisposable>
  /** The statements that took longest so far, if it was told to keep count. */
  slowest(): Promise<string>
}

/** Starts the machine's Postgres as it comes, fsync and all. `profile`: it keeps count of its statements. */
export async function startDatabaseServer(parentDir: string, profile: boolean): Promise<DatabaseServer> {
  // Postgres may have to run as another user, who must be let through.
  chmodSync(parentDir, 0o711)
  const postgres = await startPostgres({ parentDir, ...(profile && { settings: { shared_preload_libraries: 'pg_stat_statements' } }) })
  if (profile) await query(postgres.url, 'CREATE EXTENSION pg_stat_statements')
  let count = 0
  return {
    async create() {
      const name = `bench_${++count}`
      await query(postgres.url, `CREATE DATABASE ${name}`)
      // What earlier rounds left to be written is not this one's to wait for.
      await query(postgres.url, 'CHECKPOINT')
      return {
        url: postgres.url.replace(/postgres$/, name),
        pid: postgres.pid(),
        [Symbol.asyncDispose]: async () => {
          await query(postgres.url, `DROP DATABASE ${name} WITH (FORCE)`)
        },
      }
    },
    slowest: () => slowest(postgres),
    [Symbol.asyncDispose]: () => postgres.stop(),
  }
}

/** Runs one statement on a connection of its own. */
export async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

async function slowest(postgres: Postgres): Promise<string> {
  const rows = await query<{ line: string }>(
    postgres.url,
    `SELECT format('%s ms in %s calls, %s ms each, %s rows each, %s blocks hit, %s read, %s dirtied, %s bytes of WAL%s%s', round(total_exec_time), calls,
       round(mean_exec_time::numeric, 3), rows / calls, shared_blks_hit, shared_blks_read, shared_blks_dirtied, wal_bytes, chr(10), left(query, 1000)) AS line
     FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 15`,
  )
  return rows.map(({ line }) => line).join('\n\n')
}
