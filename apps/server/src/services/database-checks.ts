import { type Database, FileFormat, ImportMode, type QueryRowsResponse } from '@millrace/protocol'
import type { Use } from '../domain/analytics/analytics.ts'
import type { DatabaseInfo, DatabaseRef, QueryBounds, QueryResult, SqlStatement } from '../domain/analytics/backend.ts'
import { databaseNamePattern, databaseNameRule } from '../domain/analytics/names.ts'
import type { Call } from './call.ts'
import type { Checks } from './checks.ts'
import { limits, pageBytes } from './limits.ts'

const jsonType = /^(?:application\/json(?:;.*)?)?$/

/** A request about one database. */
interface OnDatabase {
  readonly database: string
  readonly timeoutMs?: number
}

/** A request with a statement. */
interface WithStatement {
  readonly sql: string
  readonly parameters: Uint8Array
  readonly contentType: string
}

/** Ends the checks of a request, and says what it is about. */
export function readUse(checks: Checks, { database, timeoutMs = 0 }: OnDatabase, call: Call): Use {
  checkDatabase(checks, database)
  checks.integer('timeoutMs', timeoutMs, 0, limits.timeout)
  checks.done()
  const ref: DatabaseRef = { scope: call.scope, name: database }
  return { ref, timeoutMs, signal: call.signal }
}

export function readStatement(checks: Checks, path: string, { sql, parameters, contentType }: WithStatement): SqlStatement {
  if (sql === '') checks.fail('sql', 'is missing')
  checks.text('sql', sql, limits.sql.statement)
  if (sql.includes('\0')) checks.fail('sql', 'holds a null character')
  checks.payload('parameters', parameters, limits.sql.parameters)
  if (!jsonType.test(contentType)) checks.fail('contentType', 'parameters are application/json')
  return { sql, parameters: Buffer.from(parameters.buffer, parameters.byteOffset, parameters.byteLength).toString(), path }
}

export function readBounds(checks: Checks, limit: number): QueryBounds {
  if (limit !== 0) checks.integer('limit', limit, 1, limits.rows.max)
  return { limit: limit || limits.rows.default, bytes: pageBytes }
}

export function checkDatabase(checks: Checks, name: string, field = 'database'): void {
  if (databaseNamePattern.test(name)) return
  checks.fail(
    field,
    `${name === '' ? 'is missing' : `${JSON.stringify(name.slice(0, 64))} is not the name of a database`}; ${databaseNameRule}`,
  )
}

export function checkTable(checks: Checks, field: string, name: string): void {
  if (name === '') checks.fail(field, 'is missing')
  else if (name.includes('\0')) checks.fail(field, 'holds a null character')
  checks.text(field, name, limits.text)
}

/** Formats of files. */
export const fileFormats: Readonly<Record<number, 'csv' | 'parquet' | 'json'>> = {
  [FileFormat.CSV]: 'csv',
  [FileFormat.PARQUET]: 'parquet',
  [FileFormat.JSON]: 'json',
}
/** What becomes of a table, when it is not made. */
export const importModes: Readonly<Record<number, 'append' | 'replace'>> = {
  [ImportMode.APPEND]: 'append',
  [ImportMode.REPLACE]: 'replace',
}

export function toRows({ columns, values, rows, more }: QueryResult): QueryRowsResponse {
  return { columns: [...columns], values, contentType: '', rows, more }
}

/** None. */
export const noBytes = new Uint8Array()

export function toDatabase({ name, metadata, createdAt, sizeBytes }: DatabaseInfo): Database {
  return { name, metadata: { ...metadata }, createdAt: new Date(createdAt), sizeBytes }
}
