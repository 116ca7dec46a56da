import type { ImportedFile, StagedFile } from '../../../../domain/analytics/backend.ts'
import { Failure } from './failure.ts'
import type { Lease } from './lease.ts'
import { text } from './text.ts'

const readers = { csv: 'read_csv', parquet: 'read_parquet', json: 'read_json' } as const

/**
 * Makes rows of a file in the lease's staging directory, which DuckDB may read. The SQL is the server's own; the names in it are
 * quoted.
 *
 * @returns the rows.
 */
export async function load({ connection, staging }: Lease, file: ImportedFile): Promise<number> {
  const { table, mode, path } = file
  const name = `"${table.replaceAll('"', '""')}"`
  const isEmpty = await hasNothing(connection, staging, file)
  if (isEmpty && mode !== 'append')
    throw new Failure({ reason: 'VALIDATION', path, message: 'has no rows, and no columns to make a table of' })
  // No rows of the table itself: it must be there for them.
  const source = isEmpty ? `FROM ${name} LIMIT 0` : sourceOf(staging, file)
  const sql = {
    create: `CREATE TABLE ${name} AS ${source}`,
    append: `INSERT INTO ${name} BY NAME ${source}`,
    replace: `CREATE OR REPLACE TABLE ${name} AS ${source}`,
  }[mode]
  const reader = await connection.runAndReadAll(sql)
  return Number(reader.getRowsJson()[0]?.[0] ?? 0)
}

/** Whether a file has neither rows nor columns, of which DuckDB makes one up. Only JSON has no columns where it has no rows. */
async function hasNothing(connection: Lease['connection'], staging: string, file: StagedFile): Promise<boolean> {
  if (file.format !== 'json') return file.format === 'csv' && file.size === 0
  return (await connection.runAndReadAll(`${sourceOf(staging, file)} LIMIT 1`)).currentRowCount === 0
}

/** Makes a file the table `object` of one connection. It is a table, for a view would tell where files are. */
export async function loadObject({ connection, staging }: Lease, file: StagedFile): Promise<void> {
  await connection.run(`CREATE TEMPORARY TABLE object AS ${sourceOf(staging, file)}`)
}

function sourceOf(staging: string, { upload, format }: StagedFile): string {
  return `FROM ${readers[format]}(${text(`${staging}/${upload}`)})`
}
