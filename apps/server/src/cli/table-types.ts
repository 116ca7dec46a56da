import type { ColumnDescription, TableDescription } from '@millrace/protocol'

/** What a value of a type of Postgres is in JavaScript; other types are text. */
const types: Readonly<Record<string, string>> = {
  smallint: 'number',
  integer: 'number',
  oid: 'number',
  real: 'number',
  'double precision': 'number',
  bigint: 'number | bigint',
  boolean: 'boolean',
  json: 'unknown',
  jsonb: 'unknown',
  bytea: 'Uint8Array',
}

/**
 * TypeScript for tables: an interface for the rows of each, and for `mr.table<Rows['users']>('users')` one of them all.
 *
 * @param tables - the tables, by name.
 */
export function tableTypes(tables: readonly TableDescription[]): string {
  const names = uniqueNames(tables.map(({ name }) => name))
  const interfaces = tables.map(({ name, columns, comment }, i) => {
    const lines = columns.map((column) => `${comments(column.comment, '  ')}  ${keyOf(column.name)}: ${typeOf(column)}\n`)
    return `${comments(comment || `A row of \`${name}\`.`, '')}export interface ${names[i]} {\n${lines.join('')}}\n`
  })
  const rows = tables.map(({ name }, i) => `  ${keyOf(name)}: ${names[i]}\n`)
  return `// Written by: millrace tables types\n\n${interfaces.join('\n')}\n/** Rows by the names of their tables. */\nexport interface Rows {\n${rows.join('')}}\n`
}

function typeOf({ baseType, nullable, enumValues }: ColumnDescription): string {
  const base = baseType.replace(/\[\]$/, '')
  const one = enumValues.length > 0 ? enumValues.map((value) => JSON.stringify(value)).join(' | ') : (types[base] ?? 'string')
  const list = baseType.endsWith('[]') ? `(${one} | null)[]` : one
  return nullable && list !== 'unknown' ? `${list} | null` : list
}

function keyOf(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)
}

/** `order_items` → `OrderItemsRow`; what would be the same gets a number. */
function uniqueNames(names: readonly string[]): string[] {
  const seen = new Map<string, number>()
  return names.map((name) => {
    const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
    const joined = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('') || 'Table'
    const base = `${/^\d/.test(joined) ? 'T' : ''}${joined}Row`
    const count = (seen.get(base) ?? 0) + 1
    seen.set(base, count)
    return count === 1 ? base : `${base}${count}`
  })
}

function comments(text: string, indent: string): string {
  return text === '' ? '' : `${indent}/** ${text.replaceAll('*/', '*\\/').replaceAll(/\s+/g, ' ')} */\n`
}
