import { type DatabaseServiceDefinition, FileFormat } from '@millrace/protocol'
import type { Analytics } from '../domain/analytics/analytics.ts'
import type { ExportedFile, ExportedRows, StagedFile } from '../domain/analytics/backend.ts'
import { requireWhole } from '../domain/keys/limited-scope.ts'
import type { ObjectEngine } from '../domain/objects/engine.ts'
import type { ObjectName } from '../store/object-port.ts'
import type { Call, ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { checkTable, fileFormats, importModes, readBounds, readStatement, readUse, toDatabase, toRows } from './database-checks.ts'
import { checkBucket, checkObjectKey } from './object-checks.ts'

type ObjectCalls = Pick<
  ServiceOf<typeof DatabaseServiceDefinition>,
  'importObject' | 'queryObject' | 'exportObject' | 'backupDatabase' | 'restoreDatabase'
>

/** A request about an object. */
interface OnObject {
  readonly bucket: string
  readonly key: string
}

/** Media types of what is exported. */
const contentTypes: Readonly<Record<ExportedFile['format'], string>> = {
  csv: 'text/csv',
  parquet: 'application/vnd.apache.parquet',
  json: 'application/json',
  ndjson: 'application/x-ndjson',
}

/** Media type of a backup. */
const backupType = 'application/vnd.millrace.database-backup'

/** What analytical databases have to do with objects. */
export function createDatabaseObjectCalls({
  analytics,
  objects,
}: {
  readonly analytics: Analytics
  readonly objects: ObjectEngine
}): ObjectCalls {
  return {
    async importObject({ table, mode, ...request }, call) {
      const checks = new Checks()
      checkTable(checks, 'table', table)
      const name = readObject(checks, request, call, 'objects:read')
      const format = readFormat(checks, request)
      const use = readUse(checks, request, call)
      const { read } = await objects.open(name)
      const file = { table, path: 'key', format, mode: importModes[mode] ?? ('create' as const) }
      return { rows: await analytics.importBytes(use, read(), file) }
    },

    async queryObject({ limit, sql, ...request }, call) {
      const checks = new Checks()
      const name = readObject(checks, request, call, 'objects:read')
      const format = readFormat(checks, request)
      const statement = readStatement(checks, 'sql', { ...request, sql: sql || 'FROM object' })
      const bounds = readBounds(checks, limit)
      const use = readUse(checks, request, call)
      const { read } = await objects.open(name)
      return toRows(await analytics.queryBytes(use, read(), { path: 'key', format }, { statement, bounds }))
    },

    async exportObject(request, call) {
      const checks = new Checks()
      const name = readObject(checks, request, call, 'objects:write')
      const isLines = /\.(?:jsonl|ndjson)$/i.test(name.key)
      const read = readFormat(checks, request)
      const format = read === 'json' && isLines ? 'ndjson' : read
      const rows = readRows(checks, request)
      const use = readUse(checks, request, call)
      // What has no place to go is not even begun.
      await objects.bucket(name, name.bucket)
      const head = { contentType: contentTypes[format], metadata: {} }
      const put = (bytes: AsyncIterable<Uint8Array>) => objects.put({ ...head, name, condition: {}, sha256: '' }, bytes)
      const { rows: written, taken } = await analytics.exportBytes(use, rows, format, put)
      return { rows: written, size: taken.size, etag: taken.etag }
    },

    async backupDatabase(request, call) {
      const checks = new Checks()
      const name = readObject(checks, request, call, 'objects:write')
      const use = readUse(checks, request, call)
      await objects.bucket(name, name.bucket)
      const head = { contentType: backupType, metadata: {} }
      const { size, etag } = await analytics.backup(use, (file) =>
        objects.put({ ...head, name, condition: {}, sha256: '', size: file.size }, file.read()),
      )
      return { size, etag }
    },

    async restoreDatabase({ replace, ...request }, call) {
      const checks = new Checks()
      const name = readObject(checks, request, call, 'objects:read')
      const use = readUse(checks, request, call)
      const { read } = await objects.open(name)
      return { database: toDatabase(await analytics.restore(use, read(), { replace, path: 'key' })) }
    },
  }
}

/** An object that the caller may read, or write. */
function readObject(
  checks: Checks,
  { bucket, key }: OnObject,
  { scope, principal }: Call,
  needed: 'objects:read' | 'objects:write',
): ObjectName {
  principal.require(needed)
  requireWhole(scope, 'use objects')
  checkBucket(checks, 'bucket', bucket)
  checkObjectKey(checks, 'key', key)
  return { tenant: scope.tenant, namespace: scope.namespace, bucket, key }
}

/** How an object is written. */
function readFormat(checks: Checks, { key, format }: { readonly key: string; readonly format: FileFormat }): StagedFile['format'] {
  const ending = /\.(csv|parquet|json|jsonl|ndjson)$/i.exec(key)?.[1]?.toLowerCase()
  const ended = ending === 'csv' || ending === 'parquet' ? ending : ending === undefined ? undefined : 'json'
  const read = format === FileFormat.UNSPECIFIED ? ended : fileFormats[format]
  if (!read) checks.fail('format', 'is none of csv, parquet and json, and the key does not end in one of them')
  return read ?? 'csv'
}

function readRows(
  checks: Checks,
  request: { readonly table: string; readonly sql: string; readonly parameters: Uint8Array; readonly contentType: string },
): ExportedRows {
  const { table, sql, parameters } = request
  if (table === '') return { statement: readStatement(checks, 'sql', request) }
  checkTable(checks, 'table', table)
  if (sql !== '') checks.fail('sql', 'is given beside a table; give one of them')
  if (parameters.length > 0) checks.fail('parameters', 'are of a query, and a table is given')
  return { table }
}
