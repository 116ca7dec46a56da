import {
  RowChangeType,
  type RowRead,
  type RowSet,
  type RowWrite,
  type TableServiceDefinition,
  type WatchRowChangesResponse,
} from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { describeTables } from '../domain/tables/catalog.ts'
import type { TableEngine } from '../domain/tables/engine.ts'
import type { LiveTables } from '../domain/tables/live-tables.ts'
import type { RowChangeBatch, RowChanges } from '../domain/tables/row-changes.ts'
import type { ErrorContext } from '../domain/tables/sql-errors.ts'
import { argumentsStatement, callStatement, type FunctionArgument, selectStatement } from '../domain/tables/statements.ts'
import { isObject, readJson, toSqlValue, writeJson } from '../domain/tables/values.ts'
import { invalid, notFound } from '../errors.ts'
import type { Scope } from '../store/ports.ts'
import { answerTogether, type RowAnswer } from './answer-together.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { limits } from './limits.ts'
import { streamLatest } from './live-views.ts'
import { createRowCalls } from './row-calls.ts'
import { readRowFilter } from './row-filter.ts'
import { toDate } from './shapes.ts'
import { readUser, refuseUser } from './table-user.ts'
import { pump, Wakeup } from './wakeup.ts'

/** Tables of a Postgres. */
export function createTableService({
  tables,
  live,
  changes,
  clock,
}: {
  readonly tables: TableEngine
  readonly live: LiveTables
  readonly changes: RowChanges
  readonly clock: Clock
}): ServiceOf<typeof TableServiceDefinition> {
  const calls = createRowCalls(tables)

  async function describeArguments(scope: Scope, name: string, given: object, context: ErrorContext): Promise<FunctionArgument[]> {
    const make = (schema: string) => argumentsStatement(schema, name, Object.keys(given))
    const { result } = await tables.read({ scope, user: '' }, make, context)
    return JSON.parse(Buffer.from(result.rows).toString())
  }

  return {
    ...calls,

    async *watchRowChanges({ table, columns, filter, after, asUser }, call) {
      const checks = new Checks()
      checks.text('after', after, limits.changeCursor)
      const user = readUser(checks, asUser, call)
      checks.done()
      const wakeup = new Wakeup()
      const watched = { scope: call.scope, user, table, columns, where: readRowFilter(filter), after }
      const watcher = await changes.watch(watched, () => wakeup.wake())
      try {
        for await (const batch of pump(() => watcher.read(), wakeup, call.signal)) yield toChanges(batch)
      } finally {
        changes.leave(watcher)
      }
    },

    async *readRows({ reads }, call) {
      checkCalls('reads', reads)
      const carryOut = async ({ action }: RowRead): Promise<RowAnswer> => {
        if (action?.$case === 'select') return calls.selectRows(action.value, call)
        if (action?.$case === 'count') return { affected: (await calls.countRows(action.value, call)).count }
        throw invalid('action', 'is missing; give select or count')
      }
      yield* answerTogether(
        reads.map((read) => () => carryOut(read)),
        clock,
        call,
      )
    },

    async *writeRows({ writes }, call) {
      checkCalls('writes', writes)
      const carryOut = async ({ action }: RowWrite): Promise<RowAnswer> => {
        if (action?.$case === 'insert') return calls.insertRows(action.value, call)
        if (action?.$case === 'update') return calls.updateRows(action.value, call)
        if (action?.$case === 'delete') return calls.deleteRows(action.value, call)
        throw invalid('action', 'is missing; give insert, update or delete')
      }
      yield* answerTogether(
        writes.map((write) => () => carryOut(write)),
        clock,
        call,
      )
    },

    async *watchRows({ table, columns, filter, order, limit, offset, asUser }, call) {
      const checks = new Checks()
      if (limit !== 0) checks.integer('limit', limit, 1, limits.liveRows)
      checks.integer('offset', offset, 0, 2 ** 31 - 1)
      const user = readUser(checks, asUser, call)
      checks.done()
      const where = readRowFilter(filter)
      const query = { columns, where, order, limit: limit || limits.liveRows + 1, offset }
      const { scope } = call
      const read = async () => {
        const make = (schema: string) => selectStatement({ schema, table }, query)
        const result = await tables.read({ scope, user }, make, { field: 'table', table })
        if (result.affected > limits.liveRows)
          throw invalid('limit', `the selection has more than ${limits.liveRows} rows, which is the most that can be watched; give a limit`)
        return result
      }
      const key = JSON.stringify([user, table, query])
      yield* streamLatest(
        (watcher) => live.watch({ scope, key, read }, watcher),
        call,
        (result: RowSet) => ({ result }),
      )
    },

    async callFunction({ function: name, arguments: args, contentType, asUser }, call) {
      const checks = new Checks()
      const user = readUser(checks, asUser, call)
      checks.done()
      const values = readJson('arguments', args, contentType) ?? {}
      if (!isObject(values)) throw invalid('arguments', 'is not an object of arguments by name')
      const context = { field: 'arguments', function: name }
      const entries = Object.entries(values)
      // What a list stands for, the function says.
      const known = entries.some(([, value]) => Array.isArray(value)) ? await describeArguments(call.scope, name, values, context) : []
      const list = entries.map(([arg, value]) => {
        const isJson = Array.isArray(value) && known.some((each) => each.name === arg && each.json)
        return [arg, isJson ? writeJson(`arguments.${arg}`, value) : toSqlValue(`arguments.${arg}`, value)] as const
      })
      const variadic = known.find((each) => each.variadic && Array.isArray(values[each.name]))?.name
      const make = (schema: string) => [callStatement(schema, name, list, variadic)]
      const [result] = await tables.run({ scope: call.scope, user }, make, context)
      return { result: result!.result }
    },

    async runSql({ text, parameters, contentType }, { scope, principal }) {
      refuseUser(principal.user)
      const checks = new Checks()
      if (text.trim() === '') checks.fail('text', 'is missing; give one SQL statement')
      checks.text('text', text, limits.sql.statement)
      checks.done()
      if (text.includes('\0')) throw invalid('text', 'contains a zero byte')
      const values = readJson('parameters', parameters, contentType) ?? []
      if (!Array.isArray(values)) throw invalid('parameters', 'is not a list of values')
      if (values.length > limits.sqlParameters)
        throw invalid('parameters', `has ${values.length} values; at most ${limits.sqlParameters} are allowed`)
      return tables.sql(scope, { text, values: values.map((value, i) => toSqlValue(`parameters[${i}]`, value)) })
    },

    async describeTables({ table }, { scope }) {
      const place = await tables.find(scope)
      const work = { scope, user: '' }
      const found = place
        ? await tables.work(work, place, { field: 'table' }, (connection) => describeTables(connection, place.schema, table), true)
        : []
      if (table !== '' && found.length === 0) throw notFound('table', table)
      return { tables: found }
    },

    async applyMigrations({ migrations, dryRun }, { scope, principal }) {
      refuseUser(principal.user)
      const checks = new Checks()
      checks.count('migrations', migrations.length, 1, limits.migrations)
      const names = new Set<string>()
      for (const [i, { name, sql }] of migrations.entries()) {
        checks.at('migrations', i)
        checks.name('name', name)
        if (names.has(name)) checks.fail('name', `'${name}' is the name of another one, too`)
        names.add(name)
        checks.text('sql', sql, limits.sql.statement)
        if (sql.includes('\0')) checks.fail('sql', 'contains a zero byte')
      }
      checks.done()
      return tables.migrate(scope, migrations, dryRun)
    },
  }
}

function checkCalls(field: string, calls: readonly unknown[]): void {
  const checks = new Checks()
  checks.count(field, calls.length, 1, limits.rowCalls)
  checks.done()
}

const changeTypes = {
  insert: RowChangeType.INSERT,
  update: RowChangeType.UPDATE,
  delete: RowChangeType.DELETE,
  truncate: RowChangeType.TRUNCATE,
} as const

function toChanges({ columns, changes, cursor }: RowChangeBatch): WatchRowChangesResponse {
  const bytes = (json = '') => Buffer.from(json)
  return {
    columns,
    changes: changes.map((change) => ({
      type: changeTypes[change.type],
      row: bytes(change.row),
      contentType: '',
      old: bytes(change.old),
      oldContentType: '',
      at: toDate(change.at),
      cursor: change.cursor,
    })),
    cursor,
  }
}
