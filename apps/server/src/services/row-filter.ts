import type { RowFilter } from '@millrace/protocol'
import type { Condition } from '../domain/tables/conditions.ts'
import { readWhere } from '../domain/tables/filter-object.ts'
import { readFilterText } from '../domain/tables/filter-text.ts'
import { isObject, readJson } from '../domain/tables/values.ts'
import { invalid } from '../errors.ts'
import { limits } from './limits.ts'

/**
 * Which rows, as conditions; undefined means all.
 *
 * @throws VALIDATION
 */
export function readRowFilter(filter: RowFilter | undefined): Condition | undefined {
  if (!filter) return undefined
  const conditions: Condition[] = []
  if (filter.text.length > limits.filter)
    throw invalid('filter.text', `has ${filter.text.length} characters; at most ${limits.filter} are allowed`)
  if (filter.text.trim() !== '') conditions.push(readFilterText(filter.text))
  const where = readJson('filter.where', filter.where, filter.contentType)
  if (where !== undefined && !(isObject(where) && Object.keys(where).length === 0)) conditions.push(readWhere(where))
  return conditions.length > 1 ? { type: 'and', of: conditions } : conditions[0]
}
