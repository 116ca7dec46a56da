import type { RowSet, TableServiceDefinition } from '@millrace/protocol'
import type { Condition } from '../domain/tables/conditions.ts'
import type { TableEngine, TableResult } from '../domain/tables/engine.ts'
import { readNames } from '../domain/tables/selections.ts'
import { countStatement, deleteStatement, insertStatement, selectStatement, updateStatement } from '../domain/tables/statements.ts'
import { isObject, readJson, readText, writeJson } from '../domain/tables/values.ts'
import { invalid } from '../errors.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { limits } from './limits.ts'
import { readRowFilter } from './row-filter.ts'
import { groupRows, type RowGroup } from './row-groups.ts'
import { readUser } from './table-user.ts'

const noRows: RowSet = { columns: [], rows: new Uint8Array(0), contentType: '' }

/** The calls that read and write rows of one table. */
export function createRowCalls(
  tables: TableEngine,
): Pick<ServiceOf<typeof TableServiceDefinition>, 'selectRows' | 'countRows' | 'insertRows' | 'updateRows' | 'deleteRows'> {
  return {
    async selectRows({ table, columns, filter, order, limit, offset, asUser }, call) {
      const checks = new Checks()
      if (limit !== 0) checks.integer('limit', limit, 1, limits.tableRows)
      checks.integer('offset', offset, 0, 2 ** 31 - 1)
      const user = readUser(checks, asUser, call)
      checks.done()
      const where = readRowFilter(filter)
      // One more than may be: so that it is seen when there are more.
      const query = { columns, where, order, limit: limit || limits.tableRows + 1, offset }
      const make = (schema: string) => selectStatement({ schema, table }, query)
      return { result: (await tables.read({ scope: call.scope, user }, make, { field: 'table', table })).result }
    },

    async countRows({ table, filter, asUser }, call) {
      const checks = new Checks()
      const user = readUser(checks, asUser, call)
      checks.done()
      const where = readRowFilter(filter)
      const make = (schema: string) => countStatement({ schema, table }, where)
      const { result } = await tables.read({ scope: call.scope, user }, make, { field: 'filter', table })
      return { count: Number((JSON.parse(Buffer.from(result.rows).toString()) as [{ count: number }])[0].count) }
    },

    async insertRows({ table, rows, contentType, onConflict, ignoreDuplicates, columns, withoutRows, asUser }, call) {
      const checks = new Checks()
      const user = readUser(checks, asUser, call)
      checks.done()
      const groups = groupRows(readText('rows', rows, contentType))
      const conflict = onConflict === '' ? undefined : { columns: readNames('on_conflict', onConflict), ignore: ignoreDuplicates }
      if (!conflict && ignoreDuplicates) throw invalid('ignoreDuplicates', 'needs onConflict: the columns by which rows are the same')
      const returning = withoutRows ? undefined : columns
      const session = { scope: call.scope, user }
      const context = { field: 'rows', table }
      const insert = (group: RowGroup) => (schema: string) =>
        insertStatement({ schema, table }, group.columns, group.json(), conflict, returning)
      const [group] = groups
      if (groups.length === 1 && !conflict) return tables.insert(session, insert(group!), context)
      const results = await tables.run(session, (schema) => groups.map((group) => insert(group)(schema)), context)
      return { result: joinRows(results, groups), affected: results.reduce((sum, { affected }) => sum + affected, 0) }
    },

    async updateRows({ table, values, contentType, filter, all, columns, withoutRows, asUser }, call) {
      const checks = new Checks()
      const user = readUser(checks, asUser, call)
      checks.done()
      const row = readJson('values', values, contentType)
      if (!isObject(row) || Object.keys(row).length === 0)
        throw invalid('values', 'is not an object with at least one column, such as {"age": 26}')
      const where = readRowFilter(filter)
      requireFilter(where, all, 'changes')
      const returning = withoutRows ? undefined : columns
      const make = (schema: string) => [updateStatement({ schema, table }, Object.keys(row), writeJson('values', row), where, returning)]
      const [result] = await tables.run({ scope: call.scope, user }, make, { field: 'values', table })
      return { result: result!.result, affected: result!.affected }
    },

    async deleteRows({ table, filter, all, columns, withoutRows, asUser }, call) {
      const checks = new Checks()
      const user = readUser(checks, asUser, call)
      checks.done()
      const where = readRowFilter(filter)
      requireFilter(where, all, 'deletes')
      const returning = withoutRows ? undefined : columns
      const make = (schema: string) => [deleteStatement({ schema, table }, where, returning)]
      const [result] = await tables.run({ scope: call.scope, user }, make, { field: 'filter', table })
      return { result: result!.result, affected: result!.affected }
    },
  }
}

function requireFilter(where: Condition | undefined, all: boolean, does: string): void {
  if (!where && !all) throw invalid('filter', `is missing, which ${does} every row: say so with all`)
}

/** The rows of several statements, in the order in which they were given. */
function joinRows(results: readonly TableResult[], groups: readonly RowGroup[]): RowSet {
  if (results.length === 1) return results[0]!.result
  const columns = results[0]?.result.columns ?? []
  if (columns.length === 0) return noRows
  const placed: [number, unknown][] = results.flatMap(({ result }, i) => {
    const rows = readJson('rows', result.rows, '') as unknown[]
    // Rows that stayed as they were are not among those answered with: then there is no order to keep.
    const places = groups[i]!.places
    return rows.map((row, j): [number, unknown] => [rows.length === places.length ? places[j]! : places[0]!, row])
  })
  placed.sort(([a], [b]) => a - b)
  return { columns, rows: Buffer.from(JSON.stringify(placed.map(([, row]) => row))), contentType: '' }
}
