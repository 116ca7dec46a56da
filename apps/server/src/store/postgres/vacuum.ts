import type { Database, Statement } from './database.ts'

/** Rows that left before it is worth a look at the table. */
const leastRows = 50_000
/** With more rows than this a vacuum has to read long indexes, and once a minute is often enough. */
const mostRows = 500_000

const countRows: Statement = {
  name: 'vacuum_rows',
  repeatable: true,
  text: "SELECT reltuples FROM pg_class WHERE oid = 'millrace.jobs'::regclass",
}

/** Without waiting for anybody, another node's vacuum or a migration; and without giving the table's end back, which would lock everybody out. */
const vacuum: Statement = {
  name: 'vacuum',
  repeatable: true,
  text: 'VACUUM (SKIP_LOCKED, TRUNCATE false, PARALLEL 0) millrace.jobs',
}

/**
 * Makes room for new jobs where completed ones were. Postgres does that by itself, but looks only once a minute; by then a busy
 * queue of a few jobs has left gigabytes behind. Where this one may not or cannot, that one still does.
 */
export class Vacuum {
  readonly #db: Database
  #left = 0
  #running: Promise<void> | undefined

  constructor(db: Database) {
    this.#db = db
  }

  /** So many rows left `jobs`. */
  removed(count: number): void {
    this.#left += count
    if (this.#left < leastRows || this.#running !== undefined) return
    this.#left = 0
    this.#running = this.#run()
      .catch(() => undefined)
      .finally(() => {
        this.#running = undefined
      })
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    const [row] = await this.#db.run<[number]>(countRows, [])
    if (row![0] <= mostRows) await this.#db.run(vacuum, [])
  }
}
