import { invalid } from '../../errors.ts'
import { parseColumnPath, splitList, unquote } from './column-paths.ts'
import { columnSql } from './conditions.ts'
import { quoteIdentifier } from './identifiers.ts'

/** Columns of one list at most: as many as a result of Postgres may have. */
const mostColumns = 1664

const aliasPattern = /^\s*([\p{L}_][\p{L}\p{N}_$]*|"(?:[^"]|"")+")\s*:(?!:)(.*)$/su

/**
 * What `id, total:amount, metadata->>title` stands for in SQL; everything when it is empty.
 *
 * @throws VALIDATION
 */
export function columnsSql(text: string): string {
  if (text.trim() === '' || text.trim() === '*') return 'r.*'
  const items = splitList('columns', text)
  if (items.length > mostColumns) throw invalid('columns', `names more than ${mostColumns} columns`)
  return items.map(itemSql).join(', ')
}

function itemSql(item: string): string {
  if (item.trim() === '*') return 'r.*'
  const alias = aliasPattern.exec(item)
  const path = parseColumnPath('columns', alias ? alias[2]! : item)
  const name = alias ? unquote(alias[1]!) : (path.steps.at(-1) ?? path.column)
  return `${columnSql('columns', path)} AS ${quoteIdentifier('columns', name)}`
}

/**
 * What `created_at.desc,age.asc.nullslast` stands for in SQL; '' when it is empty.
 *
 * @throws VALIDATION
 */
export function orderSql(text: string): string {
  if (text.trim() === '') return ''
  const items = splitList('order', text)
  if (items.length > mostColumns) throw invalid('order', `names more than ${mostColumns} columns`)
  return ` ORDER BY ${items.map(orderItemSql).join(', ')}`
}

function orderItemSql(item: string): string {
  const match = /^(.*?)((?:\.(?:asc|desc))?)((?:\.nulls(?:first|last))?)$/su.exec(item.trim())!
  const [, column = '', direction = '', nulls = ''] = match
  if (/\.\w+$/.test(column) && !column.startsWith('"')) {
    throw invalid('order', `${JSON.stringify(item.trim().slice(0, 64))} is not an order such as age.desc or age.asc.nullslast`)
  }
  const sql = columnSql('order', parseColumnPath('order', column))
  const order = direction === '.desc' ? ' DESC' : ' ASC'
  return sql + order + (nulls === '' ? '' : nulls === '.nullsfirst' ? ' NULLS FIRST' : ' NULLS LAST')
}

/** Names of columns with commas between them, unquoted. @throws VALIDATION */
export function readNames(path: string, text: string): string[] {
  return splitList(path, text).map((item) => {
    const { column, steps } = parseColumnPath(path, item)
    if (steps.length > 0) throw invalid(path, 'names columns alone, without ->')
    return column
  })
}
