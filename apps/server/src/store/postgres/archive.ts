import pg from 'pg'
import { MillraceError } from '../../errors.ts'
import { type LoadState, type Row, readOutcome, type Section, type StoreArchive, spellOutcome, type Value } from '../sections.ts'
import { bytesOf, readOf, tablesOf, writeOf } from './archive-sections.ts'
import { storable } from './arrays.ts'
import { type ConnectionSettings, readConnectionUrl } from './connection.ts'
import { Database, types } from './database.ts'
import { storageError } from './errors.ts'
import { turnsOfBefore } from './flow-schema.ts'
import { activeNodes } from './nodes.ts'
import { recall, remember } from './remembered.ts'
import { recordOfText } from './rows.ts'
import { migrate } from './schema.ts'
import { mostNodes } from './sequence.ts'

/** Rows read at a time, … */
const pageRows = 200
/** … with byte strings up to this length; longer ones are read one record at a time. */
const mostInline = 32 * 1024

/**
 * Opens a Postgres store to be copied from or to, and brings its schema up to date.
 *
 * @throws MillraceError UNAVAILABLE when servers use it, or it cannot be reached or used; VALIDATION when the URL is not right.
 */
export async function openPostgresArchive(url: string): Promise<StoreArchive> {
  const settings = readConnectionUrl(url)
  const db = new Database(settings)
  try {
    await migrate(db)
  } finally {
    await db.close()
  }
  const archive = new PostgresArchive(settings)
  await archive.open()
  return archive
}

class PostgresArchive implements StoreArchive {
  readonly #settings: ConnectionSettings
  readonly #client: pg.Client
  #reading = false

  constructor(settings: ConnectionSettings) {
    this.#settings = settings
    const { connectionString, pooler } = settings
    // Work memory for the one sort that a section with texts in its key needs.
    const options = pooler ? undefined : '-c enable_seqscan=off -c jit=off -c work_mem=64MB'
    this.#client = new pg.Client({ connectionString, options, connectionTimeoutMillis: 5000, application_name: 'millrace archive' })
    this.#client.on('error', () => undefined)
  }

  async open(): Promise<void> {
    try {
      await this.#client.connect()
      const [{ active }] = (await this.#query<{ active: number }>(activeNodes)) as [{ active: number }]
      if (active > 0) {
        throw new MillraceError(
          'UNAVAILABLE',
          `${active === 1 ? 'A server uses' : `${active} servers use`} the database: stop it first. (One that was killed counts for 20 seconds.)`,
        )
      }
    } catch (error) {
      await this.close()
      throw storageError(error, this.#settings.target)
    }
  }

  async stamp(): Promise<string> {
    const [row] = await this.#query<{ stamp: string }>("SELECT coalesce(max(seen_at)::text, '') AS stamp FROM millrace.nodes")
    return row!.stamp
  }

  async lastSeq(): Promise<number> {
    const [row] = await this.#query<{ last: number }>(
      `SELECT coalesce(max(greatest(tick, tick_limit) + 1), 0) * ${mostNodes} AS last FROM millrace.nodes`,
    )
    return row!.last
  }

  async estimate(section: Section): Promise<number> {
    const tables = tablesOf(section).map((table) => `(SELECT count(*) FROM millrace.${table})`)
    const [row] = await this.#query<{ count: number }>(`SELECT ${tables.join(' + ')} AS count`)
    return row!.count
  }

  async *dump(section: Section, after?: Row): AsyncIterable<Row> {
    await this.#read()
    const values = (after ?? []) as unknown[]
    await this.#query(`DECLARE dump NO SCROLL CURSOR FOR ${readOf(section, mostInline, after !== undefined)}`, values)
    const names = Object.keys(section.columns)
    for (;;) {
      const page = await this.#query<Record<string, Value>>(`FETCH ${pageRows} FROM dump`)
      for (const { large, ...record } of page) {
        const whole = large ? { ...record, ...(await this.#bytes(section, record)) } : record
        yield names.map((name) => outOf(section, name, whole[name]!))
      }
      if (page.length < pageRows) break
    }
    await this.#query('CLOSE dump')
  }

  async loading(): Promise<LoadState | undefined> {
    const rows = await this.#query<{ key: string; value: number }>(
      "SELECT key, value FROM millrace.meta WHERE key IN ('loading', 'loaded')",
    )
    const { loading, loaded } = Object.fromEntries(rows.map(({ key, value }) => [key, value]))
    return loading === undefined ? undefined : { archive: loading, records: loaded! }
  }

  async beginLoad(archive: number): Promise<void> {
    await this.#atOnce(async () => {
      await this.#query('LOCK TABLE millrace.meta')
      const [used] = await this.#query("SELECT FROM millrace.tenants UNION ALL SELECT FROM millrace.meta WHERE key = 'loading' LIMIT 1")
      if (used) throw new MillraceError('FAILED_PRECONDITION', 'The store is not empty: import into an empty database.')
      await this.#query("INSERT INTO millrace.meta (key, value) VALUES ('loading', $1), ('loaded', 0)", [archive])
    })
  }

  async load(section: Section, rows: readonly Row[], { archive, records }: LoadState): Promise<void> {
    const names = Object.keys(section.columns)
    const objects = rows.map((row) => Object.fromEntries(names.map((name, i) => [name, into(section, name, row[i]!)])))
    const labels = section.name === 'jobs' ? [JSON.stringify(objects.flatMap(labelRows))] : []
    await this.#atOnce(async () => {
      const moved = await this.#query(
        `UPDATE millrace.meta SET value = $3 WHERE key = 'loaded' AND value = $2
           AND EXISTS (SELECT FROM millrace.meta WHERE key = 'loading' AND value = $1) RETURNING key`,
        [archive, records, records + rows.length],
      )
      if (moved.length === 0) throw new MillraceError('FAILED_PRECONDITION', 'Another import into the database is under way.')
      await this.#query(writeOf(section), [JSON.stringify(objects), ...labels])
    })
  }

  async endLoad(lastSeq: number): Promise<void> {
    const tick = Math.ceil(lastSeq / mostNodes)
    await this.#atOnce(async () => {
      await this.#query('INSERT INTO millrace.nodes (slot, tick, tick_limit) VALUES (0, $1, $1)', [tick])
      for (const [table, column] of [
        ['tenants', 'tenant'],
        ['queues', 'queue'],
        ['lanes', 'lane'],
        ['kv_stores', 'store'],
        ['streams', 'stream'],
      ]) {
        await this.#query(
          `SELECT setval(pg_get_serial_sequence('millrace.${table}', '${column}'), greatest((SELECT max(${column}) FROM millrace.${table}), 1))`,
        )
      }
      await this.#query(turnsOfBefore)
      await this.#query("DELETE FROM millrace.meta WHERE key IN ('loading', 'loaded')")
    })
    await this.#query('ANALYZE millrace.jobs, millrace.completed')
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined)
  }

  async #bytes(section: Section, record: Record<string, Value>): Promise<Record<string, Value>> {
    const [bytes] = await this.#query<Record<string, Value>>(
      bytesOf(section),
      section.key.map((name) => record[name]),
    )
    return bytes!
  }

  /** All that is read is of one moment, until something is written. */
  async #read(): Promise<void> {
    if (this.#reading) return
    await this.#query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    this.#reading = true
  }

  async #atOnce(work: () => Promise<void>): Promise<void> {
    if (this.#reading) await this.#query('COMMIT')
    this.#reading = false
    await this.#query('BEGIN')
    try {
      await work()
      await this.#query('COMMIT')
    } catch (error) {
      await this.#query('ROLLBACK').catch(() => undefined)
      throw error
    }
  }

  async #query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    try {
      return (await this.#client.query({ text, values: [...values], types } as pg.QueryConfig)).rows as Row[]
    } catch (error) {
      throw storageError(error, this.#settings.target)
    }
  }
}

function outOf({ name, columns }: Section, column: string, value: Value): Value {
  if (columns[column] === 'real' && value !== null) return Math.fround(Number(value))
  return name === 'requests' && column === 'outcome' ? spellOutcome(recall(String(value))) : value
}

function into({ name }: Section, column: string, value: Value): Exclude<Value, Uint8Array> {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  if (typeof value !== 'string') return value
  return name === 'requests' && column === 'outcome' ? shorten(value) : storable(value)
}

function labelRows({ tenant, seq, labels }: Readonly<Record<string, Value>>) {
  return Object.entries(recordOfText(labels as string | null)).map(([key, value]) => ({
    tenant,
    seq,
    key: storable(key),
    value: storable(value),
  }))
}

function shorten(text: string): string {
  const { outcomes, batch } = readOutcome(text)
  return remember(outcomes, batch)
}
