import type * as wire from '@millrace/protocol'
import { InternalError, invalid } from '../errors/errors.ts'
import { missingField, toText } from '../wire.ts'
import type { DatabaseColumn, DatabaseInfo, DatabaseTable, NewColumn } from './types.ts'

export function fromDatabase(database: wire.Database | undefined): DatabaseInfo {
  if (!database) throw new InternalError(missingField('the database'))
  return { ...database, createdAt: database.createdAt ?? new Date(0) }
}

export function fromTable(table: wire.Table | undefined): DatabaseTable {
  if (!table) throw new InternalError(missingField('the table'))
  const { kind, columns, ...rest } = table
  return { ...rest, kind: kind === 2 ? 'view' : 'table', columns: columns.map(fromColumn) }
}

function fromColumn({ defaultValue, ...column }: wire.TableColumn): DatabaseColumn {
  return { ...column, ...(defaultValue !== '' && { defaultValue }) }
}

export function toColumns(columns: Readonly<Record<string, string | NewColumn>>): wire.TableColumn[] {
  if (typeof columns !== 'object' || columns === null) throw invalid('columns', 'is not an object.')
  return Object.entries(columns).map(([name, column]) => {
    const { type, notNull = false, primaryKey = false } = typeof column === 'string' ? { type: column } : column
    return { name, type: toText(`columns.${name}`, type), notNull, primaryKey, defaultValue: '' }
  })
}
