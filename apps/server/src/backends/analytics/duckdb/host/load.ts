import type { ImportedFile, StagedFile } from '../../../../domain/analytics/backend.ts'
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
  const { table, mode } = file
  const source = sourceOf(staging, file)
  const name = `"${table.replaceAll('"', '""')}"`
  const sql = {
    create: `CREATE TABLE ${name} AS ${source}`,
    append: `INSERT INTO ${name} BY NAME ${source}`,
    replace: `CREATE OR REPLACE TABLE ${name} AS ${source}`,
  }[mode]
  const reader = await connection.runAndReadAll(sql)
  return Number(reader.getRowsJson()[0]?.[0] ?? 0)
}

/** Makes a file the table `object` of one connection. It is a table, for a view would tell where files are. */
export async function loadObject({ connection, staging }: Lease, file: StagedFile): Promise<void> {
  await connection.run(`CREATE TEMPORARY TABLE object AS ${sourceOf(staging, file)}`)
}

function sourceOf(staging: string, { upload, format }: StagedFile): string {
  return `FROM ${readers[format]}(${text(`${staging}/${upload}`)})`
}
