import type { ExportedFile, SqlStatement } from '../../../../domain/analytics/backend.ts'
import { Failure } from './failure.ts'
import { sizeOf } from './files.ts'
import type { Lease } from './lease.ts'
import { prepare, prepareOwn } from './statements.ts'
import { text } from './text.ts'

/** How each format is written. */
const written = { csv: 'FORMAT csv, HEADER', parquet: 'FORMAT parquet', json: 'FORMAT json, ARRAY', ndjson: 'FORMAT json' } as const

/** How often the size of what is written is looked at, in milliseconds: DuckDB bounds what it puts aside, and not what it is told to write. */
const lookEveryMs = 100

/**
 * Writes the rows of a query into a file in the lease's staging directory.
 *
 * @param most - bytes that all files there may take.
 * @returns the rows.
 */
export async function writeRows(lease: Lease, statement: SqlStatement, file: ExportedFile, most: number): Promise<number> {
  const { connection, staging } = lease
  // What is one query by itself, with all checks, is one between parentheses. It may end with a semicolon, or a comment.
  ;(await prepare(connection, statement, 'export')).destroySync()
  const sql = `COPY (${withoutEnd(statement.sql)}\n) TO ${text(`${staging}/${file.upload}`)} (${written[file.format]})`
  const prepared = await prepareOwn(connection, { ...statement, sql }, 'COPY')
  await connection.run('BEGIN TRANSACTION READ ONLY')
  const rows = await bounded(lease, most, prepared.runAndReadAll())
  return Number(rows.getRowsJson()[0]?.[0] ?? 0)
}

/** Without the semicolons and the space at the end. An expression for them would begin anew at each space within the text. */
function withoutEnd(sql: string): string {
  let end = sql.length
  while (end > 0 && /[;\s]/.test(sql[end - 1]!)) end--
  return sql.slice(0, end)
}

/** Ends what writes too much. */
async function bounded<T>({ connection, staging }: Lease, most: number, writing: Promise<T>): Promise<T> {
  let size = 0
  const look = setInterval(async () => {
    size = await sizeOf(staging)
    if (size > most) connection.interrupt()
  }, lookEveryMs)
  try {
    return await writing
  } catch (error) {
    if (size <= most) throw error
    const message = `The files of a database may take ${most} bytes until they are where they belong (--analytics-spill), and these rows take more. Export fewer at a time.`
    throw new Failure({ reason: 'QUOTA_EXCEEDED', message, quota: { type: 'analytics.uploads', current: size, limit: most } })
  } finally {
    clearInterval(look)
  }
}
