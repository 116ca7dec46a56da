import { type DatabaseServiceDefinition, type Table, type TableColumn, TableKind } from '@millrace/protocol'
import type { Analytics } from '../domain/analytics/analytics.ts'
import type { TableInfo } from '../domain/analytics/backend.ts'
import type { ObjectEngine } from '../domain/objects/engine.ts'
import { MillraceError, notFound } from '../errors.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import {
  checkDatabase,
  checkTable,
  fileFormats,
  importModes,
  noBytes,
  readBounds,
  readStatement,
  readUse,
  toDatabase,
  toRows,
} from './database-checks.ts'
import { createDatabaseObjectCalls } from './database-object-calls.ts'
import { limits } from './limits.ts'

/** What the service of databases stands on. */
export interface DatabaseServiceContext {
  readonly analytics: Analytics
  readonly objects: ObjectEngine
  readonly payloadLimit: number
}

/** Analytical databases. */
export function createDatabaseService({
  analytics,
  objects,
  payloadLimit,
}: DatabaseServiceContext): ServiceOf<typeof DatabaseServiceDefinition> {
  return {
    ...createDatabaseObjectCalls({ analytics, objects }),

    async createDatabase({ database, metadata, ifNotExists }, { scope }) {
      const checks = new Checks()
      checkDatabase(checks, database)
      checks.labels('metadata', metadata)
      checks.done()
      const { info, created } = await analytics.create({ scope, name: database }, metadata)
      if (!created && !ifNotExists) throw exists('database', database)
      return { database: toDatabase(info), created }
    },

    async listDatabases({ cursor, ...request }, { scope }) {
      const checks = new Checks()
      const limit = checks.page('limit', request.limit)
      if (cursor !== '') checkDatabase(checks, cursor, 'cursor')
      checks.done()
      const databases = await analytics.list(scope, { after: cursor, limit })
      return { databases: databases.map(toDatabase), nextCursor: databases.length < limit ? '' : databases.at(-1)!.name }
    },

    async getDatabase(request, call) {
      const { ref } = readUse(new Checks(), request, call)
      const info = await analytics.info(ref)
      if (!info) throw notFound('database', ref.name)
      return { database: toDatabase(info) }
    },

    async dropDatabase(request, call) {
      return { dropped: await analytics.drop(readUse(new Checks(), request, call).ref) }
    },

    async createTable({ table, columns, ifNotExists, ...request }, call) {
      const checks = new Checks()
      checkTable(checks, 'table', table)
      checks.count('columns', columns.length, 1, limits.columns)
      for (const [i, column] of columns.entries()) {
        checks.at('columns', i)
        checkTable(checks, 'name', column.name)
        if (column.defaultValue !== '') checks.fail('defaultValue', 'is only in answers; use execute')
      }
      checks.top()
      const use = readUse(checks, request, call)
      return { table: toTable(await analytics.createTable(use, { name: table, columns, ifNotExists })) }
    },

    async listTables({ cursor, kind, ...request }, call) {
      const checks = new Checks()
      const limit = checks.page('limit', request.limit)
      checks.text('cursor', cursor, limits.text)
      const use = readUse(checks, request, call)
      const chosen = kind === TableKind.VIEW ? 'view' : kind === TableKind.TABLE ? 'table' : undefined
      const tables = await analytics.tables(use, { after: cursor, limit, kind: chosen })
      return { tables: tables.map(toTable), nextCursor: tables.length < limit ? '' : tables.at(-1)!.name }
    },

    async getTable({ table, ...request }, call) {
      const checks = new Checks()
      checkTable(checks, 'table', table)
      const found = await analytics.table(readUse(checks, request, call), table)
      if (!found) throw notFound('table', table, `in '${request.database}'`)
      return { table: toTable(found) }
    },

    async getTableStatistics({ table, ...request }, call) {
      const checks = new Checks()
      checkTable(checks, 'table', table)
      const { rows, columns } = await analytics.statistics(readUse(checks, request, call), table)
      return { rows, columns: [...columns] }
    },

    async dropTable({ table, ...request }, call) {
      const checks = new Checks()
      checkTable(checks, 'table', table)
      return { dropped: await analytics.dropTable(readUse(checks, request, call), table, 'table') }
    },

    async createView({ view, sql, replace, ...request }, call) {
      const checks = new Checks()
      checkTable(checks, 'view', view)
      readStatement(checks, 'sql', { sql, parameters: noBytes, contentType: '' })
      return { view: toTable(await analytics.createView(readUse(checks, request, call), { name: view, sql, replace })) }
    },

    async dropView({ view, ...request }, call) {
      const checks = new Checks()
      checkTable(checks, 'view', view)
      return { dropped: await analytics.dropTable(readUse(checks, request, call), view, 'view') }
    },

    async executeStatement(request, call) {
      const checks = new Checks()
      const statement = readStatement(checks, 'sql', request)
      const [rows = 0] = await analytics.execute(readUse(checks, request, call), [statement])
      return { rows }
    },

    async executeBatch({ statements, ...request }, call) {
      const checks = new Checks()
      checks.count('statements', statements.length, 1, limits.batch)
      const read = statements.map((statement, i) => {
        checks.at('statements', i)
        return readStatement(checks, `statements[${i}].sql`, statement)
      })
      checks.top()
      return { rows: [...(await analytics.execute(readUse(checks, request, call), read))] }
    },

    async queryRows({ limit, ...request }, call) {
      const checks = new Checks()
      const statement = readStatement(checks, 'sql', request)
      const bounds = readBounds(checks, limit)
      return toRows(await analytics.query(readUse(checks, request, call), statement, bounds))
    },

    async *streamRows(request, call) {
      const checks = new Checks()
      const statement = readStatement(checks, 'sql', request)
      for await (const part of analytics.stream(readUse(checks, request, call), statement)) {
        if ('rows' in part) yield { columns: [], values: part.values, contentType: '', rows: part.rows }
        else yield { columns: [...part], values: noRows(part.length), contentType: '', rows: 0 }
      }
    },

    async writeUpload({ upload, offset, data, ...request }, call) {
      const checks = new Checks()
      checkUpload(checks, upload)
      checks.integer('offset', offset, 0, Number.MAX_SAFE_INTEGER)
      checks.payload('data', data, payloadLimit)
      return { size: await analytics.writeUpload(readUse(checks, request, call), { upload, offset, data }) }
    },

    async importUpload({ upload, table, format, mode, size, ...request }, call) {
      const checks = new Checks()
      checkUpload(checks, upload)
      checkTable(checks, 'table', table)
      const read = fileFormats[format]
      if (!read) checks.fail('format', 'is not one of csv, parquet, json')
      const file = { upload, size, table, path: 'upload', format: read ?? 'csv', mode: importModes[mode] ?? ('create' as const) }
      return { rows: await analytics.importUpload(readUse(checks, request, call), file) }
    },

    async explainQuery({ analyze, ...request }, call) {
      const checks = new Checks()
      const statement = readStatement(checks, 'sql', request)
      return { plan: await analytics.explain(readUse(checks, request, call), statement, analyze) }
    },
  }
}

function checkUpload(checks: Checks, upload: string): void {
  if (!/^[a-z0-9]{16,64}$/.test(upload)) checks.fail('upload', 'is not 16 to 64 characters of a-z 0-9')
}

function exists(what: string, name: string): MillraceError {
  return new MillraceError('ALREADY_EXISTS', `There is a ${what} '${name}' already. Use it (ifNotExists), or another name.`)
}

function toTable({ name, isView, columns, estimatedRows }: TableInfo): Table {
  const kind = isView ? TableKind.VIEW : TableKind.TABLE
  return { name, kind, columns: columns.map((column): TableColumn => ({ ...column })), estimatedRows }
}

/** Values of no rows. */
function noRows(columns: number): Uint8Array {
  return Buffer.from(`[${new Array(columns).fill('[]').join(',')}]`)
}
