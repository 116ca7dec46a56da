import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import { JobState } from '../ports.ts'
import { type Kind, type LoadState, type Row, readOutcome, type Section, type StoreArchive, spellOutcome, type Value } from '../sections.ts'
import { BlobKind, Blobs } from './blobs.ts'
import { storageError } from './errors.ts'
import { turnsOfBefore } from './flow-schema.ts'
import { openDatabase, openError } from './open.ts'
import { recall, remember } from './remembered.ts'
import { recordOfText } from './rows.ts'

const { scheduled, running, completed } = JobState
const only = (state: JobState, column: string) => `CASE state WHEN ${state} THEN ${column} END`
const unless = (state: JobState, column: string) => `CASE state WHEN ${state} THEN NULL ELSE ${column} END`
const bytes = (column: string, kind: BlobKind) =>
  `coalesce(${column}, (SELECT data FROM blobs b WHERE b.tenant = jobs.tenant AND b.seq = jobs.seq AND b.kind = ${kind}), x'')`

/** SQL of columns of sections that are not a column of the table of the same name. */
const readAs: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  jobs: {
    timeout_ms: unless(completed, 'timeout_ms'),
    lease_ms: only(running, 'lease_ms'),
    lease_until: only(running, 'due_at'),
    run_at: only(scheduled, 'due_at'),
    updated_at: unless(completed, 'updated_at'),
    progress: unless(completed, 'progress'),
    retry: unless(completed, 'retry'),
    payload: bytes('payload', BlobKind.payload),
    result: only(completed, bytes('result', BlobKind.result)),
  },
}

/**
 * Opens a SQLite store to be copied from or to. Nobody else can open it meanwhile.
 *
 * @param create - make it when it is not there.
 * @throws MillraceError UNAVAILABLE when it is in use, or cannot be read or written; NOT_FOUND when it is not there.
 */
export async function openSqliteArchive(path: string, create: boolean): Promise<StoreArchive> {
  if (!create && !existsSync(join(path, 'millrace.db'))) throw new MillraceError('NOT_FOUND', `There is no store in '${path}'.`)
  let db: DatabaseSync | undefined
  try {
    db = openDatabase(path)
    // It is written in large transactions, and each must last.
    db.exec('PRAGMA synchronous = FULL')
    return new SqliteArchive(db)
  } catch (error) {
    db?.close()
    throw openError(error, path)
  }
}

class SqliteArchive implements StoreArchive {
  readonly #db: DatabaseSync
  readonly #blobs: Blobs
  readonly #inserts = new Map<string, StatementSync>()

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#blobs = new Blobs(db)
  }

  async stamp(): Promise<string> {
    return String(this.#meta('opened') ?? 0)
  }

  async lastSeq(): Promise<number> {
    return this.#meta('seq') ?? 0
  }

  async estimate({ name }: Section): Promise<number> {
    return Number(this.#db.prepare(`SELECT count(*) AS count FROM ${name}`).get()?.count)
  }

  async *dump({ name, key, columns }: Section, after?: Row): AsyncIterable<Row> {
    const names = Object.keys(columns)
    const kinds = Object.values(columns)
    const keys = key.join(', ')
    const select = this.#db.prepare(`SELECT ${names.map((column) => readAs[name]?.[column] ?? column).join(', ')} FROM ${name}
      ${after ? `WHERE (${keys}) > (${key.map(() => '?').join(', ')})` : ''} ORDER BY ${keys}`)
    select.setReturnArrays(true)
    const position = (after ?? []) as SQLInputValue[]
    for (const values of select.iterate(...position) as Iterable<unknown> as Iterable<SQLOutputValue[]>) {
      const row = values.map((value, i) => outOf(value, kinds[i]!))
      yield name === 'requests' ? changed(row, names.indexOf('outcome'), (text) => spellOutcome(recall(text))) : row
    }
  }

  async loading(): Promise<LoadState | undefined> {
    const archive = this.#meta('loading')
    return archive === undefined ? undefined : { archive, records: this.#meta('loaded')! }
  }

  async beginLoad(archive: number): Promise<void> {
    if (this.#db.prepare('SELECT 1 FROM tenants').get()) {
      throw new MillraceError('FAILED_PRECONDITION', 'The store is not empty: import into one that is not there yet.')
    }
    this.#atOnce(() => {
      this.#db.prepare("INSERT INTO meta VALUES ('loading', ?), ('loaded', 0)").run(archive)
    })
  }

  async load(section: Section, rows: readonly Row[], { records }: LoadState): Promise<void> {
    this.#atOnce(() => {
      const names = Object.keys(section.columns)
      for (const row of rows) {
        if (section.name === 'jobs') this.#loadJob(recordOf(names, row))
        else if (section.name === 'requests') this.#insert(section.name, recordOf(names, changed(row, names.indexOf('outcome'), shorten)))
        else this.#insert(section.name, recordOf(names, row))
      }
      this.#db.prepare("UPDATE meta SET value = ? WHERE key = 'loaded'").run(records + rows.length)
    })
  }

  async endLoad(lastSeq: number): Promise<void> {
    this.#atOnce(() => {
      this.#db.prepare("UPDATE meta SET value = ? WHERE key = 'seq'").run(lastSeq)
      this.#db.exec(turnsOfBefore)
      this.#db.exec("DELETE FROM meta WHERE key IN ('loading', 'loaded')")
    })
  }

  async close(): Promise<void> {
    this.#db.close()
  }

  #loadJob({ lease_until, run_at, progress, updated_at, timeout_ms, payload, result, ...job }: LoadedRecord): void {
    const tenant = Number(job.tenant)
    const seq = Number(job.seq)
    const done = job.state === completed
    this.#insert('jobs', {
      ...job,
      due_at: run_at ?? lease_until!,
      progress: done ? 100 : progress!,
      updated_at: updated_at ?? job.finished_at!,
      timeout_ms: timeout_ms ?? 0,
      payload: this.#blobs.store(tenant, seq, BlobKind.payload, payload as Uint8Array),
      result: done ? this.#blobs.store(tenant, seq, BlobKind.result, result as Uint8Array) : null,
    })
    const labels = recordOfText(job.labels as string | null)
    for (const key in labels) this.#insert('labels', { tenant, key, value: labels[key]!, seq })
  }

  #insert(table: string, record: LoadedRecord): void {
    let statement = this.#inserts.get(table)
    if (!statement) {
      const names = Object.keys(record)
      statement = this.#db.prepare(`INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`)
      this.#inserts.set(table, statement)
    }
    statement.run(...Object.values(record).map((value) => (typeof value === 'boolean' ? Number(value) : value)))
  }

  #meta(key: string): number | undefined {
    const row = this.#db.prepare('SELECT value FROM meta WHERE key = ?').get(key)
    return row && Number(row.value)
  }

  #atOnce(change: () => void): void {
    try {
      this.#db.exec('BEGIN IMMEDIATE')
      change()
      this.#db.exec('COMMIT')
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw storageError(error)
    }
  }
}

type LoadedRecord = Record<string, Value>

function recordOf(names: readonly string[], row: Row): LoadedRecord {
  return Object.fromEntries(names.map((name, i) => [name, row[i]!]))
}

function changed(row: Row, index: number, change: (text: string) => string): Row {
  return row.map((value, i) => (i === index ? change(String(value)) : value))
}

/** Texts have no NUL, which not every store can keep; numbers that need not be exact have the precision that every store keeps. */
function outOf(value: SQLOutputValue, kind: Kind): Value {
  if (value === null) return null
  if (kind === 'boolean') return value === 1
  if (kind === 'real') return Math.fround(Number(value))
  if (kind === 'text') return String(value).replaceAll('\0', '\uFFFD')
  return value as Value
}

function shorten(text: string): string {
  const { outcomes, batch } = readOutcome(text)
  return remember(outcomes, batch)
}
