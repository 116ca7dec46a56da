import type { RowFilter } from '@millrace/protocol'
import { type Condition, saysOfAll } from '../domain/tables/conditions.ts'
import { readWhere } from '../domain/tables/filter-object.ts'
import { readFilterText } from '../domain/tables/filter-text.ts'
import { readJson } from '../domain/tables/values.ts'
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
  if (where !== undefined) conditions.push(readWhere(where))
  const all: Condition = { type: 'and', of: conditions }
  // What has no comparison in it is no filter: who deletes every row has to say so.
  if (saysOfAll(all)) return undefined
  return conditions.length === 1 ? conditions[0] : all
}
